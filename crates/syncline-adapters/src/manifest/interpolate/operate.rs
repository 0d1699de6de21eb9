//! Operators, attributes, items and slices.

use super::compile::Operator;
use super::methods;
use super::moment::{Moment, Period, micros_of};
use super::value::{Fault, Number, Outcome, Val, equal, is_list};
use serde_json::Value as Json;
use std::rc::Rc;

const TEXT_MAX: usize = 16 << 20;

fn undefined(what: &str) -> Fault {
    Fault::Undefined(format!("`{what}` is asked of something that is not there"))
}

/// `of.name`: a method or an attribute, else what a map holds under the name.
pub(super) fn attribute<'a>(of: &Val<'a>, name: &str) -> Outcome<'a> {
    match of {
        Val::Undefined => return Err(undefined(name)),
        Val::Slice(slice) => {
            if let Some(part) = slice.part(name) {
                return Ok(Val::json(part));
            }
        }
        Val::Moment(moment) => {
            if let Some(value) = moment_attribute(moment, name) {
                return Ok(value);
            }
        }
        Val::Period(period) => {
            if let Some(value) = period_attribute(period, name) {
                return Ok(value);
            }
        }
        _ => {}
    }
    if name.starts_with('_') {
        return Ok(of.entry(&Val::str(name)).unwrap_or(Val::Undefined));
    }
    if methods::is_method(of, name) {
        return Ok(Val::Method(Rc::new(of.clone()), name.into()));
    }
    Ok(of.entry(&Val::str(name)).unwrap_or(Val::Undefined))
}

fn moment_attribute<'a>(moment: &Moment, name: &str) -> Option<Val<'a>> {
    let (date, time) = (moment.civil.date(), moment.civil.time());
    let value = match name {
        "year" => i128::from(date.year()),
        "month" => i128::from(date.month()),
        "day" => i128::from(date.day()),
        _ if moment.is_date => return None,
        "tzinfo" => {
            return Some(moment.offset.map_or(Val::None, |_| Val::str(moment.strftime("%Z"))));
        }
        "hour" => i128::from(time.hour()),
        "minute" => i128::from(time.minute()),
        "second" => i128::from(time.second()),
        "microsecond" => i128::from(micros_of(time)),
        _ => return None,
    };
    Some(Val::Int(value))
}

fn period_attribute<'a>(period: &Period, name: &str) -> Option<Val<'a>> {
    let day = 86_400_000_000;
    Some(Val::Int(match name {
        "days" => period.micros.div_euclid(day),
        "seconds" => period.micros.rem_euclid(day) / 1_000_000,
        "microseconds" => period.micros.rem_euclid(1_000_000),
        "years" if period.months != 0 => i128::from(period.months / 12),
        "months" if period.months != 0 => i128::from(period.months % 12),
        "tdelta" if period.months != 0 => {
            return Some(Val::Period(Period { micros: period.micros, months: 0 }));
        }
        _ => return None,
    }))
}

/// `of[index]`: an item; where there is none, the attribute of that name.
pub(super) fn item<'a>(of: &Val<'a>, index: &Val<'a>) -> Outcome<'a> {
    if matches!(of, Val::Undefined) {
        return Err(undefined(&index.to_text()));
    }
    if of.is_map() {
        if let Some(value) = of.entry(index) {
            return Ok(value);
        }
    } else if let Some(Number::Int(position)) = index.number() {
        let found = match of {
            Val::Str(text) => {
                let chars: Vec<char> = text.chars().collect();
                place(position, chars.len()).map(|index| Val::str(chars[index]))
            }
            Val::Json(Json::Array(items)) => {
                place(position, items.len()).map(|index| Val::json(&items[index]))
            }
            Val::List(_) | Val::Tuple(_) => {
                let items = of.items()?;
                place(position, items.len()).map(|index| items[index].clone())
            }
            _ => None,
        };
        return Ok(found.unwrap_or(Val::Undefined));
    }
    match index.text() {
        Some(name) => attribute(of, name),
        None => Ok(Val::Undefined),
    }
}

