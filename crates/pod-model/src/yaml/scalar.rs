//! What a scalar means in YAML 1.1, as Kubernetes' parser reads it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use saphyr_parser::ScalarStyle;

use super::Value;

/// The value of a scalar, by its tag (without the `!!`) or else by how it looks.
pub(super) fn value(text: &str, style: ScalarStyle, tag: Option<&str>) -> Result<Value, String> {
    match tag {
        None if style == ScalarStyle::Plain => Ok(plain(text)),
        None | Some("str" | "timestamp") => Ok(Value::Text(text.to_owned())),
        Some("binary") => binary(text),
        Some(tag) => {
            let value = plain(text);
            let is_meant = match &value {
                Value::Null => tag == "null",
                Value::Bool(_) => tag == "bool",
                Value::Int(_) => matches!(tag, "int" | "float"),
                Value::Float(_) => tag == "float",
                _ => false,
            };
            if is_meant { Ok(value) } else { Err(format!("cannot decode `{text}` as a !!{tag}")) }
        }
    }
}

/// A key, which becomes a text whatever it is.
pub(super) fn key(text: &str, style: ScalarStyle) -> Option<String> {
    if style != ScalarStyle::Plain {
        return Some(text.to_owned());
    }
    match plain(text) {
        Value::Null => None,
        Value::Bool(value) => Some(value.to_string()),
        Value::Int(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        _ => Some(text.to_owned()),
    }
}

fn binary(text: &str) -> Result<Value, String> {
    let text: String = text.split_whitespace().collect();
    let bytes = STANDARD.decode(text).map_err(|_| "!!binary value contains invalid base64 data")?;
    let text = String::from_utf8(bytes).map_err(|_| {
        "!!binary holds bytes that are no text; without the tag, base64 goes to data or binaryData"
    })?;
    Ok(Value::Text(text))
}

fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "true" | "True" | "TRUE" => {
            return Value::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "false" | "False" | "FALSE" => {
            return Value::Bool(false);
        }
        _ => {}
    }
    integer(text)
        .map(Value::Int)
        .or_else(|| float(text))
        .unwrap_or_else(|| Value::Text(text.to_owned()))
}

fn integer(text: &str) -> Option<i64> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-')) {
        return None;
    }
    let plain = text.replace('_', "");
    let (sign, digits) = match plain.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", plain.strip_prefix('+').unwrap_or(&plain)),
    };
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.chars().all(|c| c.is_ascii_alphanumeric());
    if !is_number {
        return None;
    }
    let (radix, digits) = match digits.get(..2) {
        Some("0x" | "0X") => (16, &digits[2..]),
        Some("0o" | "0O") => (8, &digits[2..]),
        Some("0b" | "0B") => (2, &digits[2..]),
        _ if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    i64::from_str_radix(&format!("{sign}{digits}"), radix).ok()
}

fn float(text: &str) -> Option<Value> {
    if text.starts_with('_') {
        return None;
    }
    let plain = text.replace('_', "");
    let is_number = plain.chars().all(|c| matches!(c, '0'..='9' | '.' | 'e' | 'E' | '+' | '-'))
        && plain.chars().any(|c| c.is_ascii_digit());
    if !is_number {
        return None;
    }
    plain.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::Float)
}
