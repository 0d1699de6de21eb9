//! The functions that templates can call.

use super::Scope;
use super::eval::Args;
use super::moment::{Moment, Period};
use super::value::{Fault, Number, Outcome, Val, compare};
use super::{digest, parse_moment};
use std::cell::RefCell;
use std::cmp::Ordering;
use std::rc::Rc;

const FUNCTIONS: &[&str] = &[
    "camel_case_to_snake_case",
    "day_delta",
    "dict",
    "duration",
    "format_datetime",
    "generate_uuid",
    "max",
    "min",
    "namespace",
    "now_utc",
    "sanitize_url",
    "str_to_datetime",
    "timestamp",
    "today_utc",
    "today_with_timezone",
];

pub(super) fn is_function(name: &str) -> bool {
    FUNCTIONS.contains(&name)
}

pub(super) fn function<'a>(name: &str) -> Option<Val<'a>> {
    FUNCTIONS.iter().find(|known| **known == name).map(|known| Val::Function(known))
}

/// Calls the function `name`.
pub(super) fn call<'a>(name: &str, args: &Args<'a>, scope: &Scope<'a>) -> Outcome<'a> {
    let now = || Moment::from_micros(i128::from(scope.now));
    let text = |index, name| -> Result<String, Fault> {
        args.need(index, name)?.text().map(str::to_owned).ok_or(Fault::Type)
    };
    Ok(match name {
        "now_utc" => Val::Moment(now()?),
        "today_utc" => Val::Moment(now()?.date()),
        "today_with_timezone" => {
            let zone = args.need(0, "timezone")?;
            Val::Moment(today_in(&zone.to_text(), scope.now)?)
        }
        "timestamp" => {
            let value = args.need(0, "dt")?;
            match value.number() {
                Some(Number::Int(int)) => Val::Int(int),
                Some(Number::Float(float)) => Val::Int(float.trunc() as i128),
                None => Val::Float(to_moment(&value)?.micros() as f64 / 1e6),
            }
        }
        "str_to_datetime" => Val::Moment(to_moment(&args.need(0, "s")?)?),
        "format_datetime" => format_datetime(args)?,
        "day_delta" => {
            let days = args.need(0, "num_days")?;
            let days = days.number().ok_or(Fault::Type)?.as_f64();
            let micros = (days * 86_400e6).round() as i128;
            let format = match args.get(1, "format") {
                Some(format) => format.text().map(str::to_owned).ok_or(Fault::Type)?,
                None => "%Y-%m-%dT%H:%M:%S.%f%z".to_owned(),
            };
            Val::str(now()?.plus(&Period { micros, months: 0 })?.strftime(&format))
        }
        "duration" => Val::Period(Period::parse(&text(0, "datestring")?)?),
        "json_loads" => {
            let parsed = serde_json::from_str(&text(0, "s")?);
            Val::owned(&parsed.map_err(|_| Fault::error("the text is no JSON"))?)
        }
        "max" => extreme(args, Ordering::Greater)?,
        "min" => extreme(args, Ordering::Less)?,
        "sanitize_url" => Val::str(digest::percent_encode(&text(0, "value")?, "_.-~", true)),
        "camel_case_to_snake_case" => Val::str(snake_case(&text(0, "value")?)),
        "generate_uuid" => Val::str(digest::random_uuid()?),
        _ => {
            let mut entries = match args.get(0, "") {
                None => Vec::new(),
                Some(of) => match of.entries() {
                    Some(entries) => entries,
                    None => pairs(&of)?,
                },
            };
            entries.extend(args.pairs());
            Val::Dict(Rc::new(RefCell::new(entries)))
        }
    })
}

/// The pairs of a list, as a map takes them.
fn pairs<'a>(of: &Val<'a>) -> Result<Vec<(Val<'a>, Val<'a>)>, Fault> {
    let pair = |item: Val<'a>| match item.items()?.as_slice() {
        [key, value] if key.is_hashable() => Ok((key.clone(), value.clone())),
        _ => Err(Fault::error("a map takes pairs")),
    };
    of.items()?.into_iter().map(pair).collect()
}

/// The moment that text in ISO 8601 names.
fn to_moment(value: &Val<'_>) -> Result<Moment, Fault> {
    match value {
        Val::Str(text) => parse_moment::iso(text),
        Val::Undefined => Err(Fault::Undefined("a date is not there".to_owned())),
        // What has a length below that of a year counts as a date that is none.
        value => match value.len() {
            Ok(length) if length < 4 => Err(Fault::error("that is no ISO 8601 date")),
            _ => Err(Fault::Type),
        },
    }
}

fn today_in(zone: &str, now: i64) -> Result<Moment, Fault> {
    let unknown = |_| Fault::error(format!("there is no time zone `{zone}`"));
    let now = jiff::Timestamp::from_microsecond(now).map_err(unknown)?;
    let civil = now.in_tz(zone).map_err(unknown)?.datetime();
    Ok(Moment { civil, offset: None, is_date: false }.date())
}

fn format_datetime<'a>(args: &Args<'a>) -> Outcome<'a> {
    let format = args.need(1, "format")?;
    let value = args.need(0, "dt")?;
    let input = match args.get(2, "input_format") {
        Some(input) if input.truthy() => Some(input.text().map(str::to_owned).ok_or(Fault::Type)?),
        _ => None,
    };
    if let Val::Moment(moment) = &value
        && !moment.is_date
    {
        return Ok(Val::str(moment.strftime(format.text().ok_or(Fault::Type)?)));
    }
    let moment = match (value.number(), &input) {
        (Some(Number::Int(int)), _) => {
            let text = match &value {
                Val::Bool(_) if input.is_some() => value.to_text().into_owned(),
                _ => int.to_string(),
            };
            parse_moment::parse(&text, input.as_deref().unwrap_or("%s"))?
        }
        (_, Some(input)) => parse_moment::strptime(value.text().ok_or(Fault::Type)?, input)?,
        (_, None) => to_moment(&value)?,
    };
    let format = format.text().ok_or(Fault::Type)?;
    Ok(Val::str(parse_moment::format(&moment.or_utc(), format)))
}

fn extreme<'a>(args: &Args<'a>, wanted: Ordering) -> Outcome<'a> {
    let items = match args.positional.as_slice() {
        [] => return Err(Fault::Type),
        [only] => only.items()?,
        several => several.to_vec(),
    };
    let mut items = items.into_iter();
    let mut best = items.next().ok_or_else(|| Fault::error("an empty list has no extreme"))?;
    for item in items {
        if compare(&item, &best)? == Some(wanted) {
            best = item;
        }
    }
    Ok(best)
}

/// `CamelCase` as `camel_case`.
pub(crate) fn snake_case(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 4);
    for (index, c) in text.chars().enumerate() {
        if index > 0 && c.is_ascii_uppercase() {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}
