//! What responses say of limits.

use super::super::interpolate::{Headers, parse_moment};
use serde_json::Value as Json;

const MICROS: f64 = 1e6;
const DAY: i64 = 86_400_000_000;

/// What a response says of limits. Moments are in microseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in super::super) struct Said {
    /// Nothing is to be asked before.
    pub(in super::super) not_before: Option<i64>,
    /// How many calls are left.
    pub(in super::super) remaining: Option<f64>,
    /// Of how many.
    pub(in super::super) limit: Option<f64>,
    /// When there are that many again.
    pub(in super::super) reset: Option<i64>,
}

/// How long a response asks to wait, in milliseconds: `Retry-After` in seconds or as a date (RFC 9110 §10.2.3).
/// `now` is in microseconds since 1970.
pub(in super::super) fn retry_after(headers: &Headers, now: i64) -> Option<u64> {
    let until = moment(text(headers, "retry-after")?, now)?;
    Some(u64::try_from((until - now).max(0) / 1000).unwrap_or(0))
}

/// What the headers of a response say, in the forms that are in use: `Retry-After`, `Backoff`, `RateLimit` (both
/// drafts of the IETF), `RateLimit-*`, `X-RateLimit-*`, `X-Rate-Limit-*`, `X-HubSpot-RateLimit-*` and
/// `Sforce-Limit-Info`; and in the headers that a manifest `names`: what is left, and when there is more again.
pub(in super::super) fn said(headers: &Headers, names: &[Option<String>; 2], now: i64) -> Said {
    let named = |name: &Option<String>| name.as_deref().and_then(|name| text(headers, name));
    let mut said = Said {
        remaining: named(&names[0]).and_then(number),
        reset: named(&names[1]).and_then(|text| moment(text, now)),
        ..Said::default()
    };
    for name in ["retry-after", "backoff"] {
        let until = text(headers, name).and_then(|text| moment(text, now));
        said.not_before = said.not_before.max(until);
    }
    for prefix in ["x-ratelimit", "x-rate-limit", "ratelimit", "x-goog-ratelimit"] {
        let get = |part: &str| text(headers, &format!("{prefix}-{part}"));
        said.remaining = get("remaining").and_then(number).or(said.remaining);
        said.limit = get("limit").and_then(number).or(said.limit);
        said.reset = get("reset").and_then(|text| moment(text, now)).or(said.reset);
    }
    if let Some(structured) = text(headers, "ratelimit") {
        of_structure(structured, now, &mut said);
    }
    if let Some(policy) = text(headers, "ratelimit-policy") {
        said.limit = said.limit.or_else(|| parameter(policy, &["q"]).and_then(number));
    }
    let hubspot = |part: &str| text(headers, &format!("x-hubspot-ratelimit-{part}"));
    if let Some(remaining) = hubspot("remaining").and_then(number) {
        said.remaining = Some(remaining);
        said.limit = hubspot("max").and_then(number);
        let interval = hubspot("interval-milliseconds").and_then(number);
        said.reset = interval.map(|interval| now.saturating_add((interval * 1000.0) as i64));
    }
    if let Some(info) = text(headers, "sforce-limit-info")
        && let Some((used, limit)) = parameter(info, &["api-usage"])
            .and_then(|usage| usage.split_once('/'))
            .and_then(|(used, limit)| Some((number(used)?, number(limit)?)))
    {
        // A day's calls, of which the oldest come back hour by hour.
        said = Said {
            remaining: Some(limit - used),
            limit: Some(limit),
            reset: Some(now + DAY),
            ..said
        };
    }
    said
}

/// `"name";r=50;t=30`, or `limit=100, remaining=50, reset=30`.
fn of_structure(text: &str, now: i64, said: &mut Said) {
    said.remaining = parameter(text, &["r", "remaining"]).and_then(number).or(said.remaining);
    said.limit = parameter(text, &["limit"]).and_then(number).or(said.limit);
    let reset = parameter(text, &["t", "reset"]).and_then(|text| moment(text, now));
    said.reset = reset.or(said.reset);
}

/// The value of the first parameter that has one of these names.
fn parameter<'a>(text: &'a str, names: &[&str]) -> Option<&'a str> {
    text.split([';', ',']).find_map(|part| {
        let (name, value) = part.trim().split_once('=')?;
        names.contains(&name.trim()).then_some(value.trim())
    })
}

