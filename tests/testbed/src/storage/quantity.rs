//! Just enough of quantities to compare sizes that the API server has already accepted.

/// The whole bytes of a quantity, rounded up.
pub(crate) fn bytes(text: &str) -> Option<u128> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let (multiply, divide): (u128, u128) = match suffix {
        "" => (1, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        "m" => (1, 1000),
        "k" => (1000, 1),
        "M" => (1_000_000, 1),
        "G" => (1_000_000_000, 1),
        "T" => (1_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000, 1),
        "E" => (1_000_000_000_000_000_000, 1),
        exponent => (10_u128.checked_pow(exponent.strip_prefix(['e', 'E'])?.parse().ok()?)?, 1),
    };
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let divide = divide.checked_mul(10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?)?;
    Some(digits.checked_mul(multiply)?.div_ceil(divide))
}

/// Bytes with the largest binary suffix that divides them.
pub(super) fn text(bytes: u128) -> String {
    let mut rest = bytes;
    let mut suffix = "";
    for next in ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"] {
        if rest == 0 || !rest.is_multiple_of(1024) {
            break;
        }
        rest /= 1024;
        suffix = next;
    }
    format!("{rest}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_in_bytes() {
        assert_eq!(bytes("1.5Gi"), Some(1_610_612_736));
        assert_eq!(bytes("10Gi"), bytes("10240Mi"));
        assert_eq!(bytes("1e3"), Some(1000));
        assert_eq!(bytes("1001m"), Some(2));
        assert_eq!(bytes("ten"), None);
    }

    #[test]
    fn sizes_as_text() {
        assert_eq!(text(11 << 30), "11Gi");
        assert_eq!(text(1000), "1000");
    }
}
