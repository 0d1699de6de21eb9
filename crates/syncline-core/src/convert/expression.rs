//! Expressions over a record's fields: native where they are simple, else run by minijinja with a step limit.
//!
//! The engine is handed the fields that an expression names and no others.

use super::compile::Scope;
use super::number::Number;
use super::predicate::Node;
use super::row::{Roots, Row};
use crate::problem::ConfigPath;
use crate::value::{Cell, Value};
use compact_str::CompactString;
use minijinja::value::{Enumerator, Object, Value as Var, ValueKind};
use minijinja::{Environment, ErrorKind, Expression, UndefinedBehavior};
use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, LazyLock};

/// Steps that one evaluation may take; 64 bytes of output count as a step too.
const FUEL: u64 = 50_000;
/// The longest text that an expression or template may give, in bytes.
pub(super) const OUTPUT_BYTES_MAX: usize = 1 << 20;

static ENGINE: LazyLock<Environment<'static>> = LazyLock::new(engine);

/// An engine in which absent fields are empty, null renders as nothing, and numbers render as they do elsewhere.
pub(super) fn engine() -> Environment<'static> {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Chainable);
    engine.set_fuel(Some(FUEL));
    engine.set_debug(true);
    engine.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    engine.set_formatter(|out, _, var| {
        match from_engine(var) {
            Ok(Some(value)) => out.write_str(&value.to_plain())?,
            Ok(None) => {}
            Err(message) => {
                return Err(minijinja::Error::new(ErrorKind::InvalidOperation, message));
            }
        }
        Ok(())
    });
    engine
}

/// A compiled expression.
#[derive(Debug)]
pub(super) enum Expr {
    Native(Node),
    Engine(Box<Evaluated>),
}

/// An expression that the engine runs.
#[derive(Debug)]
pub(super) struct Evaluated {
    expression: Expression<'static, 'static>,
    fields: Fields,
}

impl Expr {
    /// Compiles an expression that gives a value.
    pub(super) fn value(
        source: &str,
        with_value: bool,
        scope: &mut Scope<'_>,
        at: &ConfigPath,
    ) -> Option<Self> {
        match Node::parse(source, with_value, &mut scope.roots) {
            Some(node) if node.is_boolean() || matches!(node, Node::Bare(_)) => {
                Some(Self::Native(node))
            }
            _ => Self::evaluated(source, with_value, scope, at),
        }
    }

    /// Compiles an expression that holds or not.
    pub(super) fn predicate(
        source: &str,
        with_value: bool,
        scope: &mut Scope<'_>,
        at: &ConfigPath,
    ) -> Option<Self> {
        match Node::parse(source, with_value, &mut scope.roots) {
            Some(node) => Some(Self::Native(node)),
            None => Self::evaluated(source, with_value, scope, at),
        }
    }

    fn evaluated(
        source: &str,
        with_value: bool,
        scope: &mut Scope<'_>,
        at: &ConfigPath,
    ) -> Option<Self> {
        let expression = match ENGINE.compile_expression_owned(source.to_owned()) {
            Ok(expression) => expression,
            Err(error) => {
                note(&error, "expression", Some(source), scope, at);
                return None;
            }
        };
        let named = expression.undeclared_variables(false);
        let fields = Fields::new(source, named, with_value, &mut scope.roots);
        if let Err(error) = expression.eval(fields.none())
            && is_unknown(error.kind())
        {
            note(&error, "expression", Some(source), scope, at);
            return None;
        }
        Some(Self::Engine(Box::new(Evaluated { expression, fields })))
    }

    /// The result; `None` where the expression comes to nothing.
    ///
    /// # Errors
    ///
    /// What went wrong: wrong types, too many steps, too long a text.
    pub(super) fn eval(&self, row: &Row<'_>, value: Option<&Value>) -> Result<Cell, String> {
        match self {
            Self::Native(node) => Ok(node.eval(row, value)),
            Self::Engine(evaluated) => from_engine(&evaluated.run(row, value)?),
        }
    }

