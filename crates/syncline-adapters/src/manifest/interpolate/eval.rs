//! Runs a compiled template: text out, or a fault.

use super::compile::{Arguments, Comparison, Expr, Literal, Node, Target};
use super::value::{Fault, Outcome, Val, compare, equal};
use super::{Scope, digest, filters, functions, methods, operate, tests_of};
use serde_json::Value as Json;
use std::borrow::Cow;
use std::cell::RefCell;
use std::cmp::Ordering;
use std::rc::Rc;

/// The most steps of one evaluation: a template that needs more does not end in any useful time.
const FUEL: u64 = 1_000_000;
/// The most text that one evaluation makes, in bytes.
const OUTPUT_MAX: usize = 16 << 20;

/// Values of a call.
pub(super) struct Args<'a> {
    pub(super) positional: Vec<Val<'a>>,
    named: Vec<(String, Val<'a>)>,
}

impl<'a> Args<'a> {
    /// The argument at `index`, or with the name `name`.
    pub(super) fn get(&self, index: usize, name: &str) -> Option<Val<'a>> {
        self.positional.get(index).or_else(|| self.by_name(name)).cloned()
    }

    pub(super) fn by_name(&self, name: &str) -> Option<&Val<'a>> {
        self.named.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    pub(super) fn need(&self, index: usize, name: &str) -> Outcome<'a> {
        self.get(index, name).ok_or(Fault::Type)
    }

    pub(super) fn pairs(&self) -> Vec<(Val<'a>, Val<'a>)> {
        self.named.iter().map(|(key, value)| (Val::str(key.as_str()), value.clone())).collect()
    }

    /// The arguments without the first `count` by position.
    pub(super) fn after(&self, count: usize) -> Self {
        let rest = self.positional.get(count..).unwrap_or_default().to_vec();
        Self { positional: rest, named: self.named.clone() }
    }
}

pub(super) struct Machine<'a, 'p> {
    pub(super) scope: &'p Scope<'a>,
    locals: Vec<Vec<(&'p str, Val<'a>)>>,
    fuel: u64,
}

impl<'a, 'p> Machine<'a, 'p> {
    pub(super) fn new(scope: &'p Scope<'a>) -> Self {
        Self { scope, locals: vec![Vec::new()], fuel: FUEL }
    }

    pub(super) fn render(&mut self, nodes: &'p [Node], out: &mut String) -> Result<(), Fault> {
        for node in nodes {
            self.burn(1)?;
            match node {
                Node::Text(text) => out.push_str(text),
                Node::Emit(expr) => {
                    let value = self.eval(expr)?;
                    out.push_str(&value.to_text());
                }
                Node::If { condition, then, otherwise } => {
                    let branch = if self.eval(condition)?.truthy() { then } else { otherwise };
                    self.render(branch, out)?;
                }
                Node::For { target, over, only, body, otherwise } => {
                    self.each(target, over, only.as_ref(), body, otherwise, out)?;
                }
                Node::Set(target, expr) => {
                    let value = self.eval(expr)?;
                    self.assign(target, value)?;
                }
                Node::SetBlock(target, body) => {
                    let mut text = String::new();
                    self.render(body, &mut text)?;
                    self.assign(target, Val::str(text))?;
                }
                Node::Do(expr) => {
                    self.eval(expr)?;
                }
                Node::Several(nodes) => self.render(nodes, out)?,
                Node::Scoped(nodes) => {
                    self.locals.push(Vec::new());
                    self.render(nodes, out)?;
                    self.locals.pop();
                }
            }
            if out.len() > OUTPUT_MAX {
                return Err(Fault::error("the template makes too much text"));
            }
        }
        Ok(())
    }

    /// The value of the one expression that `nodes` are, or that they end in after statements which say nothing
    /// themselves; `None` where they are anything else.
    pub(super) fn single(&mut self, nodes: &'p [Node]) -> Result<Option<Json>, Fault> {
        let says_nothing = |node: &Node| matches!(node, Node::Text(text) if text.trim().is_empty());
        let has_statements =
            nodes.iter().any(|node| !matches!(node, Node::Text(_) | Node::Emit(_)));
        let last = match has_statements {
            true => nodes.iter().rposition(|node| !says_nothing(node)),
            false => nodes.len().checked_sub(1).filter(|last| *last == 0),
        };
        let Some((Node::Emit(expr), before)) = last.map(|last| (&nodes[last], &nodes[..last]))
        else {
            return Ok(None);
        };
        let mut said = String::new();
        self.render(before, &mut said)?;
        if !said.trim().is_empty() {
            return Ok(None);
        }
        let text = digest::json_text(&self.eval(expr)?, false)?;
        serde_json::from_str(&text).map(Some).map_err(|error| Fault::error(error.to_string()))
    }