fn place(position: i128, len: usize) -> Option<usize> {
    let len = len as i128;
    let position = if position < 0 { position + len } else { position };
    usize::try_from(position).ok().filter(|_| position < len)
}

/// `of[start:stop:step]`.
pub(super) fn slice<'a>(of: &Val<'a>, bounds: [Option<Val<'a>>; 3]) -> Outcome<'a> {
    if matches!(of, Val::Undefined) {
        return Err(undefined("a part"));
    }
    let mut numbers = [None, None, None];
    for (number, bound) in numbers.iter_mut().zip(&bounds) {
        *number = match bound {
            None | Some(Val::None) => None,
            Some(bound) => match bound.number() {
                Some(Number::Int(int)) => Some(int),
                _ => return Err(Fault::Type),
            },
        };
    }
    let [start, stop, step] = numbers;
    let step = step.unwrap_or(1);
    if step == 0 {
        return Err(Fault::error("a slice has no step of zero"));
    }
    let picked = |len: usize| -> Vec<usize> {
        let len = len as i128;
        let (low, high) = if step > 0 { (0, len) } else { (-1, len - 1) };
        let clamp = |bound: i128| (if bound < 0 { bound + len } else { bound }).clamp(low, high);
        let first = start.map_or(if step > 0 { 0 } else { len - 1 }, clamp);
        let end = stop.map_or(if step > 0 { len } else { -1 }, clamp);
        let mut at = first;
        let mut out = Vec::new();
        while (step > 0 && at < end) || (step < 0 && at > end) {
            out.extend(usize::try_from(at).ok());
            at += step;
        }
        out
    };
    Ok(match of {
        Val::Str(text) => {
            let chars: Vec<char> = text.chars().collect();
            Val::str(picked(chars.len()).into_iter().map(|i| chars[i]).collect::<String>())
        }
        Val::Tuple(items) => {
            Val::tuple(picked(items.len()).into_iter().map(|i| items[i].clone()).collect())
        }
        _ if is_list(of) => {
            let items = of.items()?;
            Val::list(picked(items.len()).into_iter().map(|i| items[i].clone()).collect())
        }
        _ => return Err(Fault::Type),
    })
}

/// Whether `item` is in `container`.
pub(super) fn contains<'a>(container: &Val<'a>, item: &Val<'a>) -> Result<bool, Fault> {
    match container {
        Val::Str(text) => match item {
            Val::Str(part) => Ok(text.contains(part.as_ref())),
            _ => Err(Fault::Type),
        },
        _ if container.is_map() => {
            if !item.is_hashable() {
                return Err(Fault::Type);
            }
            Ok(container.entry(item).is_some())
        }
        _ => Ok(container.items()?.iter().any(|candidate| equal(candidate, item))),
    }
}

/// `-of`.
pub(super) fn negate<'a>(of: &Val<'a>) -> Outcome<'a> {
    match (of, of.number()) {
        (_, Some(Number::Int(int))) => Ok(Val::Int(-int)),
        (_, Some(Number::Float(float))) => Ok(Val::Float(-float)),
        (Val::Period(period), _) => Ok(Val::Period(period.negated())),
        (Val::Undefined, _) => Err(undefined("-")),
        _ => Err(Fault::Type),
    }
}