    /// Whether the result counts as true.
    ///
    /// # Errors
    ///
    /// As [`Expr::eval`].
    pub(super) fn holds(&self, row: &Row<'_>, value: Option<&Value>) -> Result<bool, String> {
        match self {
            Self::Native(node) => Ok(node.holds(row, value)),
            Self::Engine(evaluated) => evaluated.run(row, value).map(|var| var.is_true()),
        }
    }
}

impl Evaluated {
    fn run(&self, row: &Row<'_>, value: Option<&Value>) -> Result<Var, String> {
        self.expression.eval(self.fields.bind(row, value)).map_err(|error| reason(&error))
    }
}

/// The fields that an expression or template names.
#[derive(Debug)]
pub(super) struct Fields {
    names: Arc<[CompactString]>,
    sources: Vec<FieldSource>,
    /// Null is handed over as nothing, so that joining text does not spell `none`; unless the expression
    /// asks for null itself.
    null_as_nothing: bool,
}

#[derive(Clone, Copy, Debug)]
enum FieldSource {
    Root(usize),
    /// The value under transformation or validation.
    Value,
    /// All fields, by name.
    Record,
}

impl Fields {
    /// The fields behind `named`, which stand in `source`.
    pub(super) fn new(
        source: &str,
        named: HashSet<String>,
        with_value: bool,
        roots: &mut Roots,
    ) -> Self {
        let named: BTreeSet<String> = named.into_iter().collect();
        let bind = |name: &String| match name.as_str() {
            "value" if with_value => FieldSource::Value,
            "record" => FieldSource::Record,
            name => FieldSource::Root(roots.intern(name)),
        };
        Self {
            sources: named.iter().map(bind).collect(),
            names: named.iter().map(CompactString::from).collect(),
            null_as_nothing: !["none", "None", "defined"].iter().any(|word| source.contains(word)),
        }
    }

    /// The fields of a record.
    pub(super) fn bind(&self, row: &Row<'_>, value: Option<&Value>) -> Var {
        let of = |source: &FieldSource| match source {
            FieldSource::Root(index) => self.var(row.root(*index)),
            FieldSource::Value => self.var(value),
            FieldSource::Record => self.record(row),
        };
        let values = self.sources.iter().map(of).collect();
        Var::from_object(Bound { names: Arc::clone(&self.names), values })
    }

    /// The fields of a record that has none.
    pub(super) fn none(&self) -> Var {
        let values = vec![Var::UNDEFINED; self.names.len()];
        Var::from_object(Bound { names: Arc::clone(&self.names), values })
    }

    fn var(&self, cell: Option<&Value>) -> Var {
        match cell {
            None => Var::UNDEFINED,
            Some(Value::Null) if self.null_as_nothing => Var::UNDEFINED,
            Some(value) => to_engine(value),
        }
    }

    fn record(&self, row: &Row<'_>) -> Var {
        let cells = row.shape.names().iter().enumerate();
        Var::from_pairs(cells.filter_map(|(index, name)| {
            row.record.cell(index).map(|value| (name.to_string(), self.var(Some(value))))
        }))
    }
}

/// Values by name, as the engine asks for them.
#[derive(Debug)]
struct Bound {
    names: Arc<[CompactString]>,
    values: Vec<Var>,
}

impl Object for Bound {
    fn get_value(self: &Arc<Self>, key: &Var) -> Option<Var> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Var> {
        let index = self.names.iter().position(|name| name == key)?;
        self.values.get(index).filter(|var| !var.is_undefined()).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.names.iter().map(|name| Var::from(name.as_str())).collect())
    }
}