    fn burn(&mut self, steps: u64) -> Result<(), Fault> {
        self.fuel = self
            .fuel
            .checked_sub(steps)
            .ok_or_else(|| Fault::error("the template takes too many steps"))?;
        Ok(())
    }

    fn each(
        &mut self,
        target: &'p Target,
        over: &'p Expr,
        only: Option<&'p Expr>,
        body: &'p [Node],
        otherwise: &'p [Node],
        out: &mut String,
    ) -> Result<(), Fault> {
        let mut items = self.eval(over)?.items()?;
        if let Some(only) = only {
            let mut kept = Vec::new();
            for item in items {
                self.locals.push(Vec::new());
                self.assign(target, item.clone())?;
                let keep = self.eval(only)?.truthy();
                self.locals.pop();
                if keep {
                    kept.push(item);
                }
            }
            items = kept;
        }
        if items.is_empty() {
            return self.render(otherwise, out);
        }
        let count = items.len();
        for (index, item) in items.into_iter().enumerate() {
            self.burn(1)?;
            self.locals.push(vec![("loop", loop_value(index, count))]);
            self.assign(target, item)?;
            self.render(body, out)?;
            self.locals.pop();
        }
        Ok(())
    }

    fn assign(&mut self, target: &'p Target, value: Val<'a>) -> Result<(), Fault> {
        match target {
            Target::Name(name) => {
                if let Some(locals) = self.locals.last_mut() {
                    locals.retain(|(known, _)| known != name);
                    locals.push((name, value));
                }
            }
            Target::Attribute(name, attribute) => match self.variable(name) {
                Val::Dict(entries) => set_entry(&entries, Val::str(attribute.as_str()), value),
                _ => return Err(Fault::error(format!("nothing can be set on `{name}`"))),
            },
            Target::Several(targets) => {
                let items = value.items()?;
                if items.len() != targets.len() {
                    return Err(Fault::error("there are more or fewer values than names"));
                }
                for (target, item) in targets.iter().zip(items) {
                    self.assign(target, item)?;
                }
            }
        }
        Ok(())
    }

