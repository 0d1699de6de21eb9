//! Moments and periods, with the arithmetic and the formats that manifests are written in.

use super::value::Fault;
use jiff::civil::{Date, DateTime, Time};
use jiff::{SignedDuration, Span};
use std::cmp::Ordering;

const MICROS_PER_SECOND: i128 = 1_000_000;
const MICROS_PER_DAY: i128 = 86_400 * MICROS_PER_SECOND;

/// A date, or a date with a time, with or without an offset.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Moment {
    pub(super) civil: DateTime,
    /// Seconds east of UTC.
    pub(super) offset: Option<i32>,
    /// A date alone.
    pub(super) is_date: bool,
}

/// A stretch of time: microseconds, and months, whose length depends on where they begin.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Period {
    pub(crate) micros: i128,
    pub(crate) months: i64,
}

impl Period {
    pub(super) fn is_zero(&self) -> bool {
        self.micros == 0 && self.months == 0
    }

    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        (self.months == 0 && other.months == 0).then(|| self.micros.cmp(&other.micros))
    }

    pub(crate) fn negated(&self) -> Self {
        Self { micros: -self.micros, months: -self.months }
    }

    /// Reads an ISO 8601 duration such as `P1M` or `PT30S`.
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let bad = || Fault::error(format!("`{text}` is no ISO 8601 duration, such as `P1D`"));
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let mut rest = rest.strip_prefix('P').ok_or_else(bad)?;
        if rest.is_empty() {
            return Err(bad());
        }
        let (mut period, mut in_time, mut last) = (Self::default(), false, 0);
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('T') {
                if in_time {
                    return Err(bad());
                }
                (in_time, rest) = (true, after);
                continue;
            }
            let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ','));
            let (number, after) = rest.split_at(end.ok_or_else(bad)?);
            let amount: f64 = number.replace(',', ".").parse().map_err(|_| bad())?;
            let unit = after.chars().next().ok_or_else(bad)?;
            rest = &after[1..];
            let micros =
                |seconds: f64| (amount * seconds * MICROS_PER_SECOND as f64).round() as i128;
            let rank = match (in_time, unit) {
                (false, 'Y') => {
                    period.months += (amount * 12.0) as i64;
                    1
                }
                (false, 'M') => {
                    period.months += amount as i64;
                    2
                }
                (false, 'W') => {
                    period.micros += micros(7.0 * 86_400.0);
                    3
                }
                (false, 'D') => {
                    period.micros += micros(86_400.0);
                    4
                }
                (true, 'H') => {
                    period.micros += micros(3_600.0);
                    5
                }
                (true, 'M') => {
                    period.micros += micros(60.0);
                    6
                }
                (true, 'S') => {
                    period.micros += micros(1.0);
                    7
                }
                _ => return Err(bad()),
            };
            if rank <= last {
                return Err(bad());
            }
            last = rank;
        }
        Ok(if negative { period.negated() } else { period })
    }
}

/// The period as text, such as `1 day, 2:00:00`.
pub(super) fn delta_text(period: &Period) -> String {
    let (days, rest) =
        (period.micros.div_euclid(MICROS_PER_DAY), period.micros.rem_euclid(MICROS_PER_DAY));
    let (seconds, micros) = (rest / MICROS_PER_SECOND, rest % MICROS_PER_SECOND);
    let mut out = String::new();
    for (count, unit) in [
        (i128::from(period.months / 12), "year"),
        (i128::from(period.months % 12), "month"),
        (days, "day"),
    ] {
        match count {
            0 => {}
            1 | -1 => out += &format!("{count} {unit}, "),
            _ => out += &format!("{count} {unit}s, "),
        }
    }
    out += &format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if micros > 0 {
        out += &format!(".{micros:06}");
    }
    out
}

/// How much of a time is written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Precision {
    /// Seconds, and microseconds where there are any.
    AsNeeded,
    Hours,
    Minutes,
    Seconds,
    Millis,
    Micros,
}

impl Precision {
    /// The one that Python calls `name`.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "auto" => Self::AsNeeded,
            "hours" => Self::Hours,
            "minutes" => Self::Minutes,
            "seconds" => Self::Seconds,
            "milliseconds" => Self::Millis,
            "microseconds" => Self::Micros,
            _ => return None,
        })
    }
}

impl Moment {
    /// The moment `micros` microseconds after 1970 began, in UTC.
    pub(crate) fn from_micros(micros: i128) -> Result<Self, Fault> {
        let epoch = Self { civil: epoch(), offset: Some(0), is_date: false };
        epoch.plus(&Period { micros, months: 0 })
    }