/// `left operator right`.
pub(super) fn binary<'a>(operator: Operator, left: &Val<'a>, right: &Val<'a>) -> Outcome<'a> {
    if operator == Operator::Concat {
        return Ok(Val::str(format!("{}{}", left.to_text(), right.to_text())));
    }
    if operator == Operator::Rem
        && let Some(format) = left.text()
    {
        return percent(format, right).map(Val::str);
    }
    if matches!(left, Val::Undefined) || matches!(right, Val::Undefined) {
        return Err(undefined("a sum"));
    }
    if let (Some(a), Some(b)) = (left.number(), right.number()) {
        return arithmetic(operator, a, b);
    }
    match operator {
        Operator::Add => add(left, right),
        Operator::Sub => match (left, right) {
            (Val::Moment(moment), Val::Period(period)) => Ok(Val::Moment(moment.minus(period)?)),
            (Val::Period(a), Val::Period(b)) => Ok(Val::Period(sum(a, &b.negated()))),
            (Val::Moment(a), Val::Moment(b)) if a.compare(b).is_some() => {
                Ok(Val::Period(Period { micros: a.micros() - b.micros(), months: 0 }))
            }
            _ => Err(Fault::Type),
        },
        Operator::Div | Operator::FloorDiv | Operator::Rem if matches!(left, Val::Period(period) if period.months == 0) => {
            divided(operator, left, right)
        }
        Operator::Mul => {
            let (of, times) = match (left.number(), right.number()) {
                (None, Some(Number::Int(times))) => (left, times),
                (Some(Number::Int(times)), None) => (right, times),
                _ => return Err(Fault::Type),
            };
            repeat(of, times)
        }
        _ => Err(Fault::Type),
    }
}

/// A stretch of time by a number, or by another one.
fn divided<'a>(operator: Operator, left: &Val<'a>, right: &Val<'a>) -> Outcome<'a> {
    let Val::Period(Period { micros, .. }) = left else { return Err(Fault::Type) };
    let period = |micros| Ok(Val::Period(Period { micros, months: 0 }));
    let by_zero = || Fault::error("a stretch of time is divided by zero");
    match (operator, right, right.number()) {
        (_, Val::Period(Period { micros: other, months: 0 }), _) => {
            let (a, b) = (Number::Int(*micros), Number::Int(*other));
            match (operator, arithmetic(operator, a, b)?) {
                (Operator::Rem, Val::Int(micros)) => period(micros),
                (_, other) => Ok(other),
            }
        }
        (Operator::FloorDiv, _, Some(Number::Int(by))) if by != 0 => {
            period(micros.div_euclid(by.abs()) * by.signum())
        }
        (Operator::Div, _, Some(by)) if by.as_f64() != 0.0 => {
            period((*micros as f64 / by.as_f64()).round_ties_even() as i128)
        }
        (Operator::FloorDiv, _, Some(Number::Int(_))) | (Operator::Div, _, Some(_)) => {
            Err(by_zero())
        }
        _ => Err(Fault::Type),
    }
}

fn sum(a: &Period, b: &Period) -> Period {
    Period { micros: a.micros + b.micros, months: a.months + b.months }
}

fn add<'a>(left: &Val<'a>, right: &Val<'a>) -> Outcome<'a> {
    match (left, right) {
        (Val::Str(a), Val::Str(b)) => Ok(Val::str(format!("{a}{b}"))),
        (Val::Moment(moment), Val::Period(period)) | (Val::Period(period), Val::Moment(moment)) => {
            Ok(Val::Moment(moment.plus(period)?))
        }
        (Val::Period(a), Val::Period(b)) => Ok(Val::Period(sum(a, b))),
        (Val::Tuple(a), Val::Tuple(b)) => Ok(Val::tuple([a.as_slice(), b.as_slice()].concat())),
        _ if is_list(left) && is_list(right) => {
            Ok(Val::list([left.items()?, right.items()?].concat()))
        }
        _ => Err(Fault::Type),
    }
}

fn repeat<'a>(of: &Val<'a>, times: i128) -> Outcome<'a> {
    let times = usize::try_from(times.max(0)).unwrap_or(usize::MAX);
    if of.len().unwrap_or(1).saturating_mul(times) > TEXT_MAX {
        return Err(Fault::error("the template makes too much text"));
    }
    match of {
        Val::Str(text) => Ok(Val::str(text.repeat(times))),
        Val::Tuple(items) => Ok(Val::tuple(repeated(items, times))),
        Val::Period(period) => Ok(Val::Period(Period {
            micros: period.micros * times as i128,
            months: period.months * times as i64,
        })),
        _ if is_list(of) => Ok(Val::list(repeated(&of.items()?, times))),
        _ => Err(Fault::Type),
    }
}

