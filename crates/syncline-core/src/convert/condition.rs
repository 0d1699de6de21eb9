//! Conditions: a source value against a fixed one.

use super::compile::Scope;
use super::number::Number;
use super::row::{FieldPath, Row};
use crate::config::model::{Condition, Operator};
use crate::problem::ConfigPath;
use crate::value::Value;
use regex::Regex;
use std::cmp::Ordering;

/// A condition on a source field.
#[derive(Debug)]
pub(super) struct Check {
    path: FieldPath,
    test: Test,
}

impl Check {
    /// Compiles `condition`; what is wrong with it is noted in `scope`.
    pub(super) fn compile(
        condition: &Condition,
        scope: &mut Scope<'_>,
        at: &ConfigPath,
    ) -> Option<Self> {
        let path = scope.field(&condition.field, &at.key("field"))?;
        let test = Test::compile(condition, scope, at)?;
        Some(Self { path, test })
    }

    /// Whether the record meets it.
    pub(super) fn holds(&self, row: &Row<'_>) -> bool {
        self.test.holds(row.get(&self.path))
    }
}

/// What a condition asks of a value, wherever that comes from.
#[derive(Debug)]
pub(super) enum Test {
    Equal(Value),
    Unequal(Value),
    /// Compared as the predicate says.
    Ordered(Value, fn(Ordering) -> bool),
    Contains(Value),
    Lacks(Value),
    StartsWith(String),
    EndsWith(String),
    In(Vec<Value>),
    NotIn(Vec<Value>),
    Exists,
    NotExists,
    IsNull,
    IsNotNull,
    Regex(Regex),
}

impl Test {
    /// Compiles the operator and value of `condition`; what is wrong is noted in `scope`.
    pub(super) fn compile(
        condition: &Condition,
        scope: &mut Scope<'_>,
        at: &ConfigPath,
    ) -> Option<Self> {
        match condition.op {
            Operator::Exists => return Some(Self::Exists),
            Operator::NotExists => return Some(Self::NotExists),
            Operator::IsNull => return Some(Self::IsNull),
            Operator::IsNotNull => return Some(Self::IsNotNull),
            _ => {}
        }
        let at_value = at.key("value");
        let Some(value) = condition.value.clone() else {
            let problem = scope.problem(at, "this operator needs a `value` to compare with");
            problem.help = Some("to ask for null, use `is_null` or `is_not_null`".to_owned());
            return None;
        };
        match (condition.op, value) {
            (Operator::In, Value::List(items)) => Some(Self::In(items)),
            (Operator::NotIn, Value::List(items)) => Some(Self::NotIn(items)),
            (Operator::In | Operator::NotIn, _) => {
                let problem = scope.problem(&at_value, "`in` and `not_in` need a list of values");
                problem.help = Some("write it as `[a, b, c]`".to_owned());
                None
            }
            (Operator::Regex, Value::Text(pattern)) => {
                scope.regex(&pattern, &at_value).map(Self::Regex)
            }
            (Operator::Regex, _) => {
                scope.problem(&at_value, "`regex` needs a pattern as text");
                None
            }
            (_, Value::List(_) | Value::Map(_)) => {
                scope.problem(
                    &at_value,
                    "this operator compares with one value, not with a list or map",
                );
                None
            }
            (op, value) => Some(Self::comparing(op, value)),
        }
    }

    fn comparing(op: Operator, value: Value) -> Self {
        match op {
            Operator::Neq => Self::Unequal(value),
            Operator::Gt => Self::Ordered(value, Ordering::is_gt),
            Operator::Gte => Self::Ordered(value, Ordering::is_ge),
            Operator::Lt => Self::Ordered(value, Ordering::is_lt),
            Operator::Lte => Self::Ordered(value, Ordering::is_le),
            Operator::Contains => Self::Contains(value),
            Operator::NotContains => Self::Lacks(value),
            Operator::StartsWith => Self::StartsWith(value.to_plain().into_owned()),
            Operator::EndsWith => Self::EndsWith(value.to_plain().into_owned()),
            _ => Self::Equal(value),
        }
    }

    /// Whether `found` meets it. An absent or null value meets only what asks for its lack.
    pub(super) fn holds(&self, found: Option<&Value>) -> bool {
        let known = found.filter(|value| !value.is_null());
        let is = |test: fn(&Value, &str) -> bool, text: &str| known.is_some_and(|v| test(v, text));
        match self {
            Self::Equal(value) => known.is_some_and(|found| equal(found, value)),
            Self::Unequal(value) => !known.is_some_and(|found| equal(found, value)),
            Self::Ordered(value, wanted) => {
                known.and_then(|found| compare(found, value)).is_some_and(wanted)
            }
            Self::Contains(value) => known.is_some_and(|found| contains(found, value)),
            Self::Lacks(value) => !known.is_some_and(|found| contains(found, value)),
            Self::StartsWith(text) => is(|v, text| v.to_plain().starts_with(text), text),
            Self::EndsWith(text) => is(|v, text| v.to_plain().ends_with(text), text),
            Self::In(values) => known.is_some_and(|found| values.iter().any(|v| equal(found, v))),
            Self::NotIn(values) => {
                !known.is_some_and(|found| values.iter().any(|v| equal(found, v)))
            }
            Self::Exists => found.is_some(),
            Self::NotExists => found.is_none(),
            Self::IsNull => known.is_none(),
            Self::IsNotNull => known.is_some(),
            Self::Regex(regex) => known.is_some_and(|found| match found {
                Value::List(_) | Value::Map(_) => false,
                _ => regex.is_match(&found.to_plain()),
            }),
        }
    }
}

/// Whether two values are the same: numbers by value (text that spells one included), `true` and `false` also
/// as text, all else exactly.
pub(super) fn equal(found: &Value, value: &Value) -> bool {
    match (found, value) {
        (Value::Text(a), Value::Text(b)) => a == b,
        (Value::Bool(b), Value::Text(text)) | (Value::Text(text), Value::Bool(b)) => {
            text.trim().eq_ignore_ascii_case(if *b { "true" } else { "false" })
        }
        (Value::List(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        _ if found == value => true,
        _ => compare(found, value) == Some(Ordering::Equal),
    }
}

/// The order of two values: numbers by value where either is a number and the other spells one, text by its code
/// points; `None` where they cannot be compared.
pub(super) fn compare(found: &Value, value: &Value) -> Option<Ordering> {
    match (found, value) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Text(a), Value::Text(b)) => Some(a.as_str().cmp(b.as_str())),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        _ => Number::of(found)?.compare(Number::of(value)?),
    }
}

fn contains(found: &Value, value: &Value) -> bool {
    match found {
        Value::List(items) => items.iter().any(|item| equal(item, value)),
        Value::Map(entries) => entries.iter().any(|(key, _)| *key == *value.to_plain()),
        _ => found.to_plain().contains(&*value.to_plain()),
    }
}
