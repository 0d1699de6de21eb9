//! The filters: `value | name(args)`.

use super::eval::Args;
use super::methods::sort;
use super::text::{capitalize, centred, groups, is_word, pattern_of, titled, without_tags};
use super::value::{Fault, Number, Outcome, Val, equal, is_list};
use super::{digest, operate, tests_of};
use std::rc::Rc;

const FILTERS: &[&str] = &[
    "abs",
    "attr",
    "base64binascii_decode",
    "base64decode",
    "base64encode",
    "batch",
    "capitalize",
    "center",
    "count",
    "d",
    "default",
    "dictsort",
    "e",
    "escape",
    "first",
    "float",
    "forceescape",
    "format",
    "groupby",
    "hash",
    "hmac",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "pprint",
    "regex_replace",
    "regex_search",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "string",
    "striptags",
    "sum",
    "title",
    "tojson",
    "trim",
    "truncate",
    "unique",
    "upper",
    "urlencode",
    "wordcount",
];

pub(super) fn is_filter(name: &str) -> bool {
    FILTERS.contains(&name)
}

/// Text as most filters take it: whatever it is, in text.
fn soft(value: &Val<'_>) -> String {
    value.to_text().into_owned()
}

/// Text, where nothing else will do.
fn strict<'v>(value: &'v Val<'_>, what: &str) -> Result<&'v str, Fault> {
    match value {
        Val::Str(text) => Ok(text),
        Val::Undefined => Err(Fault::Undefined(what.to_owned())),
        _ => Err(Fault::error(format!("`{what}` takes text"))),
    }
}

/// Applies the filter `name`.
#[expect(clippy::too_many_lines, reason = "one arm for each filter")]
pub(super) fn apply<'a>(name: &str, value: Val<'a>, args: &Args<'a>) -> Outcome<'a> {
    Ok(match name {
        "default" | "d" => {
            let always = args.get(1, "boolean").is_some_and(|always| always.truthy());
            if matches!(value, Val::Undefined) || (always && !value.truthy()) {
                args.get(0, "default_value").unwrap_or_else(|| Val::str(""))
            } else {
                value
            }
        }
        "length" | "count" => Val::Int(value.len()? as i128),
        "int" => to_int(&value, args)?,
        "float" => to_float(&value, args)?,
        "string" => match value {
            Val::Str(_) => value,
            other => Val::str(format!("\"\"\"{}\"\"\"", digest::json_text(&other, false)?)),
        },
        "lower" => Val::str(soft(&value).to_lowercase()),
        "upper" => Val::str(soft(&value).to_uppercase()),
        "title" => Val::str(titled(&soft(&value))),
        "capitalize" => Val::str(capitalize(&soft(&value))),
        "trim" => {
            let text = soft(&value);
            match args.get(0, "chars") {
                Some(Val::Str(chars)) => Val::str(text.trim_matches(|c| chars.contains(c))),
                _ => Val::str(text.trim()),
            }
        }
        "safe" => Val::str(soft(&value)),
        "escape" | "e" | "forceescape" => Val::str(
            soft(&value)
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;")
                .replace('\'', "&#39;")
                .replace('"', "&#34;"),
        ),
        "wordcount" => {
            Val::Int(soft(&value).split(|c| !is_word(c)).filter(|w| !w.is_empty()).count() as i128)
        }
        "center" => {
            let width = whole(args, 0, "width")?.unwrap_or(80);
            Val::str(centred(&soft(&value), width, " "))
        }
        "format" => {
            let named = args.pairs();
            let given = match (named.is_empty(), args.positional.is_empty()) {
                (false, false) => {
                    return Err(Fault::error(
                        "`format` takes values by place or by name, not both",
                    ));
                }
                (false, true) => Val::Dict(Rc::new(named.into())),
                (true, _) => Val::tuple(args.positional.clone()),
            };
            operate::binary(super::compile::Operator::Rem, &Val::str(soft(&value)), &given)?
        }
        "indent" => Val::str(indented(&soft(&value), args)?),
        "striptags" => Val::str(without_tags(&soft(&value))),
        "truncate" => Val::str(truncated(&soft(&value), args)?),
        "pprint" => {
            let mut out = String::new();
            value.write_repr(&mut out);
            Val::str(out)
        }
        "replace" => {
            let old = args.need(0, "old")?.to_text().into_owned();
            let new = args.need(1, "new")?.to_text().into_owned();
            match args.get(2, "count").and_then(|count| count.number()) {
                Some(Number::Int(count)) if count >= 0 => {
                    Val::str(soft(&value).replacen(&old, &new, usize::try_from(count).unwrap_or(0)))
                }
                _ => Val::str(soft(&value).replace(&old, &new)),
            }
        }
        "tojson" => {
            let text = digest::json_text(&value, true)?;
            let text = text.replace('<', "\\u003c").replace('>', "\\u003e");
            Val::str(text.replace('&', "\\u0026").replace('\'', "\\u0027"))
        }
        "urlencode" => Val::str(urlencode(&value)?),
        "hash" => {
            let kind = args.get(0, "hash_type").map_or_else(|| "md5".to_owned(), |v| soft(&v));
            let salt = args.get(1, "salt").filter(Val::truthy).map(|salt| soft(&salt));
            Val::str(digest::hash(&kind, &soft(&value), &salt.unwrap_or_default())?)
        }
        "hmac" => {
            let kind = args.get(1, "hash_type").map_or_else(|| "sha256".to_owned(), |v| soft(&v));
            if kind != "sha256" {
                return Err(Fault::error(format!("there is no `hmac` with `{kind}`")));
            }
            Val::str(digest::hmac_sha256(&soft(&value), &soft(&args.need(0, "key")?)))
        }
        "base64encode" | "base64binascii_decode" => {
            Val::str(digest::base64_encode(strict(&value, name)?))
        }
        "base64decode" => Val::str(digest::base64_decode(strict(&value, name)?)?),
        "regex_search" => {
            let pattern = args.need(0, "regex")?;
            let regex = pattern_of(pattern.text().ok_or(Fault::Type)?)?;
            let found = regex.captures(value.text().ok_or(Fault::Type)?);
            let found = found.and_then(|found| found.get(1).map(|group| group.as_str().to_owned()));
            Val::str(found.unwrap_or_default())
        }
        "regex_replace" => {
            let pattern = args.need(0, "regex")?;
            let regex = pattern_of(pattern.text().ok_or(Fault::Type)?)?;
            let with = args.need(1, "replacement")?;
            let with = groups(with.text().ok_or(Fault::Type)?);
            Val::str(
                regex.replace_all(value.text().ok_or(Fault::Type)?, with.as_str()).into_owned(),
            )
        }
        "abs" => match value.number() {
            Some(Number::Int(int)) => Val::Int(int.abs()),
            Some(Number::Float(float)) => Val::Float(float.abs()),
            None => return Err(Fault::Type),
        },
        "round" => round(&value, args)?,
        "attr" => match operate::attribute(&value, &soft(&args.need(0, "name")?))? {
            found @ Val::Method(..) => found,
            // What a map holds is no attribute of it.
            found if !value.is_map() || matches!(value, Val::Slice(_)) => found,
            _ => Val::Undefined,
        },
        _ => of_items(name, value, args)?,
    })
}

