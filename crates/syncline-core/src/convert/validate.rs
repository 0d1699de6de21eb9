//! What a mapping's value must meet.

use super::coerce::clip;
use super::compile::Scope;
use super::condition::equal;
use super::dates::Moment;
use super::expression::Expr;
use super::number::Number;
use super::row::Row;
use crate::config::model::{Format, Validation};
use crate::problem::ConfigPath;
use crate::value::Value;
use regex::Regex;

/// A compiled validation.
#[derive(Debug, Default)]
pub(super) struct Rules {
    min: Option<f64>,
    max: Option<f64>,
    min_length: Option<u64>,
    max_length: Option<u64>,
    pattern: Option<(String, Regex)>,
    format: Option<Format>,
    one_of: Option<Vec<Value>>,
    custom: Option<(String, Expr)>,
    message: Option<String>,
}

impl Rules {
    /// Compiles `validation`; what is wrong with it is noted in `scope`.
    pub(super) fn compile(validation: &Validation, scope: &mut Scope<'_>, at: &ConfigPath) -> Self {
        if let (Some(min), Some(max)) = (validation.min, validation.max)
            && min > max
        {
            scope.problem(&at.key("min"), format!("no number is at least {min} and at most {max}"));
        }
        if let (Some(min), Some(max)) = (validation.min_length, validation.max_length)
            && min > max
        {
            let at = at.key("min_length");
            scope.problem(&at, format!("nothing is at least {min} and at most {max} long"));
        }
        let pattern = validation.pattern.as_ref().and_then(|pattern| {
            let at = at.key("pattern");
            // Alone first, so that what is reported is what the user wrote.
            scope.regex(pattern, &at)?;
            let whole = scope.regex(&format!(r"\A(?:{pattern})\z"), &at)?;
            Some((pattern.clone(), whole))
        });
        let custom = validation.custom.as_ref().and_then(|source| {
            Some((source.clone(), Expr::predicate(source, true, scope, &at.key("custom"))?))
        });
        Self {
            min: validation.min,
            max: validation.max,
            min_length: validation.min_length,
            max_length: validation.max_length,
            pattern,
            format: validation.format,
            one_of: validation.one_of.clone(),
            custom,
            message: validation.message.clone(),
        }
    }

    /// Checks `value`; null meets every rule.
    ///
    /// # Errors
    ///
    /// The rule that it does not meet, or the message that the validation gives instead.
    pub(super) fn check(&self, value: &Value, row: &Row<'_>) -> Result<(), String> {
        if value.is_null() {
            return Ok(());
        }
        self.rules(value, row).map_err(|rule| self.message.clone().unwrap_or(rule))
    }

    fn rules(&self, value: &Value, row: &Row<'_>) -> Result<(), String> {
        self.range(value)?;
        self.length(value)?;
        match value {
            Value::List(items) => items.iter().try_for_each(|item| self.form(item))?,
            _ => self.form(value)?,
        }
        if let Some((source, expr)) = &self.custom {
            let holds = expr.holds(row, Some(value));
            if !holds.map_err(|reason| format!("`{source}` cannot be checked: {reason}"))? {
                return Err(format!("`{source}` does not hold"));
            }
        }
        Ok(())
    }

    fn range(&self, value: &Value) -> Result<(), String> {
        if self.min.is_none() && self.max.is_none() {
            return Ok(());
        }
        let number = Number::of(value).ok_or("not a number, so it has no place in a range")?;
        if let Some(min) = self.min
            && number.compare(Number::float(min)).is_none_or(std::cmp::Ordering::is_lt)
        {
            return Err(format!("less than {min}"));
        }
        if let Some(max) = self.max
            && number.compare(Number::float(max)).is_none_or(std::cmp::Ordering::is_gt)
        {
            return Err(format!("greater than {max}"));
        }
        Ok(())
    }

    fn length(&self, value: &Value) -> Result<(), String> {
        if self.min_length.is_none() && self.max_length.is_none() {
            return Ok(());
        }
        let (len, unit) = match value {
            Value::List(items) => (items.len(), "items"),
            _ => (value.to_plain().chars().count(), "characters"),
        };
        let len = len as u64;
        match (self.min_length, self.max_length) {
            (Some(min), _) if len < min => Err(format!("shorter than {min} {unit}")),
            (_, Some(max)) if len > max => Err(format!("longer than {max} {unit}")),
            _ => Ok(()),
        }
    }

    fn form(&self, value: &Value) -> Result<(), String> {
        let plain = value.to_plain();
        if let Some((pattern, regex)) = &self.pattern
            && !regex.is_match(&plain)
        {
            return Err(format!("does not match `{pattern}`"));
        }
        if let Some(format) = self.format
            && !has_format(&plain, format)
        {
            return Err(format!("not {}: `{}`", described(format), clip(&plain)));
        }
        if let Some(allowed) = &self.one_of
            && !allowed.iter().any(|one| equal(value, one))
        {
            let allowed: Vec<_> =
                allowed.iter().map(|one| format!("`{}`", one.to_plain())).collect();
            return Err(format!("not one of {}", clip(&allowed.join(", "))));
        }
        Ok(())
    }
}

fn described(format: Format) -> &'static str {
    match format {
        Format::Email => "an e-mail address",
        Format::Url => "an absolute URL",
        Format::Uuid => "a UUID",
        Format::Date => "a date such as `2025-12-09`",
        Format::Timestamp => "a time such as `2025-12-09T10:00:00Z`",
        Format::Phone => "a phone number of 7 to 15 digits",
    }
}

fn has_format(text: &str, format: Format) -> bool {
    match format {
        Format::Email => is_email(text),
        Format::Url => is_url(text),
        Format::Uuid => uuid::Uuid::try_parse(text).is_ok(),
        Format::Date => text.len() == 10 && matches!(Moment::parse(text), Some(Moment::Date(_))),
        Format::Timestamp => text.parse::<jiff::Timestamp>().is_ok(),
        Format::Phone => is_phone(text),
    }
}

/// A local part and a domain of at least two labels; no blanks, no second `@`, nothing over RFC 5321's lengths.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let is_local = |c: char| !c.is_whitespace() && !c.is_control() && !"@,;:<>()[]\\\"".contains(c);
    let dots = |part: &str| part.starts_with('.') || part.ends_with('.') || part.contains("..");
    (1..=64).contains(&local.len())
        && text.len() <= 254
        && local.chars().all(is_local)
        && !dots(local)
        && domain.contains('.')
        && is_host(domain)
}

fn is_host(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    host.len() <= 253 && host.split('.').all(is_label)
}

fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && !port.contains(']') => (host, port),
        _ => (host, ""),
    };
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
        && (port.is_empty() || port.parse::<u16>().is_ok())
        && address.map_or_else(|| is_host(host), |ip| ip.parse::<std::net::Ipv6Addr>().is_ok())
}

fn is_phone(text: &str) -> bool {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let plus = text.trim().rfind('+').unwrap_or(0);
    (7..=15).contains(&digits)
        && plus == 0
        && text.trim().chars().all(|c| c.is_ascii_digit() || "+-./() \u{a0}".contains(c))
}
