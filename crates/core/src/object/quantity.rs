//! Kubernetes quantities, exact.
//!
//! The grammar and the rounding are those of `k8s.io/apimachinery/pkg/api/resource`: values are
//! rounded away from zero to a nano unit, and only those with a binary suffix are capped at
//! 2⁶³−1. `tests/testbed/tools/quantity/table.json` holds what Go itself answers.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// The largest value that a binary suffix can express.
const BINARY_CAP: &str = "9223372036854775807";
/// Fraction digits beyond these cannot change a value rounded up to a nano unit, save as "more".
const FRACTION_DIGITS: u16 = 1000;

/// What sizes of volumes end in.
const SUFFIXES: [&str; 12] = ["k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// A decimal number: ±digits × 10^exponent, without leading or trailing zero digits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Quantity {
    negative: bool,
    /// decimal digits 0–9, most significant first; none means zero
    digits: Vec<u8>,
    exponent: i64,
}

/// Why a text is not a quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not a quantity: {reason}")]
pub struct ParseQuantityError {
    text: String,
    reason: &'static str,
}

impl Quantity {
    /// The whole number `value`.
    pub fn from_units(value: u64) -> Self {
        Self::normal(false, value.to_string().bytes().map(|b| b - b'0').collect(), 0)
    }

    fn normal(negative: bool, mut digits: Vec<u8>, mut exponent: i64) -> Self {
        while digits.last() == Some(&0) {
            digits.pop();
            exponent += 1;
        }
        let leading = digits.iter().take_while(|digit| **digit == 0).count();
        digits.drain(..leading);
        if digits.is_empty() {
            return Self::default();
        }
        Self { negative, digits, exponent }
    }

    /// What was probably meant by a text that is no quantity: `20GB` for `20G`, `1 gi` for `1Gi`.
    pub fn meant(text: &str) -> Option<String> {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let (number, suffix) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic())?);
        let suffix = suffix.trim_end_matches(['B', 'b']);
        let known = SUFFIXES.iter().find(|known| known.eq_ignore_ascii_case(suffix))?;
        let meant = format!("{number}{known}");
        meant.parse::<Self>().is_ok().then_some(meant)
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    /// Whether it is greater than zero.
    pub fn is_positive(&self) -> bool {
        !self.is_zero() && !self.negative
    }

    /// Whether it has a fractional part, which a volume size cannot have.
    pub fn is_fractional(&self) -> bool {
        self.exponent < 0
    }

    /// `self` × `factor`.
    #[must_use]
    pub fn times(&self, factor: u32) -> Self {
        let digits = multiply(self.digits.clone(), factor);
        Self::normal(self.negative, digits, self.exponent)
    }

    /// The value rounded away from zero to the thousandth, as the API server stores it
    /// (`SetDefaults_ResourceList`).
    #[must_use]
    pub fn rounded_to_milli(&self) -> Self {
        round_up(self.negative, self.digits.clone(), self.exponent, -3)
    }

    /// The sizes together, in whole units; none if one of them is not known.
    pub fn total<'a>(sizes: impl IntoIterator<Item = Option<&'a Self>>) -> Option<Self> {
        let mut sum = 0_i128;
        for size in sizes {
            sum = sum.checked_add(size?.nanos()?.parse().ok()?)?;
        }
        Some(Self::from_units(u64::try_from(sum / 1_000_000_000).ok()?))
    }

    /// The value in nano units as decimal digits, or `None` where they would not fit 100 digits.
    pub fn nanos(&self) -> Option<String> {
        if self.is_zero() {
            return Some("0".to_owned());
        }
        let zeros = usize::try_from(self.exponent + 9).ok().filter(|zeros| *zeros <= 100)?;
        let mut text = if self.negative { "-".to_owned() } else { String::new() };
        text.extend(self.digits.iter().map(|digit| char::from(digit + b'0')));
        text.extend(std::iter::repeat_n('0', zeros));
        Some(text)
    }

    /// The power of ten of the most significant digit.
    fn magnitude(&self) -> i64 {
        self.exponent.saturating_add(i64::try_from(self.digits.len()).unwrap_or(i64::MAX))
    }

    fn compare_absolute(&self, other: &Self) -> Ordering {
        match (self.is_zero(), other.is_zero()) {
            (true, true) => return Ordering::Equal,
            (true, false) => return Ordering::Less,
            (false, true) => return Ordering::Greater,
            (false, false) => {}
        }
        // Without leading and trailing zeros, digits compare like text once magnitudes agree.
        self.magnitude().cmp(&other.magnitude()).then_with(|| self.digits.cmp(&other.digits))
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, false) => self.compare_absolute(other),
            (true, true) => other.compare_absolute(self),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

