//! The normal forms of e-mail addresses and phone numbers.

use super::normalise::{Normal, fold, folded_text};
use unicode_normalization::UnicodeNormalization;

const MAILTO: &str = "mailto:";

/// The normaliser `email`.
pub(super) fn email(text: &str, scratch: &mut String) -> Normal {
    if let Some(normal) = address(text, scratch) {
        return normal;
    }
    let normal = folded_text(text, scratch);
    if matches!(normal, Normal::Part(_)) || scratch == text {
        return normal;
    }
    // Folding may have made an address of it, and the normal form of that must be the same.
    let folded = std::mem::take(scratch);
    match address(&folded, scratch) {
        Some(Normal::Part(range)) => scratch.push_str(&folded[range]),
        Some(built) => return built,
        None => *scratch = folded,
    }
    Normal::Built(0..scratch.len())
}

/// The normal form of an address; `None`, and an empty scratch buffer, where `text` is none.
fn address(text: &str, scratch: &mut String) -> Option<Normal> {
    if is_plain_address(text) {
        let parts = Address::find(text)?;
        if !parts.has_alias(text) {
            return Some(Normal::Part(0..parts.end));
        }
        scratch.push_str(text);
    } else {
        write_bare(text, scratch);
    }
    let Some(parts) = Address::find(scratch) else {
        scratch.clear();
        return None;
    };
    scratch.truncate(parts.end);
    drop_alias(scratch, parts.at);
    Some(Normal::Built(0..scratch.len()))
}

/// Whether `text` needs neither lower case nor unwrapping.
fn is_plain_address(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_graphic() && !b.is_ascii_uppercase() && b != b'>' && b != b':';
    text.bytes().all(plain)
}

/// Writes `text` in lower case, without what is put around addresses: `mailto:`, `Name <…>`, dots behind.
fn write_bare(text: &str, out: &mut String) {
    if text.is_ascii() {
        out.push_str(text);
        out.make_ascii_lowercase();
    } else {
        out.extend(text.nfkc().flat_map(char::to_lowercase));
    }
    let mut bare = out.as_str();
    loop {
        let before = bare.len();
        bare = bare.trim().trim_end_matches('.');
        bare = bare.strip_prefix(MAILTO).unwrap_or(bare);
        if let Some(inner) = bare.strip_suffix('>')
            && let Some(open) = inner.rfind('<')
        {
            bare = &inner[open + 1..];
        }
        if bare.len() == before {
            break;
        }
    }
    if bare.len() < out.len() {
        *out = bare.to_owned();
    }
}

struct Address {
    at: usize,
    /// Where the domain ends: before closing dots.
    end: usize,
}

impl Address {
    fn find(text: &str) -> Option<Self> {
        let at = text.rfind('@')?;
        let end = text.trim_end_matches('.').len();
        let foreign = |c: char| c.is_whitespace() || c.is_control() || matches!(c, ':' | '<' | '>');
        (at > 0 && end > at + 1 && !text.contains(foreign)).then_some(Self { at, end })
    }

    fn has_alias(&self, text: &str) -> bool {
        let (local, domain) = (&text[..self.at], &text[self.at + 1..self.end]);
        match Provider::of(domain) {
            Provider::Gmail => domain != "gmail.com" || local.contains(['.', '+']),
            Provider::Tags => local.contains('+'),
            Provider::Other => false,
        }
    }
}

enum Provider {
    /// Ignores dots, and everything from a plus on; has two domains.
    Gmail,
    /// Ignores everything from a plus on.
    Tags,
    Other,
}

impl Provider {
    fn of(domain: &str) -> Self {
        match domain {
            "gmail.com" | "googlemail.com" => Self::Gmail,
            "icloud.com" | "me.com" | "mac.com" | "fastmail.com" | "fastmail.fm" | "proton.me"
            | "protonmail.com" | "pm.me" => Self::Tags,
            _ if ["outlook.", "hotmail.", "live."].iter().any(|p| domain.starts_with(p)) => {
                Self::Tags
            }
            _ => Self::Other,
        }
    }
}