/// A whole number of characters or parts.
fn whole(args: &Args<'_>, index: usize, name: &str) -> Result<Option<usize>, Fault> {
    match args.get(index, name).map(|value| value.number()) {
        None => Ok(None),
        Some(Some(Number::Int(int))) => Ok(Some(usize::try_from(int.max(0)).unwrap_or(usize::MAX))),
        Some(_) => Err(Fault::Type),
    }
}

/// Every line but the first, and it too where that is asked for, further to the right.
fn indented(text: &str, args: &Args<'_>) -> Result<String, Fault> {
    let blanks = match args.get(0, "width") {
        Some(Val::Str(blanks)) => blanks.into_owned(),
        _ => " ".repeat(whole(args, 0, "width")?.unwrap_or(4).min(1000)),
    };
    let first = args.get(1, "first").is_some_and(|first| first.truthy());
    let blank = args.get(2, "blank").is_some_and(|blank| blank.truthy());
    let mut out = if first { blanks.clone() } else { String::new() };
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            out.push('\n');
            out.push_str(if blank || !line.is_empty() { &blanks } else { "" });
        }
        out.push_str(line);
    }
    Ok(out)
}

/// The beginning of `text`, up to a whole word unless that is not asked for, with `...` at its end.
fn truncated(text: &str, args: &Args<'_>) -> Result<String, Fault> {
    let length = whole(args, 0, "length")?.unwrap_or(255);
    let cuts_words = args.get(1, "killwords").is_some_and(|cuts| cuts.truthy());
    let end = args.get(2, "end").map_or_else(|| "...".to_owned(), |end| soft(&end));
    let leeway = whole(args, 3, "leeway")?.unwrap_or(5);
    let chars: Vec<char> = text.chars().collect();
    let room = length.checked_sub(end.chars().count());
    let room = room.ok_or_else(|| Fault::error("`truncate` needs room for its end"))?;
    if chars.len() <= length.saturating_add(leeway) {
        return Ok(text.to_owned());
    }
    let kept: String = chars[..room].iter().collect();
    let kept = match kept.rfind(' ') {
        Some(blank) if !cuts_words => kept[..blank].to_owned(),
        _ => kept,
    };
    Ok(kept + &end)
}