impl fmt::Display for Quantity {
    /// The value in the largest binary unit that divides it, or as a plain number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.negative { "-" } else { "" };
        let Some(nanos) = Self { negative: false, ..self.clone() }.nanos() else {
            let digits: String = self.digits.iter().map(|d| char::from(d + b'0')).collect();
            return write!(f, "{sign}{digits}e{}", self.exponent);
        };
        let Some(units) = nanos.strip_suffix("000000000").filter(|units| !units.is_empty()) else {
            return if self.is_zero() { f.write_str("0") } else { write!(f, "{sign}{nanos}n") };
        };
        // Beyond it, a binary unit is read as the largest value that it may have.
        let Ok(mut units) = units.parse::<i64>() else {
            return write!(f, "{sign}{units}");
        };
        let mut suffix = "";
        for next in ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"] {
            if units % 1024 != 0 {
                break;
            }
            units /= 1024;
            suffix = next;
        }
        write!(f, "{sign}{units}{suffix}")
    }
}

impl serde::Serialize for Quantity {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Quantity {
    type Err = ParseQuantityError;

    fn from_str(text: &str) -> Result<Self, ParseQuantityError> {
        let error = |reason| ParseQuantityError { text: shortened(text), reason };
        if text.is_empty() {
            return Err(error("it is empty"));
        }
        let (negative, rest) = match text.as_bytes()[0] {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (whole, rest) = split_digits(rest);
        let (fraction, suffix) = match rest.strip_prefix('.') {
            Some(rest) => split_digits(rest),
            None => ("", rest),
        };
        let whole = whole.trim_start_matches('0');
        let scale = Scale::of(suffix).ok_or_else(|| {
            error(match suffix.bytes().next() {
                Some(b'.') => "it has two decimal points",
                Some(b'i' | b'K' | b'B' | b'b') => {
                    "sizes end in k, M, G, T, P, E or Ki, Mi, Gi, Ti, Pi, Ei"
                }
                _ if suffix.ends_with(['B', 'b']) => {
                    "sizes end in k, M, G, T, P, E or Ki, Mi, Gi, Ti, Pi, Ei, without B"
                }
                _ => "its suffix is unknown",
            })
        })?;
        let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|b| b - b'0').collect();
        let mut exponent = -i64::try_from(fraction.len()).map_err(|_| error("it is too long"))?;
        match scale {
            Scale::Decimal(power) => {
                Ok(round_up(negative, digits, exponent + i64::from(power), -9))
            }
            Scale::Binary(_) if whole.len() > BINARY_CAP.len() => Ok(cap(negative)),
            Scale::Binary(power) => {
                let most = usize::from(FRACTION_DIGITS);
                if fraction.len() > most {
                    let more = fraction[most..].bytes().any(|b| b != b'0');
                    digits.truncate(whole.len() + most);
                    digits.push(u8::from(more));
                    exponent = -i64::from(FRACTION_DIGITS) - 1;
                }
                for _ in 0..power / 10 {
                    digits = multiply(digits, 1024);
                }
                let value = round_up(negative, digits, exponent, -9);
                let limit = cap(negative);
                Ok(if value.compare_absolute(&limit).is_gt() { limit } else { value })
            }
        }
    }
}

/// What a suffix multiplies by.
enum Scale {
    /// 10^n
    Decimal(i32),
    /// 2^n
    Binary(u32),
}

impl Scale {
    fn of(suffix: &str) -> Option<Self> {
        Some(match suffix {
            "n" => Self::Decimal(-9),
            "u" => Self::Decimal(-6),
            "m" => Self::Decimal(-3),
            "" => Self::Decimal(0),
            "k" => Self::Decimal(3),
            "M" => Self::Decimal(6),
            "G" => Self::Decimal(9),
            "T" => Self::Decimal(12),
            "P" => Self::Decimal(15),
            "E" => Self::Decimal(18),
            "Ki" => Self::Binary(10),
            "Mi" => Self::Binary(20),
            "Gi" => Self::Binary(30),
            "Ti" => Self::Binary(40),
            "Pi" => Self::Binary(50),
            "Ei" => Self::Binary(60),
            // Go reads 64 bits and keeps the lower 32.
            _ => Self::Decimal(suffix.strip_prefix(['e', 'E'])?.parse::<i64>().ok()? as i32),
        })
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(text.len()))
}

fn cap(negative: bool) -> Quantity {
    Quantity::normal(negative, BINARY_CAP.bytes().map(|b| b - b'0').collect(), 0)
}

fn multiply(mut digits: Vec<u8>, factor: u32) -> Vec<u8> {
    let mut carry = 0u64;
    for digit in digits.iter_mut().rev() {
        let product = u64::from(*digit) * u64::from(factor) + carry;
        *digit = (product % 10) as u8;
        carry = product / 10;
    }
    let mut leading = Vec::new();
    while carry > 0 {
        leading.push((carry % 10) as u8);
        carry /= 10;
    }
    leading.reverse();
    leading.append(&mut digits);
    leading
}

/// ±digits × 10^exponent, rounded away from zero to a multiple of 10^least.
fn round_up(negative: bool, mut digits: Vec<u8>, exponent: i64, least: i64) -> Quantity {
    if exponent >= least {
        return Quantity::normal(negative, digits, exponent);
    }
    let dropped = usize::try_from(least - exponent).unwrap_or(usize::MAX);
    let kept = digits.len().saturating_sub(dropped);
    let more = digits[kept..].iter().any(|digit| *digit != 0);
    digits.truncate(kept);
    if more {
        if let Some(place) = digits.iter().rposition(|digit| *digit != 9) {
            digits[place] += 1;
            digits[place + 1..].fill(0);
        } else {
            digits.fill(0);
            digits.insert(0, 1);
        }
    }
    Quantity::normal(negative, digits, least)
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quantity(text: &str) -> Quantity {
        text.parse().unwrap()
    }

    #[test]
    fn equal_values_are_equal_however_they_are_spelt() {
        for (left, right) in [
            ("1Gi", "1024Mi"),
            ("10Gi", "10737418240"),
            ("1.5Gi", "1536Mi"),
            ("1e3", "1k"),
            ("1E", "1e18"),
            ("0", "-0.00"),
            ("0.0000000001", "1n"),
            ("+1", "1000m"),
            ("9Ei", "9223372036854775807Ki"),
        ] {
            assert_eq!(quantity(left), quantity(right), "{left} = {right}");
        }
    }

    #[test]
    fn order_is_numeric() {
        for (less, more) in
            [("-1Gi", "1n"), ("999Mi", "1Gi"), ("2", "10"), ("1e399", "1e400"), ("-2", "-1")]
        {
            assert!(quantity(less) < quantity(more), "{less} < {more}");
        }
    }

    #[test]
    fn wrong_spellings_are_named() {
        for text in ["", "10GB", "1.5.Gi", "1e3Gi", "1e", "0x1", "1K", "1 Gi", "ten", "1e+", "--1"]
        {
            let error = text.parse::<Quantity>().unwrap_err();
            assert!(error.to_string().contains(&format!("\"{text}\"")), "{error}");
        }
    }

    #[test]
    fn a_slip_of_the_suffix_is_understood() {
        for (text, meant) in [
            ("20GB", Some("20G")),
            ("20GiB", Some("20Gi")),
            ("1.5 gi", Some("1.5Gi")),
            ("100mb", Some("100M")),
            ("10K", Some("10k")),
            ("ten", None),
            ("10B", None),
            ("1.5.Gi", None),
            ("much", None),
        ] {
            assert_eq!(Quantity::meant(text).as_deref(), meant, "{text}");
        }
    }

    #[test]
    fn prints_the_largest_unit() {
        assert_eq!(quantity("20480Mi").to_string(), "20Gi");
        assert_eq!(quantity("1000").to_string(), "1000");
        assert_eq!(quantity("100m").to_string(), "100000000n");
        assert_eq!(quantity("3Gi").times(10).to_string(), "30Gi");
    }

    proptest! {
        #[test]
        fn agrees_with_integers(a in any::<i64>(), b in any::<i64>()) {
            let (qa, qb) = (quantity(&a.to_string()), quantity(&b.to_string()));
            prop_assert_eq!(qa.cmp(&qb), a.cmp(&b));
        }

        #[test]
        fn binary_suffixes_multiply(n in 0u32..1_000_000, power in 0usize..4) {
            let suffix = ["", "Ki", "Mi", "Gi"][power];
            let value = u128::from(n) << (10 * power);
            prop_assert_eq!(quantity(&format!("{n}{suffix}")), quantity(&value.to_string()));
        }

        #[test]
        fn display_reads_back(n in any::<u64>(), fraction in 0u32..1000) {
            let value = quantity(&format!("{n}.{fraction:03}"));
            prop_assert_eq!(quantity(&value.to_string()), value);
        }

        #[test]
        fn never_panics(text in "[-+0-9.eEinumkKMGTPB ]{0,24}") {
            let _ = text.parse::<Quantity>();
        }
    }
}
