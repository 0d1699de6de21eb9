//! Rendered text read as a literal: `[1, 'a']` is a list, `True` is true, `007` stays text.
//!
//! The grammar is that of Python's literals (Language Reference, 2.4–2.6 and 6.2), which manifests rely on.

use serde_json::{Map, Value as Json};

const DEPTH_MAX: usize = 90;

/// What kind of literal a text was, where JSON cannot tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Text, a number, a list, a map, true, false or nothing.
    Plain,
    /// A list in round brackets.
    Tuple,
    /// A set or bytes.
    Other,
}

/// Reads `text` as a literal; `None` where it is none.
pub(crate) fn parse(text: &str) -> Option<(Json, Kind)> {
    let trimmed = text.trim_start_matches([' ', '\t']);
    let mut start = trimmed;
    // After a line break, an indented line is no expression.
    while let Some(rest) = start.strip_prefix('\n').or_else(|| start.strip_prefix("\r\n")) {
        start = rest;
    }
    if start.len() != trimmed.len() && start.starts_with([' ', '\t']) {
        return None;
    }
    let first = start.chars().next()?;
    if !(first.is_ascii_digit() || "'\"[({-+.TFNbBrRuUs".contains(first)) {
        return None;
    }
    let mut parser = Parser { rest: start, depth: 0, brackets: 0 };
    let literal = parser.tuple_or_value()?;
    parser.skip();
    let rest = parser.rest.trim_start_matches(['\n', '\r', ' ', '\t']);
    rest.is_empty().then_some(literal)
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
    brackets: usize,
}

