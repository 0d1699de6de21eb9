//! The methods of text, lists, maps and moments.

use super::eval::{Args, set_entry};
use super::moment::{Moment, Precision};
use super::text::{capitalize, centred, is_lower, is_upper, title};
use super::value::{Fault, Number, Outcome, Shared, Val, compare, equal, is_list};
use std::cell::RefCell;
use std::cmp::Ordering;
use std::rc::Rc;

const OF_TEXT: &[&str] = &[
    "capitalize",
    "casefold",
    "center",
    "count",
    "endswith",
    "find",
    "format",
    "index",
    "isalnum",
    "isalpha",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isspace",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "upper",
    "zfill",
];
const OF_MAP: &[&str] =
    &["clear", "copy", "get", "items", "keys", "pop", "popitem", "setdefault", "update", "values"];
/// The part of a stream is no map of its own: it has what can be asked of one, and nothing that changes it.
const OF_SLICE: &[&str] = &["get", "items", "keys", "values"];
const OF_LIST: &[&str] = &[
    "append", "clear", "copy", "count", "extend", "index", "insert", "pop", "remove", "reverse",
    "sort",
];
/// Methods that change what they are called on.
const CHANGES: &[&str] = &[
    "append",
    "clear",
    "extend",
    "insert",
    "pop",
    "popitem",
    "remove",
    "reverse",
    "setdefault",
    "sort",
    "update",
];
const OF_DATE: &[&str] = &[
    "ctime",
    "isocalendar",
    "isoformat",
    "isoweekday",
    "replace",
    "strftime",
    "toordinal",
    "weekday",
];
const OF_MOMENT: &[&str] = &[
    "astimezone",
    "ctime",
    "date",
    "isocalendar",
    "isoformat",
    "isoweekday",
    "replace",
    "strftime",
    "time",
    "timestamp",
    "toordinal",
    "utcoffset",
    "weekday",
];
const OF_PERIOD: &[&str] = &["total_seconds"];

/// Whether `of` has the method `name`.
pub(super) fn is_method(of: &Val<'_>, name: &str) -> bool {
    let names = match of {
        Val::Str(_) => OF_TEXT,
        Val::Moment(moment) if moment.is_date => OF_DATE,
        Val::Moment(_) => OF_MOMENT,
        Val::Slice(_) => OF_SLICE,
        Val::Period(_) => OF_PERIOD,
        Val::Tuple(_) => &["count", "index"],
        _ if of.is_map() => OF_MAP,
        _ if is_list(of) => OF_LIST,
        _ => return false,
    };
    names.contains(&name)
}

/// Whether the method `name` changes a list or a map.
pub(super) fn changes(name: &str) -> bool {
    CHANGES.contains(&name)
}

/// Calls `of.name(args)`.
pub(super) fn call<'a>(of: &Val<'a>, name: &str, args: &Args<'a>) -> Outcome<'a> {
    match of {
        Val::Str(text) => of_text(text, name, args),
        Val::Moment(moment) => of_moment(moment, name, args),
        Val::Period(period) => Ok(Val::Float(period.micros as f64 / 1e6)),
        _ if of.is_map() => of_map(of, name, args),
        _ => of_list(of, name, args),
    }
}

fn text_arg(args: &Args<'_>, index: usize, name: &str) -> Result<String, Fault> {
    match args.need(index, name)? {
        Val::Undefined => Err(Fault::Type),
        value => value.text().map(str::to_owned).ok_or(Fault::Type),
    }
}

/// Text that may be left out; `None` counts as left out.
fn text_or_none(args: &Args<'_>, index: usize, name: &str) -> Result<Option<String>, Fault> {
    match args.get(index, name) {
        None | Some(Val::None) => Ok(None),
        Some(value) => value.text().map(|text| Some(text.to_owned())).ok_or(Fault::Type),
    }
}

fn int_arg(args: &Args<'_>, index: usize, name: &str) -> Result<Option<i128>, Fault> {
    match args.get(index, name) {
        None => Ok(None),
        Some(value) => match value.number() {
            Some(Number::Int(int)) => Ok(Some(int)),
            _ => Err(Fault::Type),
        },
    }
}

