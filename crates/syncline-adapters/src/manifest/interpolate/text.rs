//! How texts are written: letters, words, tags, patterns.

use super::value::Fault;
use regex::Regex;
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

pub(super) fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Each part after a blank, a dash or a bracket with a large letter first, the rest in small ones.
pub(super) fn titled(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut begins = true;
    for c in text.chars() {
        if begins {
            out.extend(c.to_uppercase());
        } else {
            out.extend(c.to_lowercase());
        }
        begins = c.is_whitespace() || "-({[<".contains(c);
    }
    out
}

/// Whether there are letters, and none of them is large.
pub(super) fn is_lower(text: &str) -> bool {
    text.to_lowercase() == text && text.to_uppercase() != text
}

/// Whether there are letters, and none of them is small.
pub(super) fn is_upper(text: &str) -> bool {
    text.to_uppercase() == text && text.to_lowercase() != text
}

/// `text` in the middle of `width` characters.
pub(super) fn centred(text: &str, width: usize, fill: &str) -> String {
    let pad = width.min(10_000).saturating_sub(text.chars().count());
    // An odd one goes to the left where the width is odd, too.
    let left = pad / 2 + (pad & width & 1);
    format!("{}{text}{}", fill.repeat(left), fill.repeat(pad - left))
}

/// Each word with a large letter first.
pub(super) fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_word = false;
    for c in text.chars() {
        if in_word {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        in_word = c.is_alphabetic();
    }
    out
}

/// The first letter large, the rest small.
pub(super) fn capitalize(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().collect::<String>() + &chars.as_str().to_lowercase(),
        None => String::new(),
    }
}

/// Text without tags and comments, with single blanks.
pub(super) fn without_tags(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(begin) = rest.find('<') {
        let comment = rest[begin..].starts_with("<!--");
        let end = if comment { "-->" } else { ">" };
        let Some(length) = rest[begin..].find(end) else { break };
        out.push_str(&rest[..begin]);
        rest = &rest[begin + length + end.len()..];
    }
    out.push_str(rest);
    let out = out.split_whitespace().collect::<Vec<_>>().join(" ");
    out.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&#39;", "'")
        .replace("&#34;", "\"")
        .replace("&amp;", "&")
}

/// A compiled pattern, kept because templates run once for each record.
pub(super) fn pattern_of(pattern: &str) -> Result<Regex, Fault> {
    const KEPT_MAX: usize = 256;
    static KEPT: LazyLock<Mutex<HashMap<String, Regex>>> = LazyLock::new(Mutex::default);
    let mut kept = KEPT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(regex) = kept.get(pattern) {
        return Ok(regex.clone());
    }
    let regex = Regex::new(pattern)
        .map_err(|_| Fault::error(format!("the pattern `{pattern}` is not supported")))?;
    if kept.len() >= KEPT_MAX {
        kept.clear();
    }
    kept.insert(pattern.to_owned(), regex.clone());
    Ok(regex)
}

/// `\1` and `\g<name>` as `${1}` and `${name}`.
pub(super) fn groups(replacement: &str) -> String {
    let mut out = String::new();
    let mut rest = replacement;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        rest = after;
        match c {
            '$' => out.push_str("$$"),
            '\\' => {
                if let Some((name, tail)) =
                    after.strip_prefix("g<").and_then(|named| named.split_once('>'))
                {
                    out += &format!("${{{name}}}");
                    rest = tail;
                } else if let Some(digit) = after.chars().next().filter(char::is_ascii_digit) {
                    out += &format!("${{{digit}}}");
                    rest = &after[1..];
                } else if let Some(escaped) = after.chars().next() {
                    out.push(match escaped {
                        'n' => '\n',
                        't' => '\t',
                        other => other,
                    });
                    rest = &after[escaped.len_utf8()..];
                }
            }
            c => out.push(c),
        }
    }
    out
}