fn no_number(value: &Val<'_>) -> Fault {
    match value {
        Val::Undefined => Fault::Undefined("a number is not there".to_owned()),
        _ => Fault::Type,
    }
}

fn to_int<'a>(value: &Val<'a>, args: &Args<'a>) -> Outcome<'a> {
    let default = args.get(0, "default").unwrap_or(Val::Int(0));
    Ok(match value {
        Val::Undefined => return Err(no_number(value)),
        Val::Float(float) if !float.is_finite() => default,
        Val::Float(float) => Val::Int(float.trunc() as i128),
        Val::Str(text) => {
            let text = text.trim().replace('_', "");
            match text.parse::<i128>() {
                Ok(int) => Val::Int(int),
                Err(_) => match text.parse::<f64>() {
                    Ok(float) if float.is_finite() => Val::Int(float.trunc() as i128),
                    _ => default,
                },
            }
        }
        other => match other.number() {
            Some(Number::Int(int)) => Val::Int(int),
            _ => default,
        },
    })
}

fn to_float<'a>(value: &Val<'a>, args: &Args<'a>) -> Outcome<'a> {
    let default = args.get(0, "default").unwrap_or(Val::Float(0.0));
    Ok(match (value, value.number()) {
        (Val::Undefined, _) => return Err(no_number(value)),
        (_, Some(number)) => Val::Float(number.as_f64()),
        (Val::Str(text), _) => {
            text.trim().replace('_', "").parse::<f64>().map_or(default, Val::Float)
        }
        _ => default,
    })
}

fn round<'a>(value: &Val<'a>, args: &Args<'a>) -> Outcome<'a> {
    let digits = match args.get(0, "precision").and_then(|digits| digits.number()) {
        Some(Number::Int(digits)) => i32::try_from(digits).map_err(|_| Fault::Type)?,
        _ => 0,
    };
    let method = args.get(1, "method").map_or_else(|| "common".to_owned(), |v| soft(&v));
    let number = value.number().ok_or(Fault::Type)?;
    let scale = 10_f64.powi(digits);
    Ok(match (method.as_str(), number) {
        ("common", Number::Int(int)) => Val::Int(int),
        ("common", Number::Float(float)) => {
            let digits = usize::try_from(digits.max(0)).unwrap_or(0);
            Val::Float(format!("{float:.digits$}").parse().unwrap_or(float))
        }
        ("ceil", number) => Val::Float((number.as_f64() * scale).ceil() / scale),
        ("floor", number) => Val::Float((number.as_f64() * scale).floor() / scale),
        _ => return Err(Fault::error(format!("there is no way of rounding `{method}`"))),
    })
}

fn urlencode(value: &Val<'_>) -> Result<String, Fault> {
    let quote = |value: &Val<'_>| digest::percent_encode(&value.to_text(), "_.-~", true);
    let pairs = match value {
        Val::Json(_) | Val::Slice(_) | Val::List(_) | Val::Tuple(_) | Val::Dict(_) => {
            match value.entries() {
                Some(entries) => entries,
                None => {
                    let pair = |item: &Val<'_>| match item.items()?.as_slice() {
                        [_, _] => Ok(()),
                        _ => Err(Fault::error("`urlencode` takes pairs")),
                    };
                    let items = value.items()?;
                    items.iter().try_for_each(pair)?;
                    let two = |item: Val<'_>| {
                        let pair = item.items()?;
                        Ok(format!("{}={}", quote(&pair[0]), quote(&pair[1])))
                    };
                    let parts: Result<Vec<_>, Fault> = items.into_iter().map(two).collect();
                    return Ok(parts?.join("&"));
                }
            }
        }
        other => return Ok(digest::percent_encode(&other.to_text(), "_.-~/", false)),
    };
    let pair = |(key, value): &(Val<'_>, Val<'_>)| format!("{}={}", quote(key), quote(value));
    Ok(pairs.iter().map(pair).collect::<Vec<_>>().join("&"))
}