fn repeated<'a>(items: &[Val<'a>], times: usize) -> Vec<Val<'a>> {
    std::iter::repeat_n(items, times).flatten().cloned().collect()
}

fn arithmetic<'a>(operator: Operator, a: Number, b: Number) -> Outcome<'a> {
    let too_large = || Fault::error("the number is too large");
    let by_zero = || Fault::error("a number is divided by zero");
    let (x, y) = (a.as_f64(), b.as_f64());
    if let (Number::Int(a), Number::Int(b)) = (a, b) {
        let int = match operator {
            Operator::Add => a.checked_add(b),
            Operator::Sub => a.checked_sub(b),
            Operator::Mul => a.checked_mul(b),
            Operator::FloorDiv | Operator::Rem if b == 0 => return Err(by_zero()),
            Operator::FloorDiv => {
                let (quotient, rest) = (a / b, a % b);
                Some(if rest != 0 && (rest < 0) != (b < 0) { quotient - 1 } else { quotient })
            }
            Operator::Rem => {
                Some(a.rem_euclid(b) + if b < 0 && a.rem_euclid(b) != 0 { b } else { 0 })
            }
            Operator::Pow if b >= 0 => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
            _ => return float(operator, x, y).ok_or_else(by_zero),
        };
        return int.map(Val::Int).ok_or_else(too_large);
    }
    float(operator, x, y).ok_or_else(by_zero)
}

fn float<'a>(operator: Operator, x: f64, y: f64) -> Option<Val<'a>> {
    Some(Val::Float(match operator {
        Operator::Add => x + y,
        Operator::Sub => x - y,
        Operator::Mul => x * y,
        Operator::Pow if x == 0.0 && y < 0.0 => return None,
        Operator::Pow => x.powf(y),
        _ if y == 0.0 => return None,
        Operator::Div => x / y,
        Operator::FloorDiv => (x / y).floor(),
        _ => x - y * (x / y).floor(),
    }))
}

/// `'%s' % x`, with the codes that text takes.
fn percent(format: &str, right: &Val<'_>) -> Result<String, Fault> {
    let args = match right {
        Val::Tuple(items) => items.as_ref().clone(),
        other => vec![other.clone()],
    };
    let mut args = args.into_iter();
    let mut out = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let spec = &rest[at + 1..];
        let end = spec.find(|c: char| c.is_ascii_alphabetic() || c == '%');
        let end = end.ok_or_else(|| Fault::error("a `%` ends the text"))?;
        let (flags, code) = (&spec[..end], spec.as_bytes()[end]);
        rest = &spec[end + 1..];
        if code == b'%' {
            out.push('%');
            continue;
        }
        let arg = args.next().ok_or(Fault::Type)?;
        let text = match (code, arg.number()) {
            (b's', _) => arg.to_text().into_owned(),
            (b'd' | b'i', Some(number)) => match number {
                Number::Int(int) => int.to_string(),
                Number::Float(float) => (float.trunc() as i128).to_string(),
            },
            (b'f', Some(number)) => {
                let digits = flags.split_once('.').and_then(|(_, digits)| digits.parse().ok());
                format!("{:.*}", digits.unwrap_or(6), number.as_f64())
            }
            _ => return Err(Fault::Type),
        };
        let width = flags.split('.').next().unwrap_or_default();
        let len: usize = width.trim_start_matches(['-', '0', '+']).parse().unwrap_or(0);
        let len = len.min(1000);
        out += &match width.as_bytes().first() {
            Some(b'-') => format!("{text:<len$}"),
            Some(b'0') => format!("{text:0>len$}"),
            _ => format!("{text:>len$}"),
        };
    }
    // What has items by a key may have more of them than are asked for.
    let has_more = right.is_map() || is_list(right) || matches!(right, Val::Undefined);
    if args.next().is_some() && !has_more {
        return Err(Fault::Type);
    }
    out.push_str(rest);
    Ok(out)
}
