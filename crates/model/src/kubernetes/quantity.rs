//! Quantities of resources, such as `250m`, `4`, `1.5Gi`.

/// CPU in thousandths of a core, rounded up as the scheduler does; `None` for what is no quantity.
#[must_use]
pub fn milli_cpu(text: &str) -> Option<u64> {
    scaled(text, 3)
}

/// Bytes, rounded up; `None` for what is no quantity.
#[must_use]
pub fn bytes(text: &str) -> Option<u64> {
    scaled(text, 0)
}

/// The value times ten to the power of `shift`, rounded up.
///
/// Suffixes: <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/> (read
/// 2026-05).
fn scaled(text: &str, shift: i32) -> Option<u64> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let (binary, decimal) = match suffix {
        "n" => (0, -9),
        "u" => (0, -6),
        "m" => (0, -3),
        "" => (0, 0),
        "k" => (0, 3),
        "M" => (0, 6),
        "G" => (0, 9),
        "T" => (0, 12),
        "P" => (0, 15),
        "E" => (0, 18),
        "Ki" => (10, 0),
        "Mi" => (20, 0),
        "Gi" => (30, 0),
        "Ti" => (40, 0),
        "Pi" => (50, 0),
        "Ei" => (60, 0),
        _ => (0, suffix.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let mut value = digits.checked_mul(1_u128 << binary)?;
    let power = decimal + shift - i32::try_from(fraction.len()).ok()?;
    let factor = 10_u128.checked_pow(power.unsigned_abs());
    if power >= 0 {
        value = value.checked_mul(factor?)?;
    } else {
        // A factor beyond every number leaves less than one, which rounds up to it.
        value = factor.map_or(u128::from(value > 0), |factor| value.div_ceil(factor));
    }
    u64::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_the_scheduler_reads_them() {
        for (text, milli) in [
            ("100m", 100),
            ("4", 4000),
            ("0.5", 500),
            (".5", 500),
            ("3920m", 3920),
            ("1u", 1),
            ("1e3m", 0),
        ] {
            let expected = (milli > 0).then_some(milli);
            assert_eq!(milli_cpu(text), expected, "{text}");
        }
        for (text, count) in [
            ("128Mi", 134_217_728),
            ("1.5Gi", 1_610_612_736),
            ("7134420Ki", 7_305_646_080),
            ("1e9", 1_000_000_000),
            ("1G", 1_000_000_000),
            ("128974848", 128_974_848),
        ] {
            assert_eq!(bytes(text), Some(count), "{text}");
        }
        for wrong in ["", "m", "one", "1x", "-1", "99999999999E"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }
}