impl Parser<'_> {
    fn skip(&mut self) {
        loop {
            let blanks: &[char] =
                if self.brackets > 0 { &[' ', '\t', '\n', '\r'] } else { &[' ', '\t'] };
            self.rest = self.rest.trim_start_matches(blanks);
            if self.rest.starts_with('#') {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                self.rest = &self.rest[end..];
                if self.brackets > 0 {
                    continue;
                }
            }
            return;
        }
    }

    fn take(&mut self, token: char) -> bool {
        self.skip();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// A value, or several with commas between them, which make a tuple.
    fn tuple_or_value(&mut self) -> Option<(Json, Kind)> {
        let first = self.value()?;
        if !self.take(',') {
            return Some(first);
        }
        let mut items = vec![first.0];
        loop {
            self.skip();
            if self.rest.is_empty() || self.rest.starts_with(['\n', '\r', ')']) {
                return Some((Json::Array(items), Kind::Tuple));
            }
            items.push(self.value()?.0);
            if !self.take(',') {
                return Some((Json::Array(items), Kind::Tuple));
            }
        }
    }

    fn value(&mut self) -> Option<(Json, Kind)> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        self.skip();
        let value = match self.rest.chars().next()? {
            '[' => {
                self.open();
                let items = self.items(']')?;
                (Json::Array(items), Kind::Plain)
            }
            '(' => self.parenthesised()?,
            '{' => self.braces()?,
            '-' | '+' => (self.signed()?, Kind::Plain),
            '0'..='9' | '.' => (self.number()?.json()?, Kind::Plain),
            _ => self.word()?,
        };
        self.depth -= 1;
        Some(value)
    }

    fn open(&mut self) {
        self.rest = &self.rest[1..];
        self.brackets += 1;
    }

    fn items(&mut self, close: char) -> Option<Vec<Json>> {
        let mut items = Vec::new();
        loop {
            if self.close(close) {
                return Some(items);
            }
            items.push(self.value()?.0);
            if !self.take(',') {
                return self.close(close).then_some(items);
            }
        }
    }

    fn close(&mut self, close: char) -> bool {
        let closed = self.take(close);
        if closed {
            self.brackets -= 1;
        }
        closed
    }

    fn parenthesised(&mut self) -> Option<(Json, Kind)> {
        self.open();
        if self.close(')') {
            return Some((Json::Array(Vec::new()), Kind::Tuple));
        }
        let inner = self.tuple_or_value()?;
        self.close(')').then_some(inner)
    }

    fn braces(&mut self) -> Option<(Json, Kind)> {
        self.open();
        let mut entries = Map::new();
        if self.close('}') {
            return Some((Json::Object(entries), Kind::Plain));
        }
        let (first, kind) = self.value()?;
        if !self.take(':') {
            let mut items = vec![first];
            if self.take(',') {
                items.extend(self.items('}')?);
            } else if !self.close('}') {
                return None;
            }
            let hashable = items.iter().all(|item| !item.is_array() && !item.is_object());
            return hashable.then_some((Json::Array(items), Kind::Other));
        }
        let value = self.value()?.0;
        entries.insert(key_text(&first, kind)?, value);
        loop {
            if !self.take(',') {
                return self.close('}').then_some((Json::Object(entries), Kind::Plain));
            }
            if self.close('}') {
                return Some((Json::Object(entries), Kind::Plain));
            }
            let (key, kind) = self.value()?;
            if !self.take(':') {
                return None;
            }
            let value = self.value()?.0;
            entries.insert(key_text(&key, kind)?, value);
        }
    }

    fn signed(&mut self) -> Option<Json> {
        let negative = self.take('-');
        if !negative {
            self.take('+');
        }
        self.skip();
        // One sign alone: a second one makes it a sum.
        if !self.rest.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            return None;
        }
        let number = self.number()?;
        if negative { number.negated().json() } else { number.json() }
    }

    fn number(&mut self) -> Option<Digits> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '_';
        let mut end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let head = &self.rest[..end];
        let is_hex = head.starts_with("0x") || head.starts_with("0X");
        if !is_hex && head.ends_with(['e', 'E']) && self.rest[end..].starts_with(['+', '-']) {
            let after = &self.rest[end + 1..];
            end += 1 + after.find(|c| !is_part(c)).unwrap_or(after.len());
        }
        let token = &self.rest[..end];
        self.rest = &self.rest[end..];
        Digits::parse(token)
    }

    fn word(&mut self) -> Option<(Json, Kind)> {
        if self.rest.starts_with(['\'', '"']) {
            return self.strings();
        }
        let end = self.rest.find(|c: char| !(c.is_alphanumeric() || c == '_'));
        let end = end.unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        if rest.starts_with(['\'', '"']) && word.len() <= 2 {
            return self.strings();
        }
        self.rest = rest;
        match word {
            "True" => Some((Json::Bool(true), Kind::Plain)),
            "False" => Some((Json::Bool(false), Kind::Plain)),
            "None" => Some((Json::Null, Kind::Plain)),
            "set" => {
                (self.take('(') && self.take(')')).then_some((Json::Array(Vec::new()), Kind::Other))
            }
            _ => None,
        }
    }

    /// String literals; several in a row are one.
    fn strings(&mut self) -> Option<(Json, Kind)> {
        let mut out = String::new();
        let mut bytes = None;
        loop {
            self.skip();
            let prefix_len = self.rest.find(['\'', '"']).filter(|&len| len <= 2);
            let prefix = prefix_len.map(|len| self.rest[..len].to_ascii_lowercase());
            let Some(prefix @ ("" | "r" | "u" | "b" | "br" | "rb")) = prefix.as_deref() else {
                break;
            };
            let is_bytes = prefix.contains('b');
            if bytes.replace(is_bytes).is_some_and(|before| before != is_bytes) {
                return None;
            }
            self.rest = &self.rest[prefix.len()..];
            self.string(prefix.contains('r'), &mut out)?;
        }
        let kind = if bytes? { Kind::Other } else { Kind::Plain };
        Some((Json::String(out), kind))
    }

    fn string(&mut self, raw: bool, out: &mut String) -> Option<()> {
        let quote = &self.rest[..1];
        let long = quote.repeat(3);
        let end = if self.rest.starts_with(&long) { long.as_str() } else { quote };
        let mut rest = &self.rest[end.len()..];
        loop {
            if let Some(after) = rest.strip_prefix(end) {
                self.rest = after;
                return Some(());
            }
            let c = rest.chars().next()?;
            rest = &rest[c.len_utf8()..];
            match c {
                '\0' => return None,
                '\n' if end.len() == 1 => return None,
                '\\' if raw => {
                    let next = rest.chars().next()?;
                    out.push(c);
                    out.push(next);
                    rest = &rest[next.len_utf8()..];
                }
                '\\' => rest = escape(rest, out)?,
                c => out.push(c),
            }
        }
    }
}