/// The value that a dotted path leads to.
fn by_path<'a>(value: &Val<'a>, path: &Val<'a>) -> Outcome<'a> {
    let Val::Str(path) = path else { return operate::item(value, path) };
    path.split('.').try_fold(value.clone(), |value, part| {
        let key = match part.parse::<u32>() {
            Ok(index) => Val::Int(index.into()),
            Err(_) => Val::str(part),
        };
        operate::item(&value, &key)
    })
}

#[expect(clippy::too_many_lines, reason = "one arm for each filter")]
fn of_items<'a>(name: &str, value: Val<'a>, args: &Args<'a>) -> Outcome<'a> {
    let attribute = |item: &Val<'a>| match args.by_name("attribute") {
        Some(path) if !matches!(path, Val::None) => by_path(item, path),
        _ => Ok(item.clone()),
    };
    Ok(match name {
        "list" => Val::list(value.items()?),
        "batch" => {
            let Val::Int(size @ 1..) = args.need(0, "linecount")? else { return Err(Fault::Type) };
            let size = usize::try_from(size).map_err(|_| Fault::Type)?;
            let items = value.items()?;
            Val::list(items.chunks(size).map(|part| Val::list(part.to_vec())).collect())
        }
        "slice" => {
            let count = whole(args, 0, "slices")?.filter(|count| *count > 0).ok_or(Fault::Type)?;
            let items = value.items()?;
            let (each, more) = (items.len() / count, items.len() % count);
            let mut at = 0;
            let mut part = |index: usize| {
                let begin = at;
                at += each + usize::from(index < more);
                let mut part = items[begin..at].to_vec();
                part.extend(args.get(1, "fill_with").filter(|_| index >= more));
                Val::list(part)
            };
            Val::Iter(Rc::new((0..count.min(10_000)).map(&mut part).collect()))
        }
        "groupby" => {
            let path = args.need(0, "attribute")?;
            let mut items = value.items()?;
            sort(&mut items, false, |item| Ok(Val::list(vec![folded(by_path(item, &path)?)])))?;
            let mut groups: Vec<(Val<'a>, Vec<Val<'a>>)> = Vec::new();
            for item in items {
                let key = by_path(&item, &path)?;
                match groups.last_mut() {
                    Some((known, group)) if equal(&folded(known.clone()), &folded(key.clone())) => {
                        group.push(item);
                    }
                    _ => groups.push((key, vec![item])),
                }
            }
            let group = |(key, items)| Val::tuple(vec![key, Val::list(items)]);
            Val::list(groups.into_iter().map(group).collect())
        }
        "last" if matches!(value, Val::Slice(_)) => return Err(Fault::Type),
        "first" => value.items()?.into_iter().next().unwrap_or(Val::Undefined),
        "last" if matches!(value, Val::Iter(_)) => return Err(Fault::Type),
        "last" => value.items()?.into_iter().next_back().unwrap_or(Val::Undefined),
        "join" => {
            let between = args.get(0, "d").map(|between| soft(&between)).unwrap_or_default();
            let items = value.items()?;
            let texts = items.iter().map(|item| Ok(soft(&attribute(item)?)));
            Val::str(texts.collect::<Result<Vec<_>, Fault>>()?.join(&between))
        }
        "reverse" => match &value {
            Val::Str(text) => Val::str(text.chars().rev().collect::<String>()),
            _ => match value.items() {
                Ok(items) => Val::Iter(Rc::new(items.into_iter().rev().collect())),
                Err(_) => return Err(Fault::error("only a list can be reversed")),
            },
        },
        "items" | "dictsort" => {
            let mut entries = match (&value, value.entries()) {
                (Val::Undefined, _) => Vec::new(),
                (_, Some(entries)) => entries,
                (_, None) if name == "dictsort" => {
                    return Err(Fault::error("only a map has entries"));
                }
                (_, None) => return Err(Fault::Type),
            };
            let pair = |(k, v)| Val::tuple(vec![k, v]);
            let mut pairs: Vec<_> = entries.drain(..).map(pair).collect();
            if name == "items" {
                Val::Iter(Rc::new(pairs))
            } else {
                let place = match args.get(1, "by").map(|by| soft(&by)).as_deref() {
                    None | Some("key") => 0,
                    Some("value") => 1,
                    Some(_) => return Err(Fault::error("a map is sorted by its key or value")),
                };
                let exact = args.get(0, "case_sensitive").is_some_and(|exact| exact.truthy());
                let reverse = args.get(2, "reverse").is_some_and(|reverse| reverse.truthy());
                sort(&mut pairs, reverse, |pair| {
                    let key = operate::item(pair, &Val::Int(place))?;
                    Ok(if exact { key } else { folded(key) })
                })?;
                Val::list(pairs)
            }
        }
        "unique" => {
            let mut seen: Vec<Val<'a>> = Vec::new();
            let mut kept = Vec::new();
            for item in value.items()? {
                let key = folded(attribute(&item)?);
                if !key.is_hashable() {
                    return Err(Fault::Type);
                }
                if !seen.iter().any(|known| equal(known, &key)) {
                    seen.push(key);
                    kept.push(item);
                }
            }
            Val::Iter(Rc::new(kept))
        }
        "sort" => {
            let mut items = value.items()?;
            let reverse = args.get(0, "reverse").is_some_and(|reverse| reverse.truthy());
            let exact = args.get(1, "case_sensitive").is_some_and(|exact| exact.truthy());
            let fold = |key| if exact { key } else { folded(key) };
            match args.get(2, "attribute").filter(|paths| !matches!(paths, Val::None)) {
                None => sort(&mut items, reverse, |item| Ok(fold(item.clone())))?,
                // What two items both lack is alike.
                Some(paths) => sort(&mut items, reverse, |item| {
                    let paths = soft(&paths);
                    let keys =
                        paths.split(',').map(|path| Ok(fold(by_path(item, &Val::str(path))?)));
                    Ok(Val::list(keys.collect::<Result<_, Fault>>()?))
                })?,
            }
            Val::list(items)
        }
        "min" | "max" => {
            let mut items = value.items()?;
            sort(&mut items, false, |item| Ok(folded(attribute(item)?)))?;
            let found = if name == "min" { items.into_iter().next() } else { items.pop() };
            found.unwrap_or(Val::Undefined)
        }
        "sum" => {
            let start = args.get(1, "start").unwrap_or(Val::Int(0));
            value.items()?.iter().try_fold(start, |sum, item| {
                operate::binary(super::compile::Operator::Add, &sum, &attribute(item)?)
            })?
        }
        "map" => {
            let mut mapped = Vec::new();
            for item in iterated(&value)? {
                let attribute = args.by_name("attribute");
                mapped.push(match (attribute, args.positional.first()) {
                    (Some(path), _) => match by_path(&item, path)? {
                        Val::Undefined => {
                            args.by_name("default").cloned().unwrap_or(Val::Undefined)
                        }
                        found => found,
                    },
                    (None, Some(filter)) => {
                        let filter = soft(filter);
                        if !is_filter(&filter) {
                            return Err(Fault::error(format!("there is no filter `{filter}`")));
                        }
                        apply(&filter, item, &args.after(1))?
                    }
                    (None, None) => return Err(Fault::error("`map` takes an attribute")),
                });
            }
            Val::Iter(Rc::new(mapped))
        }
        _ => Val::Iter(Rc::new(picked(name, &value, args)?)),
    })
}

