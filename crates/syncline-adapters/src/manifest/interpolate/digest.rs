//! Hashes, encodings and JSON as text, for templates and requests.

use super::value::{Fault, Val, float_text};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use ring::digest as ring_digest;
use std::fmt::Write as _;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        write!(out, "{byte:02x}").expect("a string takes whatever is written");
        out
    })
}

/// The hash of `text` and `salt` by the algorithm `name`, in hexadecimal digits.
pub(super) fn hash(name: &str, text: &str, salt: &str) -> Result<String, Fault> {
    let algorithm = match name {
        "md5" => {
            let mut md5 = Md5::new();
            md5.update(text);
            md5.update(salt);
            return Ok(hex(&md5.finalize()));
        }
        "sha1" => &ring_digest::SHA1_FOR_LEGACY_USE_ONLY,
        "sha256" => &ring_digest::SHA256,
        "sha384" => &ring_digest::SHA384,
        "sha512" => &ring_digest::SHA512,
        _ => return Err(Fault::error(format!("there is no hash `{name}`"))),
    };
    Ok(hex(ring_digest::digest(algorithm, format!("{text}{salt}").as_bytes()).as_ref()))
}

/// The SHA-256 (FIPS 180-4) of `text`, in hexadecimal digits.
pub(crate) fn sha256(text: &str) -> String {
    hex(ring_digest::digest(&ring_digest::SHA256, text.as_bytes()).as_ref())
}

/// The HMAC-SHA-256 (RFC 2104) of `text` under `key`, in hexadecimal digits.
pub(super) fn hmac_sha256(text: &str, key: &str) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.as_bytes());
    hex(ring::hmac::sign(&key, text.as_bytes()).as_ref())
}

/// Base64 (RFC 4648) of the bytes.
pub(crate) fn base64_encode(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

/// The text whose base64 `text` is.
pub(super) fn base64_decode(text: &str) -> Result<String, Fault> {
    let bytes = STANDARD.decode(text.trim()).ok();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| Fault::error("the text is no base64 of UTF-8"))
}

/// A random identifier (RFC 9562, version 4).
pub(super) fn random_uuid() -> Result<String, Fault> {
    let random = ring::rand::SystemRandom::new();
    let mut bytes = [0_u8; 16];
    ring::rand::SecureRandom::fill(&random, &mut bytes)
        .map_err(|_| Fault::error("the system has no random numbers"))?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = hex(&bytes);
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    Ok(parts.join("-"))
}

/// Percent-encodes everything but ASCII letters, digits and `safe`; blanks become `+` where `plus` is set.
pub(crate) fn percent_encode(text: &str, safe: &str, plus: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        let c = char::from(byte);
        if c.is_ascii_alphanumeric() || (c.is_ascii() && safe.contains(c)) {
            out.push(c);
        } else if plus && c == ' ' {
            out.push('+');
        } else {
            write!(out, "%{byte:02X}").expect("a string takes whatever is written");
        }
    }
    out
}

/// JSON in the form that `", "` and `": "` separate, with what is not ASCII escaped.
pub(super) fn json_text(value: &Val<'_>, sorted: bool) -> Result<String, Fault> {
    let mut out = String::new();
    write_json(value, sorted, &mut out)?;
    Ok(out)
}

fn write_json(value: &Val<'_>, sorted: bool, out: &mut String) -> Result<(), Fault> {
    match value {
        Val::None => out.push_str("null"),
        Val::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Val::Int(i) => out.push_str(&i.to_string()),
        Val::Float(f) if f.is_nan() => out.push_str("NaN"),
        Val::Float(f) if f.is_infinite() => {
            out.push_str(if *f > 0.0 { "Infinity" } else { "-Infinity" });
        }
        Val::Float(f) => out.push_str(&float_text(*f)),
        Val::Str(text) => write_json_text(text, out),
        Val::Slice(_) => return Err(Fault::Type),
        _ if value.is_map() => {
            let mut entries = Vec::new();
            for (key, value) in value.entries().unwrap_or_default() {
                let key = match &key {
                    Val::None => "null".to_owned(),
                    Val::Bool(b) => b.to_string(),
                    Val::Str(_) | Val::Int(_) | Val::Float(_) => key.to_text().into_owned(),
                    _ => return Err(Fault::Type),
                };
                entries.push((key, value));
            }
            if sorted {
                entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            }
            out.push('{');
            for (index, (key, value)) in entries.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                write_json_text(key, out);
                out.push_str(": ");
                write_json(value, sorted, out)?;
            }
            out.push('}');
        }
        Val::Json(_) | Val::List(_) | Val::Tuple(_) => {
            out.push('[');
            for (index, item) in value.items()?.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                write_json(item, sorted, out)?;
            }
            out.push(']');
        }
        _ => return Err(Fault::Type),
    }
    Ok(())
}

fn write_json_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}").expect("a string takes whatever is written");
                }
            }
        }
    }
    out.push('"');
}
