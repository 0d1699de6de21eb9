//! Moments read from text: in a given format, or in ISO 8601.

use super::moment::{DAYS, MONTHS, Moment};
use super::value::Fault;
use jiff::civil::{Date, DateTime, ISOWeekDate, Time, Weekday};

/// Reads `text` in one of the formats that a manifest can name: `strftime` codes, `%s`, `%ms`,
/// `%s_as_float`, `%epoch_microseconds`, or with `%_ms` for milliseconds. Without an offset it is in UTC.
pub(crate) fn parse(text: &str, format: &str) -> Result<Moment, Fault> {
    let bad = || Fault::error(format!("`{text}` is no time in the format `{format}`"));
    let whole = || text.trim().parse::<i128>().map_err(|_| bad());
    match format {
        "%s" => Moment::from_micros(whole()?.saturating_mul(1_000_000)),
        "%s_as_float" => {
            let seconds: f64 = text.trim().parse().map_err(|_| bad())?;
            Moment::from_micros((seconds * 1e6).round() as i128)
        }
        "%epoch_microseconds" => Moment::from_micros(whole()?),
        "%ms" => Moment::from_micros(whole()?.saturating_mul(1_000)),
        _ => Ok(strptime(text, &format.replace("%_ms", "%f"))?.or_utc()),
    }
}

/// Writes `moment` in one of the formats that [`parse`] reads.
pub(crate) fn format(moment: &Moment, format: &str) -> String {
    match format {
        "%s" => (moment.micros() / 1_000_000).to_string(),
        "%s_as_float" => super::value::float_text(moment.micros() as f64 / 1e6),
        "%epoch_microseconds" => moment.micros().to_string(),
        "%ms" => (moment.micros() / 1_000).to_string(),
        _ if format.contains("%_ms") => {
            let millis = moment.strftime("%f")[..3].to_owned();
            moment.strftime(&format.replace("%_ms", &millis))
        }
        _ => moment.strftime(format),
    }
}

#[derive(Default)]
struct Parts {
    year: Option<i16>,
    month: Option<i8>,
    day: Option<i8>,
    day_of_year: Option<i16>,
    hour: i8,
    hour12: Option<i8>,
    afternoon: Option<bool>,
    minute: i8,
    second: i8,
    nanos: i32,
    offset: Option<i32>,
}

/// Reads `text` by the `strptime` codes of `format`.
pub(super) fn strptime(text: &str, format: &str) -> Result<Moment, Fault> {
    let bad = || Fault::error(format!("`{text}` is no time in the format `{format}`"));
    let mut parts = Parts::default();
    let mut rest = text;
    let expanded = format
        .replace("%T", "%H:%M:%S")
        .replace("%X", "%H:%M:%S")
        .replace("%D", "%m/%d/%y")
        .replace("%x", "%m/%d/%y")
        .replace("%F", "%Y-%m-%d")
        .replace("%R", "%H:%M")
        .replace("%c", "%a %b %d %H:%M:%S %Y");
    let mut codes = expanded.chars().peekable();
    while let Some(c) = codes.next() {
        if c.is_whitespace() {
            while codes.peek().is_some_and(|c| c.is_whitespace()) {
                codes.next();
            }
            let trimmed = rest.trim_start();
            if trimmed.len() == rest.len() {
                return Err(bad());
            }
            rest = trimmed;
            continue;
        }
        if c != '%' {
            let first = rest.chars().next().ok_or_else(bad)?;
            if !first.to_lowercase().eq(c.to_lowercase()) {
                return Err(bad());
            }
            rest = &rest[first.len_utf8()..];
            continue;
        }
        rest = directive(codes.next().ok_or_else(bad)?, rest, &mut parts).ok_or_else(bad)?;
    }
    if !rest.is_empty() {
        return Err(bad());
    }
    parts.moment().ok_or_else(bad)
}

fn digits(text: &str, least: usize, most: usize) -> Option<(i32, &str)> {
    let len = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    if len < least {
        return None;
    }
    Some((text[..len].parse().ok()?, &text[len..]))
}

/// Up to two digits, of which the second counts only where the number stays in range.
fn small(text: &str, range: std::ops::RangeInclusive<i32>) -> Option<(i8, &str)> {
    (1..=2).rev().find_map(|len| {
        let (value, rest) = digits(text, len, len)?;
        range.contains(&value).then_some(())?;
        Some((i8::try_from(value).ok()?, rest))
    })
}