/// `select`, `reject`, and both by an attribute.
fn picked<'a>(name: &str, value: &Val<'a>, args: &Args<'a>) -> Result<Vec<Val<'a>>, Fault> {
    let by_attribute = name.ends_with("attr");
    let wanted = name.starts_with("select");
    let skip = usize::from(by_attribute);
    let mut kept = Vec::new();
    for item in iterated(value)? {
        let tested = match (by_attribute, args.positional.first()) {
            (true, Some(path)) => by_path(&item, path)?,
            (true, None) => return Err(Fault::error(format!("`{name}` takes an attribute"))),
            (false, _) => item.clone(),
        };
        let holds = match args.positional.get(skip) {
            Some(test) => {
                let test = soft(test);
                if !tests_of::is_test(&test) {
                    return Err(Fault::error(format!("there is no test `{test}`")));
                }
                tests_of::test(&test, &tested, &args.after(skip + 1))?
            }
            None => tested.truthy(),
        };
        if holds == wanted {
            kept.push(item);
        }
    }
    Ok(kept)
}

/// The items; what is empty or nothing has none.
fn iterated<'a>(value: &Val<'a>) -> Result<Vec<Val<'a>>, Fault> {
    if value.truthy() { value.items() } else { Ok(Vec::new()) }
}

/// Text in small letters, so that case does not count.
fn folded(value: Val<'_>) -> Val<'_> {
    match &value {
        Val::Str(text) => Val::str(text.to_lowercase()),
        _ if is_list(&value) => value,
        _ => value,
    }
}
