//! Binding transformations: what their parameters say is checked and made ready once.

use super::compile::Scope;
use super::expression::Expr;
use super::number::Number;
use super::text;
use super::transform::{ItemStep, Step, Take};
use crate::config::model::{OneOrMany, Transform};
use crate::config::transform::{ConcatSpec, CurrencySpec, Part, RegexReplaceSpec, SplitSpec};
use crate::problem::ConfigPath;

/// Binds a mapping's transformations, which stand at `at`; those with problems are left out, the problems noted.
pub(super) fn steps(
    transforms: Option<&OneOrMany<Transform>>,
    scope: &mut Scope<'_>,
    at: &ConfigPath,
) -> Vec<Step> {
    match transforms {
        None => Vec::new(),
        Some(OneOrMany::One(one)) => step(one, scope, at).into_iter().collect(),
        Some(OneOrMany::Many(many)) => many
            .iter()
            .enumerate()
            .filter_map(|(index, transform)| step(transform, scope, &at.index(index)))
            .collect(),
    }
}

fn step(spec: &Transform, scope: &mut Scope<'_>, at: &ConfigPath) -> Option<Step> {
    Some(match spec {
        Transform::Concat(spec) => return concat(spec, scope, &at.key("concat")),
        Transform::ToArray => Step::ToArray,
        Transform::ToString => Step::ToText,
        Transform::ParseJson => Step::ParseJson,
        Transform::StringifyJson => Step::StringifyJson,
        Transform::Custom(source) => {
            Step::Custom(Expr::value(source, true, scope, &at.key("custom"))?)
        }
        Transform::Map(spec) => Step::Map {
            values: spec.values.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
            default: spec.default.clone(),
        },
        Transform::Default(value) => Step::Default(value.clone()),
        other => Step::Item(item(other, scope, at)?),
    })
}

fn item(spec: &Transform, scope: &mut Scope<'_>, at: &ConfigPath) -> Option<ItemStep> {
    Some(match spec {
        Transform::Uppercase => ItemStep::Text(text::uppercase),
        Transform::Lowercase => ItemStep::Text(text::lowercase),
        Transform::Capitalize => ItemStep::Text(text::capitalize),
        Transform::Title => ItemStep::Text(text::title),
        Transform::Trim => ItemStep::Text(text::trim),
        Transform::Truncate(len) => ItemStep::Truncate(*len as usize),
        Transform::Replace(spec) => {
            if spec.from.is_empty() {
                scope.problem(&at.key("replace").key("from"), "an empty text cannot be replaced");
                return None;
            }
            ItemStep::Replace { from: spec.from.clone(), to: spec.to.clone() }
        }
        Transform::RegexReplace(spec) => {
            return regex_replace(spec, scope, &at.key("regex_replace"));
        }
        Transform::Split(spec) => return split(spec, scope, &at.key("split")),
        Transform::Round(places) => ItemStep::Round(*places),
        Transform::Floor => ItemStep::Number(Number::floor),
        Transform::Ceil => ItemStep::Number(|number| number.negated().floor().negated()),
        Transform::Abs => ItemStep::Number(Number::abs),
        Transform::Multiply(by) => ItemStep::Multiply(finite(*by, scope, &at.key("multiply"))?),
        Transform::Divide(by) => return divide(*by, scope, &at.key("divide")),
        Transform::Add(other) => ItemStep::Add(finite(*other, scope, &at.key("add"))?),
        Transform::Subtract(other) => {
            ItemStep::Add(finite(*other, scope, &at.key("subtract"))?.negated())
        }
        Transform::CurrencyConvert(spec) => {
            return currency(spec, scope, &at.key("currency_convert"));
        }
        Transform::ParseDate(formats) => {
            return parse_date(formats, scope, &at.key("parse_date"));
        }
        Transform::FormatDate(format) => {
            if !scope.date_format(format, false, &at.key("format_date")) {
                return None;
            }
            ItemStep::FormatDate(format.clone())
        }
        Transform::AddDays(days) => ItemStep::AddDays(*days),
        Transform::SubtractDays(days) => ItemStep::AddDays(days.saturating_neg()),
        Transform::ToTimestamp => ItemStep::ToTimestamp,
        Transform::ToIsoString => ItemStep::ToIsoText,
        Transform::ToDate => ItemStep::ToDate,
        Transform::ExtractYear => ItemStep::Extract(|date| i64::from(date.year())),
        Transform::ExtractMonth => ItemStep::Extract(|date| i64::from(date.month())),
        Transform::ExtractDay => ItemStep::Extract(|date| i64::from(date.day())),
        Transform::ToNumber => ItemStep::ToNumber,
        Transform::ToBoolean => ItemStep::ToBoolean,
        // Bound by `step`, as they take lists whole.
        Transform::Concat(_)
        | Transform::ToArray
        | Transform::ToString
        | Transform::ParseJson
        | Transform::StringifyJson
        | Transform::Custom(_)
        | Transform::Map(_)
        | Transform::Default(_) => return None,
    })
}

