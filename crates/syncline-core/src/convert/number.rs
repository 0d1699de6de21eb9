//! Numbers as mappings reckon with them: decimal and exact as far as they fit, binary beyond.

use crate::value::Value;
use compact_str::CompactString;
use std::cmp::Ordering;

/// A number: exact where its decimal digits fit 128 bits.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    /// `digits` divided by 10 to the power of `scale`.
    Exact { digits: i128, scale: u32 },
    /// Anything else; may be infinite until it becomes a value.
    Float(f64),
}

/// Quotients are exact up to so many decimal places.
const QUOTIENT_PLACES_MAX: u32 = 12;
const SCALE_MAX: u32 = 38;

impl Number {
    /// The whole number `digits`.
    pub(super) fn whole(digits: i128) -> Self {
        Self::Exact { digits, scale: 0 }
    }

    /// The number that `f` shows as.
    pub(super) fn float(f: f64) -> Self {
        if f.fract() == 0.0 && f.abs() < 1e15 {
            return Self::whole(f as i128);
        }
        parse_exact(&f.to_string()).unwrap_or(Self::Float(f))
    }

    /// Reads plain or scientific decimal text, blanks around it passed over; `None` for anything else,
    /// `NaN` and infinities among it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if !text
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'))
        {
            return None;
        }
        parse_exact(text)
            .or_else(|| text.parse::<f64>().ok().filter(|f| f.is_finite()).map(Self::Float))
    }

    /// The number that `value` is, or that its text spells.
    pub(super) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Int(i) => Some(Self::whole(i128::from(*i))),
            Value::Float(f) => Some(Self::float(*f)),
            Value::Decimal(digits) => Self::parse(digits),
            Value::Text(text) => Self::parse(text),
            _ => None,
        }
    }

    /// The nearest float.
    pub(super) fn to_f64(self) -> f64 {
        match self {
            Self::Exact { digits, scale: 0 } => digits as f64,
            Self::Exact { digits, scale } => plain(digits, scale).parse().unwrap_or(f64::NAN),
            Self::Float(f) => f,
        }
    }

    /// Plain decimal digits.
    pub(super) fn to_plain(self) -> String {
        match self.trimmed() {
            Self::Exact { digits, scale } => plain(digits, scale),
            Self::Float(f) => f.to_string(),
        }
    }

    /// The number as a value: whole numbers as integers, others as floats, and in digits where neither is exact.
    ///
    /// # Errors
    ///
    /// When it is not finite.
    pub(super) fn into_value(self) -> Result<Value, String> {
        match self.trimmed() {
            Self::Exact { digits, scale: 0 } => Ok(i64::try_from(digits).map_or_else(
                |_| Value::Decimal(CompactString::new(digits.to_string())),
                Value::Int,
            )),
            Self::Exact { digits, scale } => {
                let text = plain(digits, scale);
                Ok(match text.parse::<f64>() {
                    Ok(f) if f.to_string() == text => Value::Float(f),
                    _ => Value::Decimal(CompactString::new(text)),
                })
            }
            Self::Float(f) => {
                Value::float(f).ok_or_else(|| "the result is not a finite number".to_owned())
            }
        }
    }

    /// The whole number that this is, if it is one.
    pub(super) fn as_whole(self) -> Option<i128> {
        match self.trimmed() {
            Self::Exact { digits, scale: 0 } => Some(digits),
            _ => None,
        }
    }

    pub(super) fn add(self, other: Self) -> Self {
        aligned(self, other)
            .and_then(|(a, b, scale)| Some(Self::Exact { digits: a.checked_add(b)?, scale }))
            .unwrap_or_else(|| Self::Float(self.to_f64() + other.to_f64()))
    }

    pub(super) fn negated(self) -> Self {
        match self {
            Self::Exact { digits, scale } => digits.checked_neg().map_or_else(
                || Self::Float(-self.to_f64()),
                |digits| Self::Exact { digits, scale },
            ),
            Self::Float(f) => Self::Float(-f),
        }
    }

    pub(super) fn abs(self) -> Self {
        if self.to_f64() < 0.0 { self.negated() } else { self }
    }

    pub(super) fn multiply(self, other: Self) -> Self {
        if let (Self::Exact { digits: a, scale: s }, Self::Exact { digits: b, scale: t }) =
            (self.trimmed(), other.trimmed())
            && let Some(digits) = a.checked_mul(b)
            && s + t <= SCALE_MAX
        {
            return Self::Exact { digits, scale: s + t };
        }
        Self::Float(self.to_f64() * other.to_f64())
    }

    /// `None` where `other` is zero.
    pub(super) fn divide(self, other: Self) -> Option<Self> {
        if other.to_f64() == 0.0 {
            return None;
        }
        if let Some((mut a, b, _)) = aligned(self, other) {
            for scale in 0..=QUOTIENT_PLACES_MAX {
                if a.checked_rem(b) == Some(0) {
                    return a.checked_div(b).map(|digits| Self::Exact { digits, scale });
                }
                let Some(more) = a.checked_mul(10) else { break };
                a = more;
            }
        }
        Some(Self::Float(self.to_f64() / other.to_f64()))
    }

    /// Rounded to `places` decimal places, halves away from zero.
    pub(super) fn round(self, places: i8) -> Self {
        let Self::Exact { digits, scale } = self else { return round_float(self.to_f64(), places) };
        let drop = i64::from(scale) - i64::from(places);
        if drop <= 0 {
            return self;
        }
        let Some(unit) = u32::try_from(drop).ok().and_then(|drop| 10_i128.checked_pow(drop)) else {
            return Self::whole(0);
        };
        let (quotient, rest) = (digits / unit, digits % unit);
        let up = if rest.unsigned_abs() * 2 >= unit.unsigned_abs() { rest.signum() } else { 0 };
        let kept = quotient + up;
        match u32::try_from(places) {
            Ok(scale) => Self::Exact { digits: kept, scale },
            Err(_) => kept
                .checked_mul(10_i128.pow(u32::from(places.unsigned_abs()).min(SCALE_MAX)))
                .map_or_else(|| round_float(self.to_f64(), places), Self::whole),
        }
    }

    /// The greatest whole number that is not greater.
    pub(super) fn floor(self) -> Self {
        match self {
            Self::Exact { digits, scale } => match 10_i128.checked_pow(scale) {
                Some(unit) => Self::whole(digits.div_euclid(unit)),
                None => Self::Float(self.to_f64().floor()),
            },
            Self::Float(f) => Self::Float(f.floor()),
        }
    }

    /// By value; exact where both are.
    pub(super) fn compare(self, other: Self) -> Option<Ordering> {
        match aligned(self, other) {
            Some((a, b, _)) => Some(a.cmp(&b)),
            None => self.to_f64().partial_cmp(&other.to_f64()),
        }
    }

    fn trimmed(self) -> Self {
        let Self::Exact { mut digits, mut scale } = self else { return self };
        while scale > 0 && digits % 10 == 0 {
            digits /= 10;
            scale -= 1;
        }
        Self::Exact { digits, scale }
    }
}

