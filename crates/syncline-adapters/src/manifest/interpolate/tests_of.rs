//! The tests: `value is name`.

use super::compile::Comparison;
use super::eval::{Args, holds};
use super::text::{is_lower, is_upper};
use super::value::{Fault, Number, Val, equal, is_list};
use super::{filters, operate};

const TESTS: &[&str] = &[
    "!=",
    "<",
    "<=",
    "==",
    ">",
    ">=",
    "boolean",
    "callable",
    "defined",
    "divisibleby",
    "eq",
    "equalto",
    "escaped",
    "even",
    "false",
    "filter",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "integer",
    "iterable",
    "le",
    "lessthan",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sameas",
    "sequence",
    "string",
    "test",
    "true",
    "undefined",
    "upper",
];

pub(super) fn is_test(name: &str) -> bool {
    TESTS.contains(&name.to_ascii_lowercase().as_str())
}

/// Whether `value is name(args)`.
pub(super) fn test<'a>(name: &str, value: &Val<'a>, args: &Args<'a>) -> Result<bool, Fault> {
    let other = || args.need(0, "other");
    let whole = || match value.number() {
        Some(Number::Int(int)) => Ok(int),
        Some(Number::Float(float)) => Ok(float.trunc() as i128),
        None if matches!(value, Val::Undefined) => {
            Err(Fault::Undefined("a number is not there".to_owned()))
        }
        None => Err(Fault::Type),
    };
    let remainder = || match value.number() {
        Some(Number::Float(float)) => Ok(float.rem_euclid(2.0)),
        _ => whole().map(|int| int.rem_euclid(2) as f64),
    };
    Ok(match name.to_ascii_lowercase().as_str() {
        "none" => matches!(value, Val::None),
        "defined" => !matches!(value, Val::Undefined),
        "undefined" => matches!(value, Val::Undefined),
        "true" => matches!(value, Val::Bool(true)),
        "false" => matches!(value, Val::Bool(false)),
        "boolean" => matches!(value, Val::Bool(_)),
        "integer" => matches!(value, Val::Int(_)),
        "float" => matches!(value, Val::Float(_)),
        "number" => value.number().is_some(),
        "string" => matches!(value, Val::Str(_)),
        "mapping" => value.is_map(),
        "iterable" => value.items().is_ok(),
        "sequence" => {
            matches!(value, Val::Str(_) | Val::Tuple(_) | Val::Undefined)
                || value.is_map()
                || is_list(value)
        }
        "callable" => matches!(value, Val::Function(_) | Val::Method(..)),
        "lower" => is_lower(&value.to_text()),
        "upper" => is_upper(&value.to_text()),
        "filter" | "test" if !value.is_hashable() => return Err(Fault::Type),
        "filter" => filters::is_filter(&value.to_text()),
        "test" => is_test(&value.to_text()),
        "escaped" => false,
        "even" => remainder()? == 0.0,
        "odd" => remainder()? == 1.0,
        "divisibleby" => match args.need(0, "num")?.number() {
            Some(Number::Int(0)) => return Err(Fault::error("a number is divided by zero")),
            Some(Number::Int(by)) => whole()? % by == 0,
            _ => return Err(Fault::Type),
        },
        "sameas" => match (value, &other()?) {
            (Val::Bool(a), Val::Bool(b)) => a == b,
            (Val::None, Val::None) => true,
            (Val::Bool(_), _) | (_, Val::Bool(_)) => false,
            (a, b) => equal(a, b),
        },
        "eq" | "equalto" | "==" => equal(value, &other()?),
        "ne" | "!=" => !equal(value, &other()?),
        "lt" | "lessthan" | "<" => holds(Comparison::Lt, value, &other()?)?,
        "le" | "<=" => holds(Comparison::Le, value, &other()?)?,
        "gt" | "greaterthan" | ">" => holds(Comparison::Gt, value, &other()?)?,
        "ge" | ">=" => holds(Comparison::Ge, value, &other()?)?,
        _ => operate::contains(&args.need(0, "seq")?, value)?,
    })
}
