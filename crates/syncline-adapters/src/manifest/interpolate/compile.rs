//! Templates in the form they are run in: owned, checked for names, parsed once.

use minijinja::machinery::{ast, parse};
use minijinja::value::ValueKind;

/// A constant.
#[derive(Clone, Debug)]
pub(super) enum Literal {
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Str(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Sub,
    Mul,
    Div,
    FloorDiv,
    Rem,
    Pow,
    Concat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    In,
    NotIn,
}

/// Arguments of a call: by position, then by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Arguments {
    pub(super) positional: Vec<Expr>,
    pub(super) named: Vec<(String, Expr)>,
}

#[derive(Clone, Debug)]
pub(super) enum Expr {
    Literal(Literal),
    Var(String),
    List(Vec<Expr>),
    Tuple(Vec<Expr>),
    Dict(Vec<(Expr, Expr)>),
    Attribute(Box<Expr>, String),
    Item(Box<Expr>, Box<Expr>),
    Slice(Box<Expr>, [Option<Box<Expr>>; 3]),
    Call(Box<Expr>, Arguments),
    Filter(String, Box<Expr>, Arguments),
    Test(String, Box<Expr>, Arguments),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Binary(Operator, Box<Expr>, Box<Expr>),
    Compare(Box<Expr>, Vec<(Comparison, Expr)>),
    If(Box<Expr>, Box<Expr>, Option<Box<Expr>>),
}

/// What a value is given to.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Name(String),
    Attribute(String, String),
    Several(Vec<Target>),
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    Text(String),
    Emit(Expr),
    For {
        target: Target,
        over: Expr,
        only: Option<Expr>,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
    If {
        condition: Expr,
        then: Vec<Node>,
        otherwise: Vec<Node>,
    },
    Set(Target, Expr),
    SetBlock(Target, Vec<Node>),
    Do(Expr),
    /// One after the other.
    Several(Vec<Node>),
    /// With variables of their own.
    Scoped(Vec<Node>),
}

/// A compiled template: its nodes, and the variables that it does not define itself.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) nodes: Vec<Node>,
    pub(super) free: Vec<String>,
    /// Variables and the one part of each that is looked at: `response.next`, `response['next']`.
    parts: Vec<(String, String)>,
    /// Variables that are used in any other way.
    whole: Vec<String>,
}

impl Program {
    /// Whether what `variable` has under the name `part` may be looked at.
    pub(super) fn reads(&self, variable: &str, part: &str) -> bool {
        self.whole.iter().any(|name| name == variable)
            || self.parts.iter().any(|(name, known)| name == variable && known == part)
    }
}

/// Compiles `source`.
///
/// # Errors
///
/// What cannot be read or is not part of the language, for people.
pub(super) fn compile(source: &str) -> Result<Program, String> {
    let source = without_colons(source);
    let parsed = parse(&source, "template", Default::default()).map_err(|error| {
        let line = error.line().map(|line| format!(" in its line {line}")).unwrap_or_default();
        format!("the template cannot be read{line}: {}", error.detail().unwrap_or("bad syntax"))
    })?;
    let ast::Stmt::Template(template) = &parsed else { return Err("no template".to_owned()) };
    let mut compiler = Compiler::default();
    let nodes = compiler.nodes(&template.children)?;
    let (parts, whole) = (compiler.parts, compiler.whole);
    let mut free = compiler.used;
    // `self` is the template itself, which has no blocks that could be asked for.
    free.retain(|name| {
        name != "self" && !compiler.defined.contains(name) && !super::functions::is_function(name)
    });
    free.sort();
    free.dedup();
    Ok(Program { nodes, free, parts, whole })
}

/// Without the colon that a block may end in, as in `{% for x in y: %}`.
fn without_colons(source: &str) -> std::borrow::Cow<'_, str> {
    if !source.contains(": %}") && !source.contains(":%}") && !source.contains(": -%}") {
        return source.into();
    }
    source.replace(": %}", " %}").replace(":%}", "%}").replace(": -%}", " -%}").into()
}

#[derive(Default)]
struct Compiler {
    used: Vec<String>,
    defined: Vec<String>,
    parts: Vec<(String, String)>,
    whole: Vec<String>,
}

type Compiled<T> = Result<T, String>;