fn name<'a>(text: &'a str, names: &[&str], len: Option<usize>) -> Option<(usize, &'a str)> {
    names.iter().enumerate().find_map(|(index, name)| {
        let name = len.map_or(*name, |len| &name[..len]);
        let head = text.get(..name.len())?;
        head.eq_ignore_ascii_case(name).then(|| (index, &text[name.len()..]))
    })
}

fn directive<'a>(code: char, text: &'a str, parts: &mut Parts) -> Option<&'a str> {
    let rest;
    match code {
        'Y' => {
            let (year, after) = digits(text, 4, 4)?;
            (parts.year, rest) = (Some(i16::try_from(year).ok()?), after);
        }
        'y' => {
            let (year, after) = digits(text, 2, 2)?;
            let year = if year <= 68 { 2000 + year } else { 1900 + year };
            (parts.year, rest) = (Some(i16::try_from(year).ok()?), after);
        }
        'm' => {
            let (month, after) = small(text, 1..=12)?;
            (parts.month, rest) = (Some(month), after);
        }
        'd' => {
            let text = text.strip_prefix(' ').unwrap_or(text);
            let (day, after) = small(text, 1..=31)?;
            (parts.day, rest) = (Some(day), after);
        }
        'j' => {
            let (day, after) = digits(text, 1, 3)?;
            (parts.day_of_year, rest) = (Some(i16::try_from(day).ok()?), after);
        }
        'H' => (parts.hour, rest) = small(text, 0..=23)?,
        'I' => {
            let (hour, after) = small(text, 1..=12)?;
            (parts.hour12, rest) = (Some(hour), after);
        }
        'p' => {
            let (index, after) = name(text, &["AM", "PM"], None)?;
            (parts.afternoon, rest) = (Some(index == 1), after);
        }
        'M' => (parts.minute, rest) = small(text, 0..=59)?,
        'S' => (parts.second, rest) = small(text, 0..=61)?,
        'f' => {
            let (fraction, after) = digits(text, 1, 6)?;
            let len = text.len() - after.len();
            parts.nanos = fraction * 10_i32.pow(u32::try_from(6 - len).ok()?) * 1000;
            rest = after;
        }
        'z' => {
            let (offset, after) = offset(text)?;
            (parts.offset, rest) = (Some(offset), after);
        }
        'Z' => {
            let (_, after) = name(text, &["UTC", "GMT"], None)?;
            rest = after;
        }
        'a' => rest = name(text, &DAYS, Some(3))?.1,
        'A' => rest = name(text, &DAYS, None)?.1,
        'b' | 'h' => {
            let (index, after) = name(text, &MONTHS, Some(3))?;
            (parts.month, rest) = (Some(i8::try_from(index + 1).ok()?), after);
        }
        'B' => {
            let (index, after) = name(text, &MONTHS, None)?;
            (parts.month, rest) = (Some(i8::try_from(index + 1).ok()?), after);
        }
        'w' | 'u' => rest = digits(text, 1, 1)?.1,
        '%' => rest = text.strip_prefix('%')?,
        _ => return None,
    }
    Some(rest)
}

/// `Z`, `+HH:MM`, `+HHMM`, either with seconds, which JSON's dates do not have.
fn offset(text: &str) -> Option<(i32, &str)> {
    if let Some(rest) = text.strip_prefix(['Z', 'z']) {
        return Some((0, rest));
    }
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+')?),
    };
    let (hours, rest) = digits(rest, 2, 2)?;
    let (minutes, rest) = digits(rest.strip_prefix(':').unwrap_or(rest), 2, 2)?;
    (minutes < 60).then_some((sign * (hours * 3600 + minutes * 60), rest))
}

impl Parts {
    fn moment(&self) -> Option<Moment> {
        let year = self.year.unwrap_or(1900);
        if year < 1 {
            return None;
        }
        let date = match self.day_of_year {
            Some(day) => Date::new(year, 1, 1).ok()?.with().day_of_year(day).build().ok()?,
            None => Date::new(year, self.month.unwrap_or(1), self.day.unwrap_or(1)).ok()?,
        };
        let hour = match (self.hour12, self.afternoon) {
            (Some(hour), afternoon) => hour % 12 + if afternoon == Some(true) { 12 } else { 0 },
            (None, _) => self.hour,
        };
        let time = Time::new(hour, self.minute, self.second.min(59), self.nanos).ok()?;
        Some(Moment { civil: date.to_datetime(time), offset: self.offset, is_date: false })
    }
}

