//! Dates and times: read from whatever form a source has, written in ISO form.

use super::number::Number;
use crate::value::Value;
use jiff::civil::{Date, DateTime};
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// Above this, an epoch number counts milliseconds; up to this, seconds.
const EPOCH_SECONDS_MAX: f64 = 1e11;

/// A date, or an instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Moment {
    /// A calendar date, without time or zone.
    Date(Date),
    /// A point in time.
    Instant(Timestamp),
}

impl Moment {
    /// Reads an ISO date, RFC 3339 text, or a date with a time of day, which is taken as UTC.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.len() <= 10
            && let Ok(date) = text.parse::<Date>()
        {
            return Some(Self::Date(date));
        }
        let instant = text.parse::<Timestamp>().ok();
        instant.or_else(|| utc(text.parse::<DateTime>().ok()?)).map(Self::Instant)
    }

    /// Reads text as [`Moment::parse`] does, and numbers as seconds or milliseconds since 1970.
    pub(super) fn of(value: &Value) -> Option<Self> {
        if let Value::Text(text) = value
            && let Some(moment) = Self::parse(text)
        {
            return Some(moment);
        }
        epoch(Number::of(value)?).map(Self::Instant)
    }

    /// The instant: of a date, its midnight in UTC.
    pub(super) fn instant(self) -> Option<Timestamp> {
        match self {
            Self::Date(date) => utc(date.to_datetime(jiff::civil::Time::midnight())),
            Self::Instant(instant) => Some(instant),
        }
    }

    /// The date: of an instant, that in UTC.
    pub(super) fn date(self) -> Date {
        match self {
            Self::Date(date) => date,
            Self::Instant(instant) => TimeZone::UTC.to_datetime(instant).date(),
        }
    }

    /// The moment `days` later, or `None` outside the years -9999 to 9999.
    pub(super) fn plus_days(self, days: i64) -> Option<Self> {
        match self {
            Self::Date(date) => {
                date.checked_add(Span::new().try_days(days).ok()?).ok().map(Self::Date)
            }
            Self::Instant(instant) => {
                let hours = Span::new().try_hours(days.checked_mul(24)?).ok()?;
                instant.checked_add(hours).ok().map(Self::Instant)
            }
        }
    }

    /// ISO text: `2025-12-09`, or `2025-12-09T11:00:00Z`.
    pub(super) fn to_value(self) -> Value {
        Value::Text(match self {
            Self::Date(date) => compact_str::format_compact!("{date}"),
            Self::Instant(instant) => compact_str::format_compact!("{instant}"),
        })
    }

    /// The moment in a strftime format.
    pub(super) fn format(self, format: &str) -> Result<String, jiff::Error> {
        match self {
            Self::Date(date) => strtime::format(format, date),
            Self::Instant(instant) => strtime::format(format, &instant.to_zoned(TimeZone::UTC)),
        }
    }
}

/// Reads `text` in a strftime format.
pub(super) fn parse_format(format: &str, text: &str) -> Result<Moment, jiff::Error> {
    let parts = strtime::parse(format, text.trim())?;
    if parts.hour().is_none() && parts.timestamp().is_none() {
        return parts.to_date().map(Moment::Date);
    }
    match parts.to_timestamp() {
        Ok(instant) => Ok(Moment::Instant(instant)),
        Err(_) => {
            parts.to_datetime()?.to_zoned(TimeZone::UTC).map(|z| Moment::Instant(z.timestamp()))
        }
    }
}

/// Whether `format` can be written and, if `reading`, read again.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn check_format(format: &str, reading: bool) -> Result<(), String> {
    if !format.contains('%') {
        return Err(format!("`{format}` is no date format: it names no part of a date"));
    }
    let sample = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
    let text = strtime::format(format, &sample).map_err(|error| error.to_string())?;
    if reading {
        parse_format(format, &text).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn utc(time: DateTime) -> Option<Timestamp> {
    time.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

fn epoch(number: Number) -> Option<Timestamp> {
    let in_seconds = number.to_f64().abs() <= EPOCH_SECONDS_MAX;
    let unit = Number::whole(if in_seconds { 1_000_000 } else { 1_000 });
    let micros = number.multiply(unit).floor().as_whole()?;
    Timestamp::from_microsecond(i64::try_from(micros).ok()?).ok()
}

/// The value of a cursor field as a point that can be compared: microseconds since 1970 for dates and times (UTC,
/// where they name no zone), the number itself, rounded down, for numbers. `None` for all else.
pub fn stamp(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::Float(number) => Some(number.floor() as i64),
        Value::Text(text) => {
            let text = text.trim();
            if let Ok(number) = text.parse() {
                return Some(number);
            }
            if let Ok(time) = text.parse::<Timestamp>() {
                return Some(time.as_microsecond());
            }
            let time: DateTime = text.parse().ok()?;
            Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_microsecond())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_in_every_form_a_source_has() {
        let cases = [
            ("2025-12-09", Some("2025-12-09")),
            (" 2025-12-09 ", Some("2025-12-09")),
            ("2025-12-09T11:00:00Z", Some("2025-12-09T11:00:00Z")),
            ("2025-12-09T11:00:00.250+02:00", Some("2025-12-09T09:00:00.25Z")),
            ("2025-12-09T11:00:00.000+0000", Some("2025-12-09T11:00:00Z")),
            ("2025-12-09 11:00", Some("2025-12-09T11:00:00Z")),
            ("2025-12-09T11:00:07", Some("2025-12-09T11:00:07Z")),
            ("1765278000", Some("2025-12-09T11:00:00Z")),
            ("1765278000123", Some("2025-12-09T11:00:00.123Z")),
            ("2025-02-30", None),
            ("99999-01-01", None),
            ("1e30", None),
            ("yesterday", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let moment = Moment::of(&Value::text(text)).map(Moment::to_value);
            assert_eq!(moment, expected.map(Value::text), "{text}");
        }
    }

    #[test]
    fn formats_are_checked_before_they_are_used() {
        assert_eq!(check_format("%d/%m/%Y", true), Ok(()));
        assert_eq!(check_format("%Y-%m-%d %H:%M", true), Ok(()));
        assert!(check_format("DD/MM/YYYY", true).is_err());
        assert!(check_format("%Q!", true).is_err());
        assert!(check_format("%d/%m", true).is_err());
        assert_eq!(check_format("%d/%m", false), Ok(()));
    }
}