impl Compiler {
    fn nodes(&mut self, statements: &[ast::Stmt<'_>]) -> Compiled<Vec<Node>> {
        statements.iter().map(|statement| self.node(statement)).collect()
    }

    fn node(&mut self, statement: &ast::Stmt<'_>) -> Compiled<Node> {
        Ok(match statement {
            ast::Stmt::EmitRaw(raw) => Node::Text(raw.raw.to_owned()),
            ast::Stmt::EmitExpr(emit) => Node::Emit(self.expr(&emit.expr)?),
            ast::Stmt::ForLoop(each) => {
                self.defined.push("loop".to_owned());
                Node::For {
                    over: self.expr(&each.iter)?,
                    target: self.target(&each.target)?,
                    only: each.filter_expr.as_ref().map(|only| self.expr(only)).transpose()?,
                    body: self.nodes(&each.body)?,
                    otherwise: self.nodes(&each.else_body)?,
                }
            }
            ast::Stmt::IfCond(branch) => Node::If {
                condition: self.expr(&branch.expr)?,
                then: self.nodes(&branch.true_body)?,
                otherwise: self.nodes(&branch.false_body)?,
            },
            ast::Stmt::Set(set) => {
                let value = self.expr(&set.expr)?;
                Node::Set(self.target(&set.target)?, value)
            }
            ast::Stmt::SetBlock(set) if set.filter.is_none() => {
                let body = self.nodes(&set.body)?;
                Node::SetBlock(self.target(&set.target)?, body)
            }
            ast::Stmt::SetBlock(set) => {
                let Some(filter) = &set.filter else { return Err("nothing is set".to_owned()) };
                let hidden = "set block".to_owned();
                let body = Node::SetBlock(Target::Name(hidden.clone()), self.nodes(&set.body)?);
                let value = self.filtered(filter, Expr::Var(hidden))?;
                let set = Node::Set(self.target(&set.target)?, value);
                Node::Several(vec![body, set])
            }
            ast::Stmt::FilterBlock(block) => {
                let hidden = "filter block".to_owned();
                let body = Node::SetBlock(Target::Name(hidden.clone()), self.nodes(&block.body)?);
                let value = self.filtered(&block.filter, Expr::Var(hidden))?;
                Node::Several(vec![body, Node::Emit(value)])
            }
            ast::Stmt::WithBlock(block) => {
                let mut nodes = Vec::new();
                for (target, value) in &block.assignments {
                    let value = self.expr(value)?;
                    nodes.push(Node::Set(self.target(target)?, value));
                }
                nodes.extend(self.nodes(&block.body)?);
                Node::Scoped(nodes)
            }
            ast::Stmt::Do(call) => Node::Do(self.call(&call.call.expr, &call.call.args)?),
            _ => return Err("the template has a block of a kind that is not supported".to_owned()),
        })
    }

    /// The filters of a block, the innermost of `value`.
    fn filtered(&mut self, filter: &ast::Expr<'_>, value: Expr) -> Compiled<Expr> {
        let ast::Expr::Filter(filter) = filter else {
            return Err("a block has a filter that is none".to_owned());
        };
        let value = match &filter.expr {
            Some(inner) => self.filtered(inner, value)?,
            None => value,
        };
        if !super::filters::is_filter(filter.name) {
            return Err(format!("there is no filter `{}`", filter.name));
        }
        let arguments = self.arguments(&filter.args)?;
        Ok(Expr::Filter(filter.name.to_owned(), Box::new(value), arguments))
    }

    fn target(&mut self, target: &ast::Expr<'_>) -> Compiled<Target> {
        match target {
            ast::Expr::Var(var) => {
                self.defined.push(var.id.to_owned());
                Ok(Target::Name(var.id.to_owned()))
            }
            ast::Expr::GetAttr(attribute) => match &attribute.expr {
                ast::Expr::Var(var) => {
                    Ok(Target::Attribute(var.id.to_owned(), attribute.name.to_owned()))
                }
                _ => Err("nothing can be set there".to_owned()),
            },
            ast::Expr::List(list) => self.targets(&list.items),
            ast::Expr::Tuple(tuple) => self.targets(&tuple.items),
            _ => Err("nothing can be set there".to_owned()),
        }
    }

    fn targets(&mut self, targets: &[ast::Expr<'_>]) -> Compiled<Target> {
        let targets = targets.iter().map(|target| self.target(target)).collect::<Compiled<_>>()?;
        Ok(Target::Several(targets))
    }

    fn boxed(&mut self, expr: &ast::Expr<'_>) -> Compiled<Box<Expr>> {
        self.expr(expr).map(Box::new)
    }

    fn exprs(&mut self, exprs: &[ast::Expr<'_>]) -> Compiled<Vec<Expr>> {
        exprs.iter().map(|expr| self.expr(expr)).collect()
    }

    fn call(&mut self, called: &ast::Expr<'_>, args: &[ast::CallArg<'_>]) -> Compiled<Expr> {
        // A method sees all of its value, but for `get`, which says what it looks at.
        if let ast::Expr::GetAttr(method) = called
            && let ast::Expr::Var(var) = &method.expr
        {
            match args.first() {
                Some(ast::CallArg::Pos(part)) if method.name == "get" => self.part(var.id, part),
                _ => self.whole.push(var.id.to_owned()),
            }
        }
        Ok(Expr::Call(self.boxed(called)?, self.arguments(args)?))
    }

    /// Takes note that `part` of a variable is looked at.
    fn part(&mut self, variable: &str, part: &ast::Expr<'_>) {
        match part {
            ast::Expr::Const(part) if part.value.as_str().is_some() => {
                let part = part.value.as_str().unwrap_or_default();
                self.parts.push((variable.to_owned(), part.to_owned()));
            }
            _ => self.whole.push(variable.to_owned()),
        }
    }

    /// What an attribute or an item is taken of: a variable is then not used as a whole.
    fn owner(&mut self, owner: &ast::Expr<'_>) -> Compiled<Box<Expr>> {
        match owner {
            ast::Expr::Var(var) => {
                self.used.push(var.id.to_owned());
                Ok(Box::new(Expr::Var(var.id.to_owned())))
            }
            other => self.boxed(other),
        }
    }

    fn arguments(&mut self, args: &[ast::CallArg<'_>]) -> Compiled<Arguments> {
        let mut arguments = Arguments::default();
        for arg in args {
            match arg {
                ast::CallArg::Pos(expr) => arguments.positional.push(self.expr(expr)?),
                ast::CallArg::Kwarg(name, expr) => {
                    arguments.named.push(((*name).to_owned(), self.expr(expr)?));
                }
                _ => return Err("`*` and `**` in a call are not supported".to_owned()),
            }
        }
        Ok(arguments)
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each kind of expression")]
    fn expr(&mut self, expr: &ast::Expr<'_>) -> Compiled<Expr> {
        Ok(match expr {
            ast::Expr::Var(var) => {
                self.used.push(var.id.to_owned());
                self.whole.push(var.id.to_owned());
                Expr::Var(var.id.to_owned())
            }
            ast::Expr::Const(constant) => Expr::Literal(literal(&constant.value)?),
            ast::Expr::List(list) => Expr::List(self.exprs(&list.items)?),
            ast::Expr::Tuple(tuple) => Expr::Tuple(self.exprs(&tuple.items)?),
            ast::Expr::Map(map) => {
                let entries = map.keys.iter().zip(&map.values);
                let pairs = entries.map(|(key, value)| Ok((self.expr(key)?, self.expr(value)?)));
                Expr::Dict(pairs.collect::<Compiled<_>>()?)
            }
            ast::Expr::GetAttr(get) => {
                if let ast::Expr::Var(var) = &get.expr {
                    self.parts.push((var.id.to_owned(), get.name.to_owned()));
                }
                Expr::Attribute(self.owner(&get.expr)?, get.name.to_owned())
            }
            ast::Expr::GetItem(get) => {
                if let ast::Expr::Var(var) = &get.expr {
                    self.part(var.id, &get.subscript_expr);
                }
                Expr::Item(self.owner(&get.expr)?, self.boxed(&get.subscript_expr)?)
            }
            ast::Expr::Slice(slice) => {
                let mut part = |part: &Option<ast::Expr<'_>>| {
                    part.as_ref().map(|part| self.boxed(part)).transpose()
                };
                let bounds = [part(&slice.start)?, part(&slice.stop)?, part(&slice.step)?];
                Expr::Slice(self.boxed(&slice.expr)?, bounds)
            }
            ast::Expr::Call(call) => self.call(&call.expr, &call.args)?,
            ast::Expr::Filter(filter) => {
                let Some(value) = &filter.expr else {
                    return Err("a filter without a value is not supported".to_owned());
                };
                if !super::filters::is_filter(filter.name) {
                    return Err(format!("there is no filter `{}`", filter.name));
                }
                let value = self.boxed(value)?;
                Expr::Filter(filter.name.to_owned(), value, self.arguments(&filter.args)?)
            }
            ast::Expr::Test(test) => {
                if !super::tests_of::is_test(test.name) {
                    return Err(format!("there is no test `{}`", test.name));
                }
                let value = self.boxed(&test.expr)?;
                Expr::Test(test.name.to_owned(), value, self.arguments(&test.args)?)
            }
            ast::Expr::UnaryOp(unary) => match unary.op {
                ast::UnaryOpKind::Not => Expr::Not(self.boxed(&unary.expr)?),
                ast::UnaryOpKind::Neg => Expr::Negate(self.boxed(&unary.expr)?),
            },
            ast::Expr::BinOp(binary) => self.binary(binary)?,
            ast::Expr::Compare(compare) => {
                let mut chain = Vec::with_capacity(compare.ops.len());
                let first = self.boxed(&compare.expr)?;
                for step in &compare.ops {
                    let op = match step.op {
                        ast::CompareOpKind::Eq => Comparison::Eq,
                        ast::CompareOpKind::Ne => Comparison::Ne,
                        ast::CompareOpKind::Lt => Comparison::Lt,
                        ast::CompareOpKind::Lte => Comparison::Le,
                        ast::CompareOpKind::Gt => Comparison::Gt,
                        ast::CompareOpKind::Gte => Comparison::Ge,
                        ast::CompareOpKind::In => Comparison::In,
                        ast::CompareOpKind::NotIn => Comparison::NotIn,
                    };
                    chain.push((op, self.expr(&step.expr)?));
                }
                Expr::Compare(first, chain)
            }
            ast::Expr::IfExpr(branch) => Expr::If(
                self.boxed(&branch.test_expr)?,
                self.boxed(&branch.true_expr)?,
                branch.false_expr.as_ref().map(|expr| self.boxed(expr)).transpose()?,
            ),
        })
    }

    fn binary(&mut self, binary: &ast::BinOp<'_>) -> Compiled<Expr> {
        let (left, right) = (self.boxed(&binary.left)?, self.boxed(&binary.right)?);
        let compare = |op, left, right: Box<Expr>| Expr::Compare(left, vec![(op, *right)]);
        let operator = match binary.op {
            ast::BinOpKind::ScAnd => return Ok(Expr::And(left, right)),
            ast::BinOpKind::ScOr => return Ok(Expr::Or(left, right)),
            ast::BinOpKind::Eq => return Ok(compare(Comparison::Eq, left, right)),
            ast::BinOpKind::Ne => return Ok(compare(Comparison::Ne, left, right)),
            ast::BinOpKind::Lt => return Ok(compare(Comparison::Lt, left, right)),
            ast::BinOpKind::Lte => return Ok(compare(Comparison::Le, left, right)),
            ast::BinOpKind::Gt => return Ok(compare(Comparison::Gt, left, right)),
            ast::BinOpKind::Gte => return Ok(compare(Comparison::Ge, left, right)),
            ast::BinOpKind::In => return Ok(compare(Comparison::In, left, right)),
            ast::BinOpKind::Add => Operator::Add,
            ast::BinOpKind::Sub => Operator::Sub,
            ast::BinOpKind::Mul => Operator::Mul,
            ast::BinOpKind::Div => Operator::Div,
            ast::BinOpKind::FloorDiv => Operator::FloorDiv,
            ast::BinOpKind::Rem => Operator::Rem,
            ast::BinOpKind::Pow => Operator::Pow,
            ast::BinOpKind::Concat => Operator::Concat,
        };
        Ok(Expr::Binary(operator, left, right))
    }
}

fn literal(value: &minijinja::Value) -> Compiled<Literal> {
    Ok(match value.kind() {
        ValueKind::None | ValueKind::Undefined => Literal::None,
        ValueKind::Bool => Literal::Bool(value.is_true()),
        ValueKind::String => Literal::Str(value.as_str().unwrap_or_default().to_owned()),
        ValueKind::Number => match i128::try_from(value.clone()) {
            Ok(int) if value.is_integer() => Literal::Int(int),
            _ => Literal::Float(
                f64::try_from(value.clone()).map_err(|_| "the number is too large".to_owned())?,
            ),
        },
        _ => return Err("the template has a constant of a kind that is not supported".to_owned()),
    })
}