fn concat(spec: &ConcatSpec, scope: &mut Scope<'_>, at: &ConfigPath) -> Option<Step> {
    let mut fields = Vec::with_capacity(spec.fields.len());
    for (index, field) in spec.fields.iter().enumerate() {
        fields.push(scope.field(field, &at.key("fields").index(index))?);
    }
    Some(Step::Concat {
        fields,
        separator: spec.separator.clone().unwrap_or_else(|| " ".to_owned()),
        before: spec.before.clone(),
        after: spec.after.clone(),
    })
}

fn regex_replace(
    spec: &RegexReplaceSpec,
    scope: &mut Scope<'_>,
    at: &ConfigPath,
) -> Option<ItemStep> {
    let regex = scope.regex(&spec.pattern, &at.key("pattern"))?;
    Some(ItemStep::RegexReplace { regex, to: spec.to.clone() })
}

fn split(spec: &SplitSpec, scope: &mut Scope<'_>, at: &ConfigPath) -> Option<ItemStep> {
    if spec.on.is_empty() {
        scope.problem(&at.key("on"), "an empty text cannot stand between parts");
        return None;
    }
    let take = match spec.take {
        Part::Word(word) => Take::Word(word),
        Part::Index(index) => Take::Index(index),
    };
    Some(ItemStep::Split { on: spec.on.clone(), take })
}

fn finite(number: f64, scope: &mut Scope<'_>, at: &ConfigPath) -> Option<Number> {
    if number.is_finite() {
        return Some(Number::float(number));
    }
    scope.problem(at, "this must be a finite number");
    None
}

fn divide(by: f64, scope: &mut Scope<'_>, at: &ConfigPath) -> Option<ItemStep> {
    if by == 0.0 {
        scope.problem(at, "nothing can be divided by zero");
        return None;
    }
    finite(by, scope, at).map(ItemStep::Divide)
}

fn currency(spec: &CurrencySpec, scope: &mut Scope<'_>, at: &ConfigPath) -> Option<ItemStep> {
    let mut rate = |code: &str, key: &str| match spec.rates.get(code) {
        Some(rate) if rate.is_finite() && *rate > 0.0 => Some(Number::float(*rate)),
        Some(_) => {
            scope.problem(&at.key("rates").key(code), "a rate must be a number above zero");
            None
        }
        None => {
            scope.unknown(
                &at.key(key),
                "rate for currency",
                code,
                spec.rates.keys().map(String::as_str),
            );
            None
        }
    };
    let (from, to) = (rate(&spec.from, "from"), rate(&spec.to, "to"));
    Some(ItemStep::Convert { from: from?, to: to?, digits: spec.digits })
}

fn parse_date(
    formats: &OneOrMany<String>,
    scope: &mut Scope<'_>,
    at: &ConfigPath,
) -> Option<ItemStep> {
    if formats.as_slice().is_empty() {
        scope.problem(at, "at least one date format is needed");
        return None;
    }
    let mut good = true;
    for (index, format) in formats.as_slice().iter().enumerate() {
        let at = match formats {
            OneOrMany::One(_) => at.clone(),
            OneOrMany::Many(_) => at.index(index),
        };
        good &= scope.date_format(format, true, &at);
    }
    good.then(|| ItemStep::ParseDate(formats.as_slice().to_vec()))
}