    pub(crate) fn date(self) -> Self {
        Self { civil: self.civil.date().to_datetime(Time::midnight()), offset: None, is_date: true }
    }

    /// The date and the time, without the offset.
    pub(crate) fn civil(&self) -> DateTime {
        self.civil
    }

    /// Another date and time with the same offset.
    pub(crate) fn at_civil(self, civil: DateTime) -> Self {
        Self { civil, ..self }
    }

    /// Microseconds since 1970; a moment without an offset is taken to be in UTC.
    pub(crate) fn micros(&self) -> i128 {
        let since = self.civil.duration_since(epoch());
        since.as_micros() - i128::from(self.offset.unwrap_or(0)) * MICROS_PER_SECOND
    }

    /// The same moment in UTC.
    pub(crate) fn in_utc(&self) -> Result<Self, Fault> {
        Self::from_micros(self.micros())
    }

    /// In UTC, where it has no offset yet.
    pub(crate) fn or_utc(self) -> Self {
        Self { offset: self.offset.or(Some(0)), is_date: false, ..self }
    }

    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        let alike =
            self.is_date == other.is_date && self.offset.is_some() == other.offset.is_some();
        alike.then(|| self.micros().cmp(&other.micros()))
    }

    /// This moment and `period`; where a month has fewer days, its last one.
    pub(crate) fn plus(&self, period: &Period) -> Result<Self, Fault> {
        let bad = |_| Fault::error("the date is out of range");
        let civil = self.civil.checked_add(Span::new().try_months(period.months).map_err(bad)?);
        let mut micros = period.micros;
        if self.is_date {
            micros = micros.div_euclid(MICROS_PER_DAY) * MICROS_PER_DAY;
        }
        let micros = i64::try_from(micros).map_err(|_| Fault::error("the date is out of range"))?;
        let civil = civil.map_err(bad)?.checked_add(SignedDuration::from_micros(micros));
        let civil = civil.map_err(bad)?;
        if civil.year() < 1 {
            return Err(Fault::error("the date is out of range"));
        }
        Ok(Self { civil, ..*self })
    }

    /// This moment less `period`; of a date, whole days alone.
    pub(crate) fn minus(&self, period: &Period) -> Result<Self, Fault> {
        if self.is_date && period.months == 0 {
            let days = period.micros.div_euclid(MICROS_PER_DAY);
            return self.plus(&Period { micros: -days * MICROS_PER_DAY, months: 0 });
        }
        self.plus(&period.negated())
    }

    /// ISO 8601, with `separator` between date and time.
    pub(crate) fn iso(&self, separator: char) -> String {
        self.iso_to(separator, Precision::AsNeeded)
    }

    /// The same, with the time as far as `precision`.
    pub(super) fn iso_to(&self, separator: char, precision: Precision) -> String {
        let date = self.civil.date();
        let mut out = format!("{:04}-{:02}-{:02}", date.year(), date.month(), date.day());
        if self.is_date {
            return out;
        }
        let time = self.civil.time();
        let (hour, minute, second) = (time.hour(), time.minute(), time.second());
        let micros = micros_of(time);
        out.push(separator);
        let precision = match precision {
            Precision::AsNeeded if micros > 0 => Precision::Micros,
            other => other,
        };
        out += &match precision {
            Precision::Hours => format!("{hour:02}"),
            Precision::Minutes => format!("{hour:02}:{minute:02}"),
            _ => format!("{hour:02}:{minute:02}:{second:02}"),
        };
        match precision {
            Precision::Millis => out += &format!(".{:03}", micros / 1000),
            Precision::Micros => out += &format!(".{micros:06}"),
            _ => {}
        }
        if let Some(offset) = self.offset {
            out += &offset_text(offset, ":");
        }
        out
    }

    /// Formats as C's `strftime` does, with `%f` for microseconds.
    #[expect(clippy::too_many_lines, reason = "one arm for each code")]
    pub(crate) fn strftime(&self, format: &str) -> String {
        let (date, time) = (self.civil.date(), self.civil.time());
        let mut out = String::with_capacity(format.len() + 8);
        let mut chars = format.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            let mut flag = None;
            let mut code = chars.next();
            if let Some(f @ ('-' | '_' | '0' | '^' | '#')) = code {
                flag = Some(f);
                code = chars.next();
            }
            let number = |value: i64, width: usize, pad: char| match (flag, pad) {
                (Some('-'), _) => value.to_string(),
                (Some('_'), _) | (None, ' ') => format!("{value:>width$}"),
                _ => format!("{value:0>width$}"),
            };
            let weekday = usize::from(date.weekday().to_monday_zero_offset().unsigned_abs());
            let text = match code {
                // The C library does not pad years.
                Some('Y') => date.year().to_string(),
                Some('C') => number(i64::from(date.year() / 100), 2, '0'),
                Some('y') => number(i64::from(date.year().rem_euclid(100)), 2, '0'),
                Some('m') => number(i64::from(date.month()), 2, '0'),
                Some('d') => number(i64::from(date.day()), 2, '0'),
                Some('e') => number(i64::from(date.day()), 2, ' '),
                Some('H') => number(i64::from(time.hour()), 2, '0'),
                Some('k') => number(i64::from(time.hour()), 2, ' '),
                Some('I') => number(i64::from((time.hour() + 11) % 12 + 1), 2, '0'),
                Some('l') => number(i64::from((time.hour() + 11) % 12 + 1), 2, ' '),
                Some('M') => number(i64::from(time.minute()), 2, '0'),
                Some('S') => number(i64::from(time.second()), 2, '0'),
                Some('f') => format!("{:06}", micros_of(time)),
                Some('j') => number(i64::from(date.day_of_year()), 3, '0'),
                Some('s') => self.micros().div_euclid(MICROS_PER_SECOND).to_string(),
                Some('p') => if time.hour() < 12 { "AM" } else { "PM" }.to_owned(),
                Some('P') => if time.hour() < 12 { "am" } else { "pm" }.to_owned(),
                Some('a') => DAYS[weekday][..3].to_owned(),
                Some('A') => DAYS[weekday].to_owned(),
                Some('b' | 'h') => MONTHS[month_index(date)][..3].to_owned(),
                Some('B') => MONTHS[month_index(date)].to_owned(),
                Some('u') => (weekday + 1).to_string(),
                Some('w') => ((weekday + 1) % 7).to_string(),
                Some('U') => number(
                    (i64::from(date.day_of_year()) + 6 - (weekday as i64 + 1) % 7) / 7,
                    2,
                    '0',
                ),
                Some('W') => {
                    number((i64::from(date.day_of_year()) + 6 - weekday as i64) / 7, 2, '0')
                }
                Some('V') => number(i64::from(date.iso_week_date().week()), 2, '0'),
                Some('G') => date.iso_week_date().year().to_string(),
                Some('g') => number(i64::from(date.iso_week_date().year() % 100), 2, '0'),
                Some('z') => self.offset.map(|o| offset_text(o, "")).unwrap_or_default(),
                Some(':') => {
                    chars.next();
                    self.offset.map(|o| offset_text(o, ":")).unwrap_or_default()
                }
                Some('Z') => match self.offset {
                    None => String::new(),
                    Some(0) => "UTC".to_owned(),
                    Some(offset) => format!("UTC{}", offset_text(offset, ":")),
                },
                Some('F') => self.strftime("%Y-%m-%d"),
                Some('T' | 'X') => self.strftime("%H:%M:%S"),
                Some('R') => self.strftime("%H:%M"),
                Some('D' | 'x') => self.strftime("%m/%d/%y"),
                Some('r') => self.strftime("%I:%M:%S %p"),
                Some('c') => self.strftime("%a %b %e %H:%M:%S %Y"),
                Some('n') => "\n".to_owned(),
                Some('t') => "\t".to_owned(),
                Some('%') => "%".to_owned(),
                Some(other) => format!("%{other}"),
                None => "%".to_owned(),
            };
            match flag {
                Some('^') => out += &text.to_uppercase(),
                _ => out += &text,
            }
        }
        out
    }
}

fn month_index(date: Date) -> usize {
    usize::from(date.month().unsigned_abs() - 1)
}

pub(super) fn micros_of(time: Time) -> i32 {
    time.subsec_nanosecond() / 1000
}

fn epoch() -> DateTime {
    DateTime::constant(1970, 1, 1, 0, 0, 0, 0)
}

fn offset_text(offset: i32, separator: &str) -> String {
    let sign = if offset < 0 { '-' } else { '+' };
    let minutes = offset.abs() / 60;
    format!("{sign}{:02}{separator}{:02}", minutes / 60, minutes % 60)
}

pub(super) const DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