/// Takes off what the provider ignores, unless nothing would be left before the `@`.
fn drop_alias(address: &mut String, at: usize) {
    let (local, domain) = (&address[..at], &address[at + 1..]);
    let untagged = local.find('+').unwrap_or(at);
    match Provider::of(domain) {
        Provider::Gmail => {
            address.replace_range(at + 1.., "gmail.com");
            if address[..untagged].bytes().all(|b| b == b'.') {
                return;
            }
            address.replace_range(untagged..at, "");
            let mut end = untagged;
            while let Some(dot) = address[..end].find('.') {
                address.remove(dot);
                end -= 1;
            }
        }
        Provider::Tags if untagged > 0 => address.replace_range(untagged..at, ""),
        Provider::Tags | Provider::Other => {}
    }
}

/// Digits of a normal form: enough to tell numbers apart without knowing the region.
const PHONE_DIGITS: usize = 9;
/// With fewer digits it is an extension or a placeholder.
const PHONE_DIGITS_MIN: usize = 5;
/// Letters after so many digits begin an extension (`x12`, `ext. 12`).
const DIGITS_BEFORE_EXTENSION: usize = 7;

/// The normaliser `phone`.
pub(super) fn phone(text: &str, scratch: &mut String) -> Normal {
    let bytes = text.as_bytes();
    if (PHONE_DIGITS_MIN..=PHONE_DIGITS).contains(&bytes.len())
        && bytes[0] != b'0'
        && bytes.iter().all(u8::is_ascii_digit)
    {
        return Normal::Part(0..text.len());
    }
    let plus = digits(text, scratch);
    let end = scratch.len();
    let mut start = 0;
    if plus || scratch.starts_with("00") {
        start += if plus { 0 } else { 2 };
        start += country_code_len(&scratch[start..]);
    }
    start = after_zeros(scratch, start);
    start = after_zeros(scratch, start.max(end.saturating_sub(PHONE_DIGITS)));
    if end - start < PHONE_DIGITS_MIN { Normal::Built(0..0) } else { Normal::Built(start..end) }
}

/// Writes the digits of a phone number, without an extension; whether a `+` stands before them.
pub(super) fn digits(text: &str, out: &mut String) -> bool {
    let (mut plus, mut ended) = (false, false);
    fold(text, |c| match c {
        _ if ended => {}
        '0'..='9' => out.push(c),
        '+' if out.is_empty() => plus = true,
        '#' | 'a'..='z' => ended = out.len() >= DIGITS_BEFORE_EXTENSION,
        _ => {}
    });
    plus
}

fn after_zeros(digits: &str, start: usize) -> usize {
    digits.len() - digits[start..].trim_start_matches('0').len()
}

/// How many digits the country's code has at the start of an international number (ITU-T E.164).
pub(super) fn country_code_len(digits: &str) -> usize {
    let two = match digits.as_bytes() {
        [b'1' | b'7', ..] => return 1,
        [b'0', ..] | [] => return 0,
        [first, second, ..] => [*first, *second],
        [_] => return 0,
    };
    let is_two = matches!(
        &two,
        b"20"
            | b"27"
            | b"30"
            | b"31"
            | b"32"
            | b"33"
            | b"34"
            | b"36"
            | b"39"
            | b"40"
            | b"41"
            | b"43"
            | b"44"
            | b"45"
            | b"46"
            | b"47"
            | b"48"
            | b"49"
            | b"51"
            | b"52"
            | b"53"
            | b"54"
            | b"55"
            | b"56"
            | b"57"
            | b"58"
            | b"60"
            | b"61"
            | b"62"
            | b"63"
            | b"64"
            | b"65"
            | b"66"
            | b"81"
            | b"82"
            | b"84"
            | b"86"
            | b"90"
            | b"91"
            | b"92"
            | b"93"
            | b"94"
            | b"95"
            | b"98"
    );
    if is_two { 2 } else { digits.len().min(3) }
}
