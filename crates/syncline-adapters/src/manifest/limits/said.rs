//! What responses say of limits.

use super::super::interpolate::Headers;
use serde_json::Value as Json;

/// How long a response asks to wait, in milliseconds: `Retry-After` in seconds or as a date (RFC 9110 §10.2.3).
/// `now` is in microseconds since 1970.
pub(in super::super) fn retry_after(headers: &Headers, now: i64) -> Option<u64> {
    let text = headers.get("retry-after").and_then(Json::as_str)?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return (seconds.is_finite() && seconds >= 0.0).then_some((seconds * 1000.0) as u64);
    }
    let moment = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_microsecond();
    Some(u64::try_from((moment - now).max(0) / 1000).unwrap_or(0))
}
