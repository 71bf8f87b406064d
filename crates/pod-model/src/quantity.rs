//! Quantities: `500m`, `64Mi`, `1e3` (Kubernetes: `resource.Quantity`).

use thiserror::Error;

/// A text that is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
)]
pub struct QuantityError;

/// An amount, kept in billionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity {
    nano: i128,
}

const NANO: i128 = 1_000_000_000;
/// Larger amounts are cut to this one, as Kubernetes does it.
const LARGEST: i128 = i64::MAX as i128 * NANO;

/// Suffixes of powers of 1000, from a billionth upwards.
const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
/// Suffixes of powers of 1024.
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// How a quantity was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Decimal,
    Binary,
    Exponent,
}

impl Quantity {
    /// Reads a quantity.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        read(text).map(|(quantity, _)| quantity)
    }

    /// The text in the form in which Kubernetes writes it: without a fraction, with the largest
    /// suffix that the amount allows (`0.5` is `500m`, `1024Mi` is `1Gi`).
    pub fn canonical(text: &str) -> Result<String, QuantityError> {
        let (quantity, format) = read(text)?;
        Ok(quantity.written(format))
    }

    /// The amount in that form, written like another one.
    pub(crate) fn like(self, other: &str) -> String {
        self.written(read(other).map_or(Format::Decimal, |(_, format)| format))
    }

    fn written(self, format: Format) -> String {
        let Self { nano } = self;
        let is_binary = format == Format::Binary && nano % NANO == 0 && nano.abs() >= 1024 * NANO;
        if is_binary {
            let (number, power) = reduced(nano / NANO, 1024, BINARY.len() - 1);
            return format!("{number}{}", BINARY[power]);
        }
        let (number, power) = reduced(nano, 1000, DECIMAL.len() - 1);
        match format {
            _ if nano == 0 => "0".to_owned(),
            Format::Exponent if power == 3 => number.to_string(),
            Format::Exponent => {
                format!("{number}e{}", i32::try_from(power).unwrap_or(0) * 3 - 9)
            }
            _ => format!("{number}{}", DECIMAL[power]),
        }
    }

    /// Both together.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self { nano: (self.nano + other.nano).clamp(-LARGEST, LARGEST) }
    }

    /// The amount, rounded up to a whole.
    pub fn value(self) -> i128 {
        ceiling(self.nano, NANO)
    }

    /// The amount in thousandths, rounded up.
    pub fn milli(self) -> i128 {
        ceiling(self.nano, NANO / 1000)
    }

    /// Whether it has no fraction.
    pub fn is_whole(self) -> bool {
        self.nano % NANO == 0
    }

    /// Whether it is less than nothing.
    pub fn is_negative(self) -> bool {
        self.nano < 0
    }
}

fn read(text: &str) -> Result<(Quantity, Format), QuantityError> {
    let end = text.find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-'));
    let (number, suffix) = text.split_at(end.unwrap_or(text.len()));
    let nano = decimal(number).ok_or(QuantityError)?;
    let place = |list: &[&str]| list.iter().position(|one| *one == suffix);
    let (nano, format) = if let Some(power) = place(&DECIMAL) {
        (scaled(nano, 1000, exponent(power) - 3), Format::Decimal)
    } else if let Some(power) = place(&BINARY) {
        (scaled(nano, 1024, exponent(power)), Format::Binary)
    } else {
        let digits = suffix.strip_prefix(['e', 'E']).ok_or(QuantityError)?;
        let power: i32 = digits.parse().map_err(|_| QuantityError)?;
        (scaled(nano, 10, power), Format::Exponent)
    };
    Ok((Quantity { nano: nano.clamp(-LARGEST, LARGEST) }, format))
}

fn exponent(power: usize) -> i32 {
    i32::try_from(power).unwrap_or(i32::MAX)
}

/// The amount times a power of the base, away from zero where it would be lost.
fn scaled(amount: i128, base: i128, power: i32) -> i128 {
    let too_much = if amount == 0 { 0 } else { amount.signum() * i128::MAX };
    let factor = base.checked_pow(power.unsigned_abs());
    if power >= 0 {
        return factor.and_then(|factor| amount.checked_mul(factor)).unwrap_or(too_much);
    }
    let factor = factor.unwrap_or(i128::MAX);
    amount.signum() * ceiling(amount.abs(), factor)
}

/// The amount divided by the base as often as nothing is lost, and how often that was.
fn reduced(mut amount: i128, base: i128, most: usize) -> (i128, usize) {
    let mut power = 0;
    while amount != 0 && amount % base == 0 && power < most {
        amount /= base;
        power += 1;
    }
    (amount, power)
}

fn ceiling(amount: i128, unit: i128) -> i128 {
    amount.div_euclid(unit) + i128::from(amount.rem_euclid(unit) > 0)
}

/// A decimal number in billionths; what is smaller is rounded away from zero.
fn decimal(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let whole: i128 = match whole.trim_start_matches('0') {
        "" => 0,
        digits => digits.parse().unwrap_or(i128::MAX),
    };
    let (kept, lost) = fraction.split_at(fraction.len().min(9));
    let kept: i128 = format!("{kept:0<9}").parse().ok()?;
    let lost = i128::from(lost.contains(|c| c != '0'));
    Some(sign * whole.saturating_mul(NANO).saturating_add(kept + lost))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_with_every_suffix() {
        for (text, milli) in [
            ("1", 1000),
            ("500m", 500),
            ("0.5", 500),
            ("100n", 1),
            ("1k", 1_000_000),
            ("64Mi", 67_108_864_000),
            ("1e3", 1_000_000),
            ("-1", -1000),
            (".5", 500),
            ("5.", 5000),
            ("1E", 1_000_000_000_000_000_000_000),
            ("0.1m", 1),
            ("1e-3", 1),
            ("-0.0001m", 0),
            // Larger amounts than 2^63-1 are that.
            ("100Ei", 9_223_372_036_854_775_807_000),
            ("1e100", 9_223_372_036_854_775_807_000),
            ("-1e100", -9_223_372_036_854_775_807_000),
            ("0e100", 0),
        ] {
            assert_eq!(Quantity::parse(text).map(Quantity::milli), Ok(milli), "{text}");
        }
        for text in ["", "m", "1x", "1 Mi", "--1", "1MiB", "e3", "1e", ".", "1e1.5", "0x10"] {
            assert!(Quantity::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn quantities_are_written_as_kubernetes_writes_them() {
        for (text, canonical) in [
            ("1", "1"),
            ("0.5", "500m"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("100Ki", "100Ki"),
            ("512", "512"),
            ("1000Ki", "1000Ki"),
            ("0.5Ki", "512"),
            ("0.1Ki", "102400m"),
            ("1000000", "1M"),
            ("1e3", "1e3"),
            ("1500e3", "1500e3"),
            ("1e0", "1"),
            ("0Gi", "0"),
            ("-5m", "-5m"),
        ] {
            assert_eq!(Quantity::canonical(text).as_deref(), Ok(canonical), "{text}");
        }
    }
}
