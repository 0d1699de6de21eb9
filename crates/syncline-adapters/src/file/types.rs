//! Types of columns: converting a column's text, and inferring a type from samples.

use syncline_core::config::model::{ColumnType, EmptyColumn};
use syncline_core::value::{Cell, Value};

/// The value that an empty column has. Only text can be empty, so other types are null instead.
pub(super) fn empty_cell(empty: EmptyColumn, column_type: ColumnType) -> Cell {
    match empty {
        EmptyColumn::Absent => None,
        EmptyColumn::Empty if column_type == ColumnType::Text => Some(Value::text("")),
        EmptyColumn::Empty | EmptyColumn::Null => Some(Value::Null),
    }
}

/// The value of `text` as `column_type`, which it has to fit; `None` where it does not.
pub(super) fn convert(text: &str, column_type: ColumnType) -> Option<Value> {
    match column_type {
        ColumnType::Text => Some(Value::text(text)),
        ColumnType::Integer => integer(text.trim()),
        ColumnType::Number => number(text.trim()),
        ColumnType::Boolean => boolean(text.trim()),
        ColumnType::Json => serde_json::from_str(text).ok(),
    }
}

/// The value as `column_type`, for formats whose values have a type already: text is converted,
/// other values have to fit.
pub(super) fn coerce(
    value: Value,
    column_type: ColumnType,
    empty: EmptyColumn,
) -> Result<Cell, Value> {
    match (column_type, value) {
        (_, Value::Null) => Ok(Some(Value::Null)),
        (ColumnType::Json, Value::Text(text)) => {
            convert(&text, column_type).map(Some).ok_or(Value::Text(text))
        }
        (ColumnType::Json, value) => Ok(Some(value)),
        (ColumnType::Text, value) => match value {
            Value::Text(_) => Ok(Some(value)),
            Value::List(_) | Value::Map(_) => Err(value),
            scalar => Ok(Some(Value::text(scalar.to_plain()))),
        },
        (_, Value::Text(text)) if text.is_empty() => Ok(empty_cell(empty, column_type)),
        (_, Value::Text(text)) => convert(&text, column_type).map(Some).ok_or(Value::Text(text)),
        (ColumnType::Integer, Value::Float(f)) if f.fract() == 0.0 && f.abs() < 9e15 => {
            Ok(Some(Value::Int(f as i64)))
        }
        (ColumnType::Boolean, Value::Int(i @ (0 | 1))) => Ok(Some(Value::Bool(i == 1))),
        (ColumnType::Integer, value @ (Value::Int(_) | Value::Decimal(_)))
        | (ColumnType::Number, value @ (Value::Int(_) | Value::Float(_) | Value::Decimal(_)))
        | (ColumnType::Boolean, value @ Value::Bool(_)) => Ok(Some(value)),
        (_, value) => Err(value),
    }
}

/// The type's name, as the configuration spells it.
pub(super) fn type_name(column_type: ColumnType) -> &'static str {
    match column_type {
        ColumnType::Text => "text",
        ColumnType::Integer => "integer",
        ColumnType::Number => "number",
        ColumnType::Boolean => "boolean",
        ColumnType::Json => "json",
    }
}

/// Finds the narrowest type that all samples of a column fit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inference {
    any: bool,
    integer: bool,
    number: bool,
    boolean: bool,
}

impl Default for Inference {
    fn default() -> Self {
        Self { any: false, integer: true, number: true, boolean: true }
    }
}

impl Inference {
    /// Takes one more sample; empty ones tell nothing.
    pub(super) fn add(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.any = true;
        self.boolean = self.boolean && boolean_word(text).is_some();
        let plain = is_plain_number(text);
        self.integer = self.integer && plain && text.parse::<i64>().is_ok();
        self.number = self.number && plain && text.parse::<f64>().is_ok_and(f64::is_finite);
    }

    /// The type: integer, number or boolean where every sample fits it, else text.
    pub(super) fn column_type(self) -> ColumnType {
        match self {
            Self { any: false, .. } => ColumnType::Text,
            Self { integer: true, .. } => ColumnType::Integer,
            Self { number: true, .. } => ColumnType::Number,
            Self { boolean: true, .. } => ColumnType::Boolean,
            _ => ColumnType::Text,
        }
    }
}

/// Whether `text` is a number that loses nothing of its spelling's sense: no plus, no leading zero
/// (which postcodes and identifiers have), no minus zero.
fn is_plain_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let leading_zero =
        digits.starts_with('0') && digits.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
    is_number(text) && !text.starts_with('+') && !leading_zero && text != "-0"
}

/// Whether `text` is digits with at most a sign, a point and an exponent: neither `nan` nor `inf`.
fn is_number(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    is_digits(whole)
        && fraction.is_none_or(is_digits)
        && exponent.is_none_or(|e| is_digits(e.strip_prefix(['-', '+']).unwrap_or(e)))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn integer(text: &str) -> Option<Value> {
    if let Ok(number) = text.parse::<i64>() {
        return Some(Value::Int(number));
    }
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => ("-", &text[1..]),
        b'+' => ("", &text[1..]),
        _ => ("", text),
    };
    is_digits(digits)
        .then(|| Value::Decimal(format!("{sign}{}", digits.trim_start_matches('0')).into()))
}

fn number(text: &str) -> Option<Value> {
    if let Some(whole) = integer(text) {
        return Some(whole);
    }
    if !is_number(text) {
        return None;
    }
    let float = text.parse::<f64>().ok().filter(|f| f.is_finite())?;
    let has_exponent = text.contains(['e', 'E']);
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    // 15 digits survive a 64-bit float; more are kept as they stand unless the float spells them
    // all.
    if has_exponent || digits <= 15 || float.to_string() == text {
        return Value::float(float);
    }
    Some(Value::Decimal(text.trim_start_matches('+').into()))
}

fn boolean(text: &str) -> Option<Value> {
    match text {
        "1" => Some(Value::Bool(true)),
        "0" => Some(Value::Bool(false)),
        word => boolean_word(word).map(Value::Bool),
    }
}

fn boolean_word(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("yes") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") || text.eq_ignore_ascii_case("no") {
        Some(false)
    } else {
        None
    }
}
