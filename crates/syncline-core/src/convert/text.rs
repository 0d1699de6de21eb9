//! Changes of text; each gives `None` where it changes nothing.

use compact_str::CompactString;

pub(super) fn uppercase(text: &str) -> Option<CompactString> {
    let changes = !text.bytes().all(|b| b.is_ascii() && !b.is_ascii_lowercase());
    changes.then(|| {
        if !text.is_ascii() {
            return CompactString::from_str_to_uppercase(text);
        }
        let mut changed = CompactString::new(text);
        changed.make_ascii_uppercase();
        changed
    })
}

pub(super) fn lowercase(text: &str) -> Option<CompactString> {
    let changes = !text.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase());
    changes.then(|| {
        if !text.is_ascii() {
            return CompactString::from_str_to_lowercase(text);
        }
        let mut changed = CompactString::new(text);
        changed.make_ascii_lowercase();
        changed
    })
}

pub(super) fn trim(text: &str) -> Option<CompactString> {
    let trimmed = text.trim();
    (trimmed.len() != text.len()).then(|| CompactString::new(trimmed))
}

pub(super) fn truncate(text: &str, len: usize) -> Option<CompactString> {
    // No text has more characters than bytes.
    if text.len() <= len {
        return None;
    }
    text.char_indices().nth(len).map(|(end, _)| CompactString::new(&text[..end]))
}

pub(super) fn capitalize(text: &str) -> Option<CompactString> {
    let mut out = CompactString::with_capacity(text.len());
    push_capitalized(&mut out, text);
    Some(out)
}

/// A word starts at a letter or digit that follows neither of those nor an apostrophe.
pub(super) fn title(text: &str) -> Option<CompactString> {
    let mut out = CompactString::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        if inside {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        inside = c.is_alphanumeric() || (inside && matches!(c, '\'' | '’'));
    }
    Some(out)
}

fn push_capitalized(out: &mut CompactString, text: &str) {
    let mut chars = text.chars();
    if let Some(first) = chars.next() {
        out.extend(first.to_uppercase());
        out.extend(chars.flat_map(char::to_lowercase));
    }
}