/// Notes in `scope` what the engine found wrong with `source`; without one, its positions mean nothing to the user.
pub(super) fn note(
    error: &minijinja::Error,
    what: &str,
    source: Option<&str>,
    scope: &mut Scope<'_>,
    at: &ConfigPath,
) {
    let part = source.zip(error.range()).and_then(|(source, bytes)| {
        let start = source.get(..bytes.start)?.chars().count();
        let len = source.get(bytes)?.chars().count();
        (len > 0).then_some(start..start + len)
    });
    let braces = what == "expression" && source.is_some_and(|source| source.contains("{{"));
    let problem = scope.problem(at, format!("bad {what}: {}", reason(error)));
    problem.part = part;
    problem.help = Some(if braces {
        "write an expression without braces: `Amount * 1.2`".to_owned()
    } else {
        "a field whose name is no plain word is written `record[\"First Name\"]`".to_owned()
    });
}

/// Whether the engine met a name that it does not know.
pub(super) fn is_unknown(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction)
}

/// What the engine says, in a line.
pub(super) fn reason(error: &minijinja::Error) -> String {
    match error.kind() {
        ErrorKind::OutOfFuel => "it takes too many steps".to_owned(),
        kind => error.detail().map_or_else(|| kind.to_string(), str::to_owned),
    }
}

fn to_engine(value: &Value) -> Var {
    match value {
        Value::Null => Var::from(()),
        Value::Bool(b) => Var::from(*b),
        Value::Int(i) => Var::from(*i),
        Value::Float(f) => Var::from(*f),
        Value::Decimal(digits) => match digits.parse::<i128>() {
            Ok(whole) => Var::from(whole),
            Err(_) => digits.parse::<f64>().map_or(Var::UNDEFINED, Var::from),
        },
        Value::Text(text) => Var::from(text.as_str()),
        Value::List(items) => Var::from(items.iter().map(to_engine).collect::<Vec<_>>()),
        Value::Map(entries) => {
            Var::from_pairs(entries.iter().map(|(key, value)| (key.to_string(), to_engine(value))))
        }
    }
}

/// Lists and maps of expressions may nest so deep.
const DEPTH_MAX: u32 = 200;

fn from_engine(var: &Var) -> Result<Cell, String> {
    let value = value_at_depth(var, DEPTH_MAX)?;
    if let Some(Value::Text(text)) = &value
        && text.len() > OUTPUT_BYTES_MAX
    {
        return Err("the result is longer than 1 MiB".to_owned());
    }
    Ok(value)
}

fn value_at_depth(var: &Var, depth: u32) -> Result<Cell, String> {
    if depth == 0 {
        return Err("the result nests too deep".to_owned());
    }
    Ok(Some(match var.kind() {
        ValueKind::Undefined => return Ok(None),
        ValueKind::None => Value::Null,
        ValueKind::Bool => Value::Bool(var.is_true()),
        ValueKind::Number => return number(var).map(Some),
        ValueKind::Seq | ValueKind::Iterable => {
            let items = var.try_iter().map_err(|error| reason(&error))?;
            let item = |var: Var| Ok(value_at_depth(&var, depth - 1)?.unwrap_or(Value::Null));
            Value::List(items.map(item).collect::<Result<_, String>>()?)
        }
        ValueKind::Map => {
            let mut entries = Vec::new();
            for key in var.try_iter().map_err(|error| reason(&error))? {
                let value = var.get_item(&key).map_err(|error| reason(&error))?;
                let value = value_at_depth(&value, depth - 1)?.unwrap_or(Value::Null);
                entries.push((CompactString::from(key.to_string()), value));
            }
            Value::Map(entries)
        }
        ValueKind::String => Value::text(var.as_str().unwrap_or_default()),
        _ => return Err(format!("the result is a {}, which no field can hold", var.kind())),
    }))
}

fn number(var: &Var) -> Result<Value, String> {
    if var.is_integer() {
        let digits = i128::try_from(var.clone()).map_err(|error| reason(&error))?;
        return Number::whole(digits).into_value();
    }
    let f = f64::try_from(var.clone()).map_err(|error| reason(&error))?;
    Number::float(f).into_value()
}