#[expect(clippy::too_many_lines, reason = "one arm for each method")]
fn of_text<'a>(text: &str, name: &str, args: &Args<'a>) -> Outcome<'a> {
    let strings = |parts: Vec<String>| Val::list(parts.into_iter().map(Val::str).collect());
    let position = |found: Option<usize>| found.map_or(-1, |at| text[..at].chars().count() as i128);
    let every = |test: fn(char) -> bool| Val::Bool(!text.is_empty() && text.chars().all(test));
    Ok(match name {
        "lower" => Val::str(text.to_lowercase()),
        "upper" => Val::str(text.to_uppercase()),
        "title" => Val::str(title(text)),
        "capitalize" => Val::str(capitalize(text)),
        "swapcase" => {
            let swap = |c: char| -> String {
                if c.is_uppercase() {
                    c.to_lowercase().collect()
                } else {
                    c.to_uppercase().collect()
                }
            };
            Val::str(text.chars().map(swap).collect::<String>())
        }
        "strip" | "lstrip" | "rstrip" => {
            let chars = text_or_none(args, 0, "chars")?;
            let strips = |c: char| match &chars {
                Some(chars) => chars.contains(c),
                None => c.is_whitespace(),
            };
            let text = if name == "rstrip" { text } else { text.trim_start_matches(strips) };
            Val::str(if name == "lstrip" { text } else { text.trim_end_matches(strips) })
        }
        "startswith" | "endswith" => {
            let choices = match args.need(0, "prefix")? {
                Val::Tuple(choices) => choices.as_ref().clone(),
                other => vec![other],
            };
            let mut found = false;
            for choice in &choices {
                let choice = choice.text().ok_or(Fault::Type)?;
                let matches = if name == "startswith" {
                    text.starts_with(choice)
                } else {
                    text.ends_with(choice)
                };
                found |= matches;
            }
            Val::Bool(found)
        }
        "removeprefix" => {
            Val::str(text.strip_prefix(&text_arg(args, 0, "prefix")?).unwrap_or(text))
        }
        "removesuffix" => {
            Val::str(text.strip_suffix(&text_arg(args, 0, "suffix")?).unwrap_or(text))
        }
        "replace" => {
            let (old, new) = (text_arg(args, 0, "old")?, text_arg(args, 1, "new")?);
            match int_arg(args, 2, "count")? {
                Some(count) if count >= 0 => {
                    Val::str(text.replacen(&old, &new, usize::try_from(count).unwrap_or(0)))
                }
                _ => Val::str(text.replace(&old, &new)),
            }
        }
        "split" | "rsplit" => {
            let separator = text_or_none(args, 0, "sep")?;
            let most = int_arg(args, 1, "maxsplit")?.and_then(|most| usize::try_from(most).ok());
            strings(split(text, separator.as_deref(), most, name == "rsplit")?)
        }
        "splitlines" => strings(text.lines().map(str::to_owned).collect()),
        "partition" | "rpartition" => {
            let separator = text_arg(args, 0, "sep")?;
            if separator.is_empty() {
                return Err(Fault::error("the separator is empty"));
            }
            let found =
                if name == "partition" { text.find(&separator) } else { text.rfind(&separator) };
            let parts = match found {
                Some(at) => [&text[..at], separator.as_str(), &text[at + separator.len()..]],
                None if name == "partition" => [text, "", ""],
                None => ["", "", text],
            };
            Val::tuple(parts.into_iter().map(Val::str).collect())
        }
        "join" => {
            let mut out = String::new();
            for (index, item) in args.need(0, "iterable")?.items()?.iter().enumerate() {
                out.push_str(if index > 0 { text } else { "" });
                out.push_str(item.text().ok_or(Fault::Type)?);
            }
            Val::str(out)
        }
        "find" => Val::Int(position(text.find(&text_arg(args, 0, "sub")?))),
        "rfind" => Val::Int(position(text.rfind(&text_arg(args, 0, "sub")?))),
        "index" => match text.find(&text_arg(args, 0, "sub")?) {
            Some(at) => Val::Int(position(Some(at))),
            None => return Err(Fault::error("the text does not hold that part")),
        },
        "count" => {
            let part = text_arg(args, 0, "sub")?;
            let count = if part.is_empty() {
                text.chars().count() + 1
            } else {
                text.matches(&part).count()
            };
            Val::Int(count as i128)
        }
        "zfill" => {
            let width = usize::try_from(int_arg(args, 0, "width")?.unwrap_or(0)).unwrap_or(0);
            let (sign, digits) = text.split_at(usize::from(text.starts_with(['-', '+'])));
            let pad = width.min(10_000).saturating_sub(text.chars().count());
            Val::str(format!("{sign}{}{digits}", "0".repeat(pad)))
        }
        "center" => {
            let width = usize::try_from(int_arg(args, 0, "width")?.unwrap_or(0)).unwrap_or(0);
            let fill = text_or_none(args, 1, "fillchar")?.unwrap_or_else(|| " ".to_owned());
            Val::str(centred(text, width, &fill))
        }
        "ljust" | "rjust" => {
            let width = usize::try_from(int_arg(args, 0, "width")?.unwrap_or(0)).unwrap_or(0);
            let fill = text_or_none(args, 1, "fillchar")?.unwrap_or_else(|| " ".to_owned());
            let pad = fill.repeat(width.min(10_000).saturating_sub(text.chars().count()));
            Val::str(if name == "ljust" { format!("{text}{pad}") } else { format!("{pad}{text}") })
        }
        "format" => Val::str(format_text(text, args)?),
        "isdigit" | "isnumeric" => every(char::is_numeric),
        "isalpha" => every(char::is_alphabetic),
        "isalnum" => every(char::is_alphanumeric),
        "isspace" => every(char::is_whitespace),
        "islower" => Val::Bool(is_lower(text)),
        "isupper" => Val::Bool(is_upper(text)),
        "casefold" => Val::str(text.to_lowercase().replace('ß', "ss")),
        "isidentifier" => {
            let begins = |c: char| c == '_' || c.is_alphabetic();
            let first = text.chars().next().is_some_and(begins);
            Val::Bool(first && text.chars().all(|c| begins(c) || c.is_numeric()))
        }
        _ => return Err(Fault::Type),
    })
}

