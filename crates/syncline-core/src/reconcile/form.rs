//! Whether a value is what a system made of one that was written to it.

use crate::value::{Cell, Value};

/// The fewest characters to which a system is taken to cut texts.
const CUT_MIN: usize = 10;

/// Whether `got` may be what a system made of `sent`, other than by reading it back as it was converted: a text in one
/// case, without blanks or signs at its borders or at all, or cut short; a number with fewer digits.
///
/// `held` is what the system held before. It kept that in its own form: a way of writing that would have changed it is not the
/// system's, so that `got` is a person's edit. Where nothing was held, nothing tells the two apart, and the value that
/// says more is kept.
pub fn is_form_of(sent: &Cell, got: &Cell, held: &Cell) -> bool {
    match (sent, got) {
        (Some(Value::Text(sent)), Some(Value::Text(got))) => {
            let held = match held {
                Some(Value::Text(held)) => Some(held.as_str()),
                _ => None,
            };
            is_text_form(sent, got, held)
        }
        (Some(sent), Some(got)) => match (sent.as_f64(), got.as_f64()) {
            (Some(sent), Some(got)) => is_rounded(sent, got, held.as_ref().and_then(Value::as_f64)),
            _ => false,
        },
        _ => false,
    }
}

fn is_text_form(sent: &str, got: &str, held: Option<&str>) -> bool {
    let cases: [fn(&str) -> String; 4] =
        [str::to_owned, str::to_lowercase, str::to_uppercase, titled];
    let signs: [fn(&str) -> String; 4] = [str::to_owned, trimmed, squeezed, plain];
    let ways = cases.iter().flat_map(|case| signs.iter().map(move |sign| (case, sign)));
    let is_made = ways.into_iter().any(|(case, sign)| {
        let way = |text: &str| sign(&case(text));
        let made = way(sent);
        let fits = held.is_none_or(|held| way(held) == held);
        fits && (made == got || (made.starts_with(got) && is_cut(got, held)))
    });
    // Signs that come in between, as in telephone numbers.
    let has_signs = held.is_none_or(|held| held.chars().any(|c| !c.is_alphanumeric()));
    is_made || (has_signs && !plain(got).is_empty() && plain(sent) == plain(got))
}

fn titled(text: &str) -> String {
    let mut starts = true;
    let titled = text.chars().map(|c| {
        let now = std::mem::replace(&mut starts, !c.is_alphanumeric());
        if now { c.to_uppercase().to_string() } else { c.to_lowercase().to_string() }
    });
    titled.collect()
}

fn trimmed(text: &str) -> String {
    text.trim().to_owned()
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

fn is_cut(got: &str, held: Option<&str>) -> bool {
    let len = got.chars().count();
    let before = held.map_or(0, |held| held.chars().count());
    before <= len && len >= CUT_MIN
}

fn is_rounded(sent: f64, got: f64, held: Option<f64>) -> bool {
    let digits = |number: f64| match number.to_string().split_once('.') {
        Some((_, digits)) => digits.len(),
        None => 0,
    };
    let kept = digits(got);
    let step = 10_f64.powi(-i32::try_from(kept).unwrap_or(i32::MAX));
    let is_short = kept < digits(sent) && held.is_none_or(|held| digits(held) <= kept);
    let is_single = (sent as f32) == (got as f32);
    is_single || (is_short && (sent - got).abs() <= step)
}