fn round_float(f: f64, places: i8) -> Number {
    let unit = 10_f64.powi(i32::from(places));
    let rounded = (f * unit).round() / unit;
    Number::Float(if rounded.is_finite() { rounded } else { f })
}

/// The digits of both at the greater of their scales.
fn aligned(a: Number, b: Number) -> Option<(i128, i128, u32)> {
    let (Number::Exact { digits: a, scale: s }, Number::Exact { digits: b, scale: t }) = (a, b)
    else {
        return None;
    };
    let scale = s.max(t);
    let raise = |digits: i128, from: u32| digits.checked_mul(10_i128.checked_pow(scale - from)?);
    Some((raise(a, s)?, raise(b, t)?, scale))
}

fn plain(digits: i128, scale: u32) -> String {
    let scale = scale as usize;
    let mut text = digits.unsigned_abs().to_string();
    if scale > 0 {
        if text.len() <= scale {
            text.insert_str(0, &"0".repeat(scale + 1 - text.len()));
        }
        text.insert(text.len() - scale, '.');
    }
    if digits < 0 {
        text.insert(0, '-');
    }
    text
}

fn parse_exact(text: &str) -> Option<Number> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let bare = whole.strip_prefix(['-', '+']).unwrap_or(whole);
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if bare.len() + fraction.len() == 0 || !all_digits(bare) || !all_digits(fraction) {
        return None;
    }
    let mut digits: i128 = 0;
    for byte in bare.bytes().chain(fraction.bytes()) {
        digits = digits.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
    }
    if whole.starts_with('-') {
        digits = -digits;
    }
    let scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
    match u32::try_from(scale) {
        Ok(scale) if scale <= SCALE_MAX => Some(Number::Exact { digits, scale }),
        Ok(_) => None,
        Err(_) => {
            Some(Number::whole(digits.checked_mul(10_i128.checked_pow(scale.unsigned_abs())?)?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(text: &str) -> Number {
        Number::parse(text).unwrap()
    }

    #[test]
    fn decimals_are_reckoned_as_written() {
        let cases = [
            (number("19.99").multiply(number("3")), "59.97"),
            (number("100").multiply(number("1.1")), "110"),
            (number("0.1").add(number("0.2")), "0.3"),
            (number("59.97").divide(number("3")).unwrap(), "19.99"),
            (number("10").divide(number("4")).unwrap(), "2.5"),
            (number("2.675").round(2), "2.68"),
            (number("-2.5").round(0), "-3"),
            (number("1250").round(-2), "1300"),
            (number("9007199254740993").add(number("1")), "9007199254740994"),
            (number("-1.5").floor(), "-2"),
            (number("1.5e3"), "1500"),
            (number("-1.5e-3"), "-0.0015"),
            (number("+7."), "7"),
            (number(".5"), "0.5"),
        ];
        for (result, expected) in cases {
            assert_eq!(result.to_plain(), expected);
        }
        assert!(number("1").divide(number("0.0")).is_none());
        for text in ["", "NaN", "inf", "1e999", "1.2.3", "--1", "1 2", "e5", "-", "0x10"] {
            assert!(Number::parse(text).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_and_any_reckoning_is_safe(a in "[-+0-9.eE]{0,40}", b in any::<f64>(), places in any::<i8>()) {
            if let Some(a) = Number::parse(&a) {
                let b = Number::float(b);
                for result in [a.add(b), a.multiply(b), a.round(places), a.floor(), a.negated().abs(), b.round(places)] {
                    drop(result.into_value());
                }
                drop(a.divide(b).map(Number::into_value));
                let _order = a.compare(b);
            }
        }

        #[test]
        fn whole_numbers_come_back(i in any::<i64>()) {
            prop_assert_eq!(number(&i.to_string()).into_value(), Ok(Value::Int(i)));
        }
    }
}