fn split(
    text: &str,
    separator: Option<&str>,
    most: Option<usize>,
    from_end: bool,
) -> Result<Vec<String>, Fault> {
    let most = most.unwrap_or(usize::MAX);
    let Some(separator) = separator else {
        let words: Vec<&str> = text.split_whitespace().collect();
        if words.len() <= most.saturating_add(1) {
            return Ok(words.into_iter().map(str::to_owned).collect());
        }
        let mut parts = Vec::new();
        let mut rest = text.trim_start();
        while parts.len() < most {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            parts.push(rest[..end].to_owned());
            rest = rest[end..].trim_start();
        }
        parts.push(rest.to_owned());
        return Ok(parts);
    };
    if separator.is_empty() {
        return Err(Fault::error("the separator is empty"));
    }
    let pieces = most.saturating_add(1);
    let mut parts: Vec<String> = if from_end {
        text.rsplitn(pieces, separator).map(str::to_owned).collect()
    } else {
        text.splitn(pieces, separator).map(str::to_owned).collect()
    };
    if from_end {
        parts.reverse();
    }
    Ok(parts)
}

/// `'{} {name}'.format(…)`, without conversions.
fn format_text(text: &str, args: &Args<'_>) -> Result<String, Fault> {
    let mut out = String::new();
    let mut rest = text;
    let mut next = 0;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        let after = &rest[at + 1..];
        if let Some(escaped) = after.strip_prefix(brace) {
            out.push_str(brace);
            rest = escaped;
            continue;
        }
        let end = after.find('}').filter(|_| brace == "{");
        let end = end.ok_or_else(|| Fault::error("a brace in the format stands alone"))?;
        let value = match (&after[..end], after[..end].parse::<usize>()) {
            ("", _) => {
                next += 1;
                args.positional.get(next - 1)
            }
            (_, Ok(index)) => args.positional.get(index),
            (name, Err(_)) => args.by_name(name),
        };
        out.push_str(&value.ok_or_else(|| Fault::error("the format has no such value"))?.to_text());
        rest = &after[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

fn of_map<'a>(of: &Val<'a>, name: &str, args: &Args<'a>) -> Outcome<'a> {
    let key = || {
        let key = args.need(0, "key")?;
        if key.is_hashable() { Ok(key) } else { Err(Fault::Type) }
    };
    let entries = || of.entries().unwrap_or_default();
    Ok(match name {
        "get" => of.entry(&key()?).or_else(|| args.get(1, "default")).unwrap_or(Val::None),
        "items" => Val::list(entries().into_iter().map(|(k, v)| Val::tuple(vec![k, v])).collect()),
        "keys" => Val::list(entries().into_iter().map(|(k, _)| k).collect()),
        "values" => Val::list(entries().into_iter().map(|(_, v)| v).collect()),
        "copy" => Val::Dict(Rc::new(RefCell::new(entries()))),
        "clear" => {
            own(of)?.borrow_mut().clear();
            Val::None
        }
        "popitem" => match own(of)?.borrow_mut().pop() {
            Some((key, value)) => Val::tuple(vec![key, value]),
            None => return Err(Fault::error("the map is empty")),
        },
        "pop" => {
            let key = key()?;
            let found = of.entry(&key).or_else(|| args.get(1, "default"));
            if let Val::Dict(entries) = of {
                entries.borrow_mut().retain(|(known, _)| !equal(known, &key));
            }
            found.ok_or_else(|| Fault::error(format!("the map has no `{}`", key.to_text())))?
        }
        "setdefault" => match of.entry(&key()?) {
            Some(found) => found,
            None => {
                let value = args.get(1, "default").unwrap_or(Val::None);
                set_entry(own(of)?, key()?, value.clone());
                value
            }
        },
        "update" => {
            let own = own(of)?;
            let added =
                args.get(0, "").map(|more| more.entries().ok_or(Fault::Type)).transpose()?;
            for (key, value) in added.unwrap_or_default().into_iter().chain(args.pairs()) {
                set_entry(own, key, value);
            }
            Val::None
        }
        _ => return Err(Fault::Type),
    })
}

/// The entries of a map that the template made itself; what came from outside does not change.
fn own<'v, 'a>(of: &'v Val<'a>) -> Result<&'v Shared<(Val<'a>, Val<'a>)>, Fault> {
    match of {
        Val::Dict(entries) => Ok(entries),
        _ => Err(Fault::error("a template cannot change what it was given")),
    }
}

fn of_list<'a>(of: &Val<'a>, name: &str, args: &Args<'a>) -> Outcome<'a> {
    match name {
        "index" => {
            let wanted = args.need(0, "value")?;
            let found = of.items()?.iter().position(|item| equal(item, &wanted));
            let found = found.ok_or_else(|| Fault::error("the list does not hold that value"))?;
            return Ok(Val::Int(found as i128));
        }
        "count" => {
            let wanted = args.need(0, "value")?;
            let count = of.items()?.iter().filter(|item| equal(item, &wanted)).count();
            return Ok(Val::Int(count as i128));
        }
        "copy" => return Ok(Val::list(of.items()?)),
        _ => {}
    }
    let Val::List(items) = of else {
        return Err(Fault::error("a template cannot change what it was given"));
    };
    let place = |at: i128| {
        let len = items.borrow().len() as i128;
        let at = if at < 0 { at + len } else { at };
        usize::try_from(at.clamp(0, len)).unwrap_or(0)
    };
    match name {
        "append" => items.borrow_mut().push(args.need(0, "object")?),
        "extend" => {
            let more = args.need(0, "iterable")?.items()?;
            items.borrow_mut().extend(more);
        }
        "insert" => {
            let at = place(int_arg(args, 0, "index")?.ok_or(Fault::Type)?);
            items.borrow_mut().insert(at, args.need(1, "object")?);
        }
        "pop" => {
            let at = place(int_arg(args, 0, "index")?.unwrap_or(-1));
            if at >= items.borrow().len() {
                return Err(Fault::error("the list is empty"));
            }
            return Ok(items.borrow_mut().remove(at));
        }
        "remove" => {
            let wanted = args.need(0, "value")?;
            let found = items.borrow().iter().position(|item| equal(item, &wanted));
            let found = found.ok_or_else(|| Fault::error("the list does not hold that value"))?;
            items.borrow_mut().remove(found);
        }
        "reverse" => items.borrow_mut().reverse(),
        "clear" => items.borrow_mut().clear(),
        "sort" => {
            let mut sorted = items.borrow().clone();
            let reverse = args.by_name("reverse").is_some_and(Val::truthy);
            sort(&mut sorted, reverse, |item| Ok(item.clone()))?;
            *items.borrow_mut() = sorted;
        }
        _ => return Err(Fault::Type),
    }
    Ok(Val::None)
}

/// Sorts `items` by what `key` makes of them, the largest first if `reverse`. Those that are alike stay in their order.
pub(super) fn sort<'a>(
    items: &mut Vec<Val<'a>>,
    reverse: bool,
    key: impl Fn(&Val<'a>) -> Outcome<'a>,
) -> Result<(), Fault> {
    let mut keyed = Vec::with_capacity(items.len());
    for item in items.drain(..) {
        keyed.push((key(&item)?, item));
    }
    let mut fault = None;
    keyed.sort_by(|(a, _), (b, _)| match compare(a, b) {
        Ok(Some(order)) if reverse => order.reverse(),
        Ok(order) => order.unwrap_or(Ordering::Equal),
        Err(found) => {
            fault = Some(found);
            Ordering::Equal
        }
    });
    items.extend(keyed.into_iter().map(|(_, item)| item));
    fault.map_or(Ok(()), Err)
}

fn iso(moment: &Moment, args: &Args<'_>) -> Result<String, Fault> {
    let separator = text_or_none(args, 0, "sep")?.and_then(|text| text.chars().next());
    let precision = match text_or_none(args, 1, "timespec")? {
        Some(name) => Precision::named(&name)
            .ok_or_else(|| Fault::error(format!("`{name}` is no part of a time to write it to")))?,
        None => Precision::AsNeeded,
    };
    Ok(moment.iso_to(separator.unwrap_or('T'), precision))
}

fn of_moment<'a>(moment: &Moment, name: &str, args: &Args<'a>) -> Outcome<'a> {
    let weekday = i128::from(moment.civil.date().weekday().to_monday_zero_offset());
    Ok(match name {
        "strftime" => {
            let format = args.need(0, "format")?;
            Val::str(moment.strftime(format.text().ok_or(Fault::Type)?))
        }
        "isoformat" => Val::str(iso(moment, args)?),
        "weekday" => Val::Int(weekday),
        "isoweekday" => Val::Int(weekday + 1),
        "ctime" => Val::str(moment.strftime("%c")),
        "toordinal" => {
            Val::Int(i128::from(moment.date().micros().div_euclid(86_400_000_000) as i64 + 719_163))
        }
        "isocalendar" => {
            let week = moment.civil.date().iso_week_date();
            let (year, number) = (i128::from(week.year()), i128::from(week.week()));
            Val::tuple(vec![Val::Int(year), Val::Int(number), Val::Int(weekday + 1)])
        }
        "time" => {
            let text = moment.at_civil(moment.civil).iso('T');
            let text = text.split('T').nth(1).unwrap_or_default();
            Val::str(text.split(['+', '-']).next().unwrap_or_default())
        }
        "utcoffset" => match moment.offset {
            Some(offset) => {
                let micros = i128::from(offset) * 1_000_000;
                Val::Period(super::moment::Period { micros, months: 0 })
            }
            None => Val::None,
        },
        "timestamp" => Val::Float(moment.micros() as f64 / 1e6),
        "date" => Val::Moment(moment.date()),
        "astimezone" => Val::Moment(moment.in_utc()?),
        "replace" => {
            const PARTS: [&str; 7] =
                ["year", "month", "day", "hour", "minute", "second", "microsecond"];
            let part = |name: &str, old: i128| {
                let place = PARTS.iter().position(|part| *part == name).unwrap_or(PARTS.len());
                let given = args.get(place, name).map(|value| match value.number() {
                    Some(Number::Int(int)) => Ok(int),
                    _ => Err(Fault::Type),
                });
                given.unwrap_or(Ok(old))
            };
            let bad = || Fault::error("the date is out of range");
            let small = |value: i128| i8::try_from(value).map_err(|_| bad());
            let old = moment.civil;
            let year = i16::try_from(part("year", old.year().into())?).map_err(|_| bad())?;
            let micros = part("microsecond", (old.subsec_nanosecond() / 1000).into())?;
            let replaced = old
                .with()
                .year(year)
                .month(small(part("month", old.month().into())?)?)
                .day(small(part("day", old.day().into())?)?)
                .hour(small(part("hour", old.hour().into())?)?)
                .minute(small(part("minute", old.minute().into())?)?)
                .second(small(part("second", old.second().into())?)?)
                .subsec_nanosecond(i32::try_from(micros * 1000).map_err(|_| bad())?)
                .build();
            Val::Moment(Moment { civil: replaced.map_err(|_| bad())?, ..*moment })
        }
        _ => return Err(Fault::Type),
    })
}