/// Reads an ISO 8601 date, or date with time, in any of its common forms, into UTC.
pub(crate) fn iso(text: &str) -> Result<Moment, Fault> {
    let bad = || Fault::error(format!("`{text}` is no ISO 8601 date"));
    let (date, rest) = iso_date(text).ok_or_else(bad)?;
    let mut moment =
        Moment { civil: date.to_datetime(Time::midnight()), offset: None, is_date: false };
    if !rest.is_empty() {
        let separator = rest.chars().next().ok_or_else(bad)?;
        let (civil, offset) = iso_time(date, &rest[separator.len_utf8()..]).ok_or_else(bad)?;
        moment = Moment { civil, offset, is_date: false };
    }
    moment.or_utc().in_utc()
}

fn iso_date(text: &str) -> Option<(Date, &str)> {
    let (year, rest) = digits(text, 4, 4)?;
    let year = i16::try_from(year).ok().filter(|year| *year >= 1)?;
    if rest.is_empty() {
        return Some((Date::new(year, 1, 1).ok()?, rest));
    }
    let dashed = rest.starts_with('-');
    let rest = rest.strip_prefix('-').unwrap_or(rest);
    let two = |text| {
        let (value, rest) = digits(text, 2, 2)?;
        Some((i8::try_from(value).ok()?, rest))
    };
    if let Some(rest) = rest.strip_prefix('W') {
        let (week, rest) = two(rest)?;
        let (day, rest) = match rest.strip_prefix('-') {
            Some(rest) if dashed => digits(rest, 1, 1)?,
            _ if !dashed && rest.starts_with(|c: char| c.is_ascii_digit()) => digits(rest, 1, 1)?,
            _ => (1, rest),
        };
        let weekday = Weekday::from_monday_one_offset(i8::try_from(day).ok()?).ok()?;
        return Some((ISOWeekDate::new(year, week, weekday).ok()?.date(), rest));
    }
    if let Some((month, after)) = two(rest) {
        if after.is_empty() && dashed {
            return Some((Date::new(year, month, 1).ok()?, after));
        }
        let day = if dashed { after.strip_prefix('-') } else { Some(after) };
        if let Some((day, after)) = day.and_then(two) {
            return Some((Date::new(year, month, day).ok()?, after));
        }
    }
    let (day, rest) = digits(rest, 3, 3)?;
    let first = Date::new(year, 1, 1).ok()?;
    Some((first.with().day_of_year(i16::try_from(day).ok()?).build().ok()?, rest))
}

fn iso_time(date: Date, text: &str) -> Option<(DateTime, Option<i32>)> {
    let zone_at = text.find(['Z', 'z', '+', '-']).unwrap_or(text.len());
    let (clock, zone) = text.split_at(zone_at);
    let offset = match zone {
        "" => None,
        "Z" | "z" => Some(0),
        zone if zone.len() == 3 => Some(offset(&format!("{zone}00"))?.0),
        zone => match offset(zone)? {
            (offset, "") => Some(offset),
            _ => return None,
        },
    };
    let colons = clock.contains(':');
    let (mut fields, mut rest) = ([0_i8; 3], clock);
    for (index, field) in fields.iter_mut().enumerate() {
        if rest.is_empty() || rest.starts_with(['.', ',']) {
            break;
        }
        if index > 0 && colons {
            rest = rest.strip_prefix(':')?;
        }
        let (value, after) = digits(rest, 2, 2)?;
        (*field, rest) = (i8::try_from(value).ok()?, after);
        if index == 0 && clock.len() < 2 {
            return None;
        }
    }
    if clock.is_empty() {
        return None;
    }
    let mut nanos = 0;
    if let Some(fraction) = rest.strip_prefix(['.', ',']) {
        let (value, after) = digits(fraction, 1, 6)?;
        let len = u32::try_from(fraction.len() - after.len()).ok()?;
        nanos = value * 10_i32.pow(6 - len) * 1000;
        // More digits than microseconds have are cut off.
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    if !rest.is_empty() {
        return None;
    }
    let [hour, minute, second] = fields;
    if hour == 24 && minute == 0 && second == 0 && nanos == 0 {
        return Some((date.tomorrow().ok()?.to_datetime(Time::midnight()), offset));
    }
    Some((date.to_datetime(Time::new(hour, minute, second, nanos).ok()?), offset))
}