/// Appends what the escape sequence after the backslash stands for, and gives what follows it.
fn escape<'a>(rest: &'a str, out: &mut String) -> Option<&'a str> {
    let c = rest.chars().next()?;
    let after = &rest[c.len_utf8()..];
    let hex = |len: usize| -> Option<(char, &'a str)> {
        let code = u32::from_str_radix(after.get(..len)?, 16).ok()?;
        Some((char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), &after[len..]))
    };
    let simple = match c {
        '\n' => return Some(after),
        '\\' | '\'' | '"' => c,
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        'x' | 'u' | 'U' => {
            let (c, after) = hex(match c {
                'x' => 2,
                'u' => 4,
                _ => 8,
            })?;
            out.push(c);
            return Some(after);
        }
        '0'..='7' => {
            let len = rest.find(|c| !('0'..='7').contains(&c)).unwrap_or(rest.len()).min(3);
            out.push(char::from_u32(u32::from_str_radix(&rest[..len], 8).ok()?)?);
            return Some(&rest[len..]);
        }
        'N' => return None,
        other => {
            out.push('\\');
            other
        }
    };
    out.push(simple);
    Some(after)
}

fn key_text(key: &Json, kind: Kind) -> Option<String> {
    match key {
        Json::String(text) if kind == Kind::Plain => Some(text.clone()),
        Json::Null | Json::Bool(_) | Json::Number(_) => Some(key.to_string()),
        _ => None,
    }
}

enum Digits {
    Int(i128),
    Big(String),
    Float(f64),
}

impl Digits {
    fn parse(token: &str) -> Option<Self> {
        let lower = token.to_ascii_lowercase();
        let plain = without_underscores(&lower)?;
        for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
            if let Some(digits) = plain.strip_prefix(prefix) {
                return i128::from_str_radix(digits, radix).ok().map(Self::Int);
            }
        }
        if plain.bytes().all(|b| b.is_ascii_digit()) {
            if plain.starts_with('0') && plain.bytes().any(|b| b != b'0') {
                return None;
            }
            return Some(match plain.parse() {
                Ok(int) => Self::Int(int),
                Err(_) => Self::Big(plain),
            });
        }
        let floating = plain.bytes().all(|b| b.is_ascii_digit() || b".e+-".contains(&b));
        let digits_at_both_ends =
            plain != "." && !plain.starts_with('e') && !plain.starts_with(".e");
        if floating && digits_at_both_ends { plain.parse().ok().map(Self::Float) } else { None }
    }

    fn negated(self) -> Self {
        match self {
            Self::Int(int) => Self::Int(-int),
            Self::Big(digits) => Self::Big(format!("-{digits}")),
            Self::Float(float) => Self::Float(-float),
        }
    }

    /// Whole numbers that JSON's 64 bits cannot hold stay text, digit for digit.
    fn json(self) -> Option<Json> {
        match self {
            Self::Int(int) => i64::try_from(int)
                .map(Json::from)
                .or_else(|_| u64::try_from(int).map(Json::from))
                .ok()
                .or_else(|| Some(Json::String(int.to_string()))),
            Self::Big(digits) => Some(Json::String(digits)),
            Self::Float(float) => Some(Json::from(float)),
        }
    }
}

/// The digits without their separators; an underscore stands between two digits only.
fn without_underscores(token: &str) -> Option<String> {
    if token.contains('_') {
        let bytes = token.as_bytes();
        for (index, _) in token.match_indices('_') {
            let before = index.checked_sub(1).map(|index| bytes[index]);
            let after = bytes.get(index + 1).copied();
            let prefixed =
                token.starts_with("0x") || token.starts_with("0o") || token.starts_with("0b");
            let is_digit = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_hexdigit());
            if !(is_digit(after) && (is_digit(before) || (prefixed && index == 2))) {
                return None;
            }
        }
    }
    Some(token.replace('_', ""))
}