    fn variable(&self, name: &str) -> Val<'a> {
        let local = self.locals.iter().rev().flatten().rev().find(|(known, _)| *known == name);
        if let Some((_, value)) = local {
            return value.clone();
        }
        if name == "self" {
            return Val::Dict(Rc::default());
        }
        self.scope.get(name).or_else(|| functions::function(name)).unwrap_or(Val::Undefined)
    }

    /// A list or map of the context is changed in a copy, which has its name from then on.
    fn own(&mut self, called: &'p Expr) {
        let Expr::Attribute(of, method) = called else { return };
        let Expr::Var(name) = of.as_ref() else { return };
        if !methods::changes(method) {
            return;
        }
        if let Val::Json(json) = self.variable(name) {
            let value = Val::json_copy(json);
            let locals = self.locals.iter_mut().rev();
            let known = locals.flat_map(|level| level.iter_mut().rev());
            let known = known.filter(|(known, _)| known == name).map(|(_, value)| value).next();
            match known {
                Some(old) => *old = value,
                None => self.locals[0].push((name, value)),
            }
        }
    }

    fn evals(&mut self, exprs: &'p [Expr]) -> Result<Vec<Val<'a>>, Fault> {
        exprs.iter().map(|expr| self.eval(expr)).collect()
    }

    fn arguments(&mut self, arguments: &'p Arguments) -> Result<Args<'a>, Fault> {
        let positional = self.evals(&arguments.positional)?;
        let named = arguments.named.iter();
        let named = named.map(|(name, expr)| Ok((name.clone(), self.eval(expr)?)));
        Ok(Args { positional, named: named.collect::<Result<_, Fault>>()? })
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each kind of expression")]
    fn eval(&mut self, expr: &'p Expr) -> Outcome<'a> {
        self.burn(1)?;
        Ok(match expr {
            Expr::Literal(literal) => constant(literal),
            Expr::Var(name) => self.variable(name),
            Expr::List(items) => Val::list(self.evals(items)?),
            Expr::Tuple(items) => Val::tuple(self.evals(items)?),
            Expr::Dict(pairs) => {
                let entries = Rc::new(RefCell::new(Vec::with_capacity(pairs.len())));
                for (key, value) in pairs {
                    let key = self.eval(key)?;
                    if !key.is_hashable() {
                        return Err(Fault::Type);
                    }
                    let value = self.eval(value)?;
                    set_entry(&entries, key, value);
                }
                Val::Dict(entries)
            }
            Expr::Attribute(of, name) => {
                let of = self.eval(of)?;
                operate::attribute(&of, name)?
            }
            Expr::Item(of, index) => {
                let of = self.eval(of)?;
                let index = self.eval(index)?;
                operate::item(&of, &index)?
            }
            Expr::Slice(of, bounds) => {
                let of = self.eval(of)?;
                let mut values = [None, None, None];
                for (value, bound) in values.iter_mut().zip(bounds) {
                    *value = bound.as_ref().map(|bound| self.eval(bound)).transpose()?;
                }
                operate::slice(&of, values)?
            }
            Expr::Call(called, arguments) => {
                self.own(called);
                let called = self.eval(called)?;
                let args = self.arguments(arguments)?;
                match called {
                    Val::Function(name) => functions::call(name, &args, self.scope)?,
                    Val::Method(of, name) => {
                        self.burn(of.len().unwrap_or(1) as u64 / 16)?;
                        methods::call(&of, &name, &args)?
                    }
                    Val::Undefined => {
                        return Err(Fault::Undefined("what is called is not there".to_owned()));
                    }
                    _ => return Err(Fault::Type),
                }
            }
            Expr::Filter(name, value, arguments) => {
                let value = self.eval(value)?;
                let args = self.arguments(arguments)?;
                self.burn(value.len().unwrap_or(1) as u64 / 16)?;
                filters::apply(name, value, &args)?
            }
            Expr::Test(name, value, arguments) => {
                let value = self.eval(value)?;
                let args = self.arguments(arguments)?;
                Val::Bool(tests_of::test(name, &value, &args)?)
            }
            Expr::Not(of) => Val::Bool(!self.eval(of)?.truthy()),
            Expr::Negate(of) => {
                let of = self.eval(of)?;
                operate::negate(&of)?
            }
            Expr::And(left, right) => {
                let left = self.eval(left)?;
                if left.truthy() { self.eval(right)? } else { left }
            }
            Expr::Or(left, right) => {
                let left = self.eval(left)?;
                if left.truthy() { left } else { self.eval(right)? }
            }
            Expr::Binary(operator, left, right) => {
                let left = self.eval(left)?;
                let right = self.eval(right)?;
                operate::binary(*operator, &left, &right)?
            }
            Expr::Compare(first, chain) => {
                let mut left = self.eval(first)?;
                for (comparison, right) in chain {
                    let right = self.eval(right)?;
                    if !holds(*comparison, &left, &right)? {
                        return Ok(Val::Bool(false));
                    }
                    left = right;
                }
                Val::Bool(true)
            }
            Expr::If(condition, then, otherwise) => {
                if self.eval(condition)?.truthy() {
                    self.eval(then)?
                } else {
                    match otherwise {
                        Some(otherwise) => self.eval(otherwise)?,
                        None => Val::Undefined,
                    }
                }
            }
        })
    }
}

fn constant<'a>(literal: &Literal) -> Val<'a> {
    match literal {
        Literal::None => Val::None,
        Literal::Bool(b) => Val::Bool(*b),
        Literal::Int(i) => Val::Int(*i),
        Literal::Float(f) => Val::Float(*f),
        Literal::Str(text) => Val::Str(Cow::Owned(text.clone())),
    }
}

pub(super) fn holds<'a>(
    comparison: Comparison,
    left: &Val<'a>,
    right: &Val<'a>,
) -> Result<bool, Fault> {
    let ordered = |wanted: &[Ordering]| {
        compare(left, right).map(|order| order.is_some_and(|order| wanted.contains(&order)))
    };
    match comparison {
        Comparison::Eq => Ok(equal(left, right)),
        Comparison::Ne => Ok(!equal(left, right)),
        Comparison::Lt => ordered(&[Ordering::Less]),
        Comparison::Le => ordered(&[Ordering::Less, Ordering::Equal]),
        Comparison::Gt => ordered(&[Ordering::Greater]),
        Comparison::Ge => ordered(&[Ordering::Greater, Ordering::Equal]),
        Comparison::In => operate::contains(right, left),
        Comparison::NotIn => operate::contains(right, left).map(|found| !found),
    }
}

pub(super) fn set_entry<'a>(
    entries: &RefCell<Vec<(Val<'a>, Val<'a>)>>,
    key: Val<'a>,
    value: Val<'a>,
) {
    let mut entries = entries.borrow_mut();
    match entries.iter_mut().find(|(known, _)| equal(known, &key)) {
        Some((_, old)) => *old = value,
        None => entries.push((key, value)),
    }
}

fn loop_value<'a>(index: usize, count: usize) -> Val<'a> {
    let int = |i: usize| Val::Int(i as i128);
    let entries = [
        ("index", int(index + 1)),
        ("index0", int(index)),
        ("first", Val::Bool(index == 0)),
        ("last", Val::Bool(index + 1 == count)),
        ("length", int(count)),
        ("revindex", int(count - index)),
        ("revindex0", int(count - index - 1)),
    ];
    let entries = entries.into_iter().map(|(name, value)| (Val::str(name), value)).collect();
    Val::Dict(Rc::new(RefCell::new(entries)))
}
