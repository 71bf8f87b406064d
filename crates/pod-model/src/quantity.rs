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

impl Quantity {
    /// Reads a quantity.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let end = text.find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-'));
        let (number, suffix) = text.split_at(end.unwrap_or(text.len()));
        let nano = decimal(number).ok_or(QuantityError)?;
        let scaled = match suffix {
            "" => Some(nano),
            "n" => Some(nano / NANO),
            "u" => Some(nano / 1_000_000),
            "m" => Some(nano / 1000),
            "k" => nano.checked_mul(1000),
            "M" => nano.checked_mul(1_000_000),
            "G" => nano.checked_mul(NANO),
            "T" => nano.checked_mul(NANO * 1000),
            "P" => nano.checked_mul(NANO * 1_000_000),
            "E" => nano.checked_mul(NANO * NANO),
            "Ki" => nano.checked_mul(1 << 10),
            "Mi" => nano.checked_mul(1 << 20),
            "Gi" => nano.checked_mul(1 << 30),
            "Ti" => nano.checked_mul(1 << 40),
            "Pi" => nano.checked_mul(1 << 50),
            "Ei" => nano.checked_mul(1 << 60),
            exponent => power(exponent).and_then(|power| match power {
                0.. => nano.checked_mul(10_i128.checked_pow(power.unsigned_abs())?),
                _ => Some(nano / 10_i128.checked_pow(power.unsigned_abs())?),
            }),
        };
        scaled.map(|nano| Self { nano }).ok_or(QuantityError)
    }

    /// The amount, rounded up to a whole.
    pub fn value(self) -> i128 {
        ceiling(self.nano, NANO)
    }

    /// The amount in thousandths, rounded up.
    pub fn milli(self) -> i128 {
        ceiling(self.nano, NANO / 1000)
    }

    /// Whether it is less than nothing.
    pub fn is_negative(self) -> bool {
        self.nano < 0
    }
}

fn ceiling(amount: i128, unit: i128) -> i128 {
    amount.div_euclid(unit) + i128::from(amount.rem_euclid(unit) > 0)
}

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
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let fraction: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    Some(sign * (whole.checked_mul(NANO)? + fraction.parse::<i128>().ok()?))
}

fn power(text: &str) -> Option<i32> {
    let digits = text.strip_prefix(['e', 'E'])?;
    digits.parse().ok().filter(|power: &i32| power.abs() <= 18)
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
        ] {
            assert_eq!(Quantity::parse(text).map(Quantity::milli), Ok(milli), "{text}");
        }
        for text in ["", "m", "1x", "1 Mi", "--1", "1MiB", "e3"] {
            assert!(Quantity::parse(text).is_err(), "{text}");
        }
    }
}