fn text<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(Json::as_str).map(str::trim)
}

/// The number at the beginning: several windows are told as `40, 40;window=1`.
fn number(text: &str) -> Option<f64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text[..end].parse().ok().filter(|number: &f64| number.is_finite())
}

/// A moment: seconds from now, seconds or milliseconds since 1970, or a date in either form that is in use.
fn moment(text: &str, now: i64) -> Option<i64> {
    const SINCE_1970: f64 = 1e9;
    const IN_MILLISECONDS: f64 = 1e11;
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        let number = number(text)?;
        return Some(match number {
            ..SINCE_1970 => now.saturating_add((number * MICROS) as i64),
            ..IN_MILLISECONDS => (number * MICROS) as i64,
            _ => (number * 1000.0) as i64,
        });
    }
    if let Ok(date) = jiff::fmt::rfc2822::parse(text) {
        return Some(date.timestamp().as_microsecond());
    }
    i64::try_from(parse_moment::iso(text).ok()?.micros()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Map;

    fn headers(pairs: &[(&str, &str)]) -> Headers {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), Json::from(*value)));
        Headers::new(pairs.collect::<Map<_, _>>())
    }

    #[test]
    fn every_form_that_is_in_use_is_understood() {
        const NOW: i64 = 1_800_000_000_000_000;
        let s = |seconds: i64| Some(NOW + seconds * 1_000_000);
        let quota = |remaining: f64, limit: f64, seconds: i64| Said {
            remaining: Some(remaining),
            limit: Some(limit),
            reset: s(seconds),
            not_before: None,
        };
        let wait = |seconds| Said { not_before: s(seconds), ..Said::default() };
        let cases: &[(&[(&str, &str)], Said)] = &[
            (&[("retry-after", "7")], wait(7)),
            (&[("retry-after", "Fri, 15 Jan 2027 08:00:30 GMT")], wait(30)),
            (&[("retry-after", "soon")], Said::default()),
            (&[("backoff", "3"), ("retry-after", "1")], wait(3)),
            (
                &[
                    ("x-ratelimit-limit", "5000"),
                    ("x-ratelimit-remaining", "4999"),
                    ("x-ratelimit-reset", "1800000060"),
                ],
                quota(4999.0, 5000.0, 60),
            ),
            (
                &[
                    ("ratelimit-limit", "100, 100;w=60"),
                    ("ratelimit-remaining", "5"),
                    ("ratelimit-reset", "12"),
                ],
                quota(5.0, 100.0, 12),
            ),
            (&[("ratelimit", "limit=100, remaining=50, reset=30")], quota(50.0, 100.0, 30)),
            (
                &[
                    ("ratelimit", "\"default\";r=50;t=30"),
                    ("ratelimit-policy", "\"default\";q=80;w=60"),
                ],
                quota(50.0, 80.0, 30),
            ),
            (
                &[
                    ("x-hubspot-ratelimit-remaining", "9"),
                    ("x-hubspot-ratelimit-max", "100"),
                    ("x-hubspot-ratelimit-interval-milliseconds", "10000"),
                ],
                quota(9.0, 100.0, 10),
            ),
            (&[("sforce-limit-info", "api-usage=14000/15000")], quota(1000.0, 15000.0, 86_400)),
            (
                &[
                    ("x-rate-limit-remaining", "1"),
                    ("x-rate-limit-limit", "60"),
                    ("x-rate-limit-reset", "1800000001000"),
                ],
                quota(1.0, 60.0, 1),
            ),
        ];
        for (pairs, expected) in cases {
            assert_eq!(said(&headers(pairs), &[None, None], NOW), *expected, "{pairs:?}");
        }
        let own = headers(&[("left", "3"), ("again-at", "1800000009")]);
        let names = [Some("Left".to_owned()), Some("again-at".to_owned())];
        let expected = Said { remaining: Some(3.0), reset: s(9), ..Said::default() };
        assert_eq!(said(&own, &names, NOW), expected);
        assert_eq!(retry_after(&headers(&[("retry-after", "1.5")]), NOW), Some(1500));
        assert_eq!(retry_after(&headers(&[]), NOW), None);
    }
}
