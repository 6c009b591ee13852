//! Numbers as texts: whole numbers, scores, and exact decimals for `INCRBYFLOAT`.

/// A whole number written the one way that a server takes: no `+`, no leading zeros, no spaces.
pub(super) fn int(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// A score: any number but NaN, infinities included.
pub(super) fn score(text: &[u8]) -> Option<f64> {
    let number: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (!number.is_nan()).then_some(number)
}

/// A score as C's `%.17g` writes it, which is how a 7.0 server does.
pub(super) fn score_text(score: f64) -> String {
    if score.is_infinite() {
        return if score > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{score:.16e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..17).contains(&exponent) {
        let places = usize::try_from(16 - exponent).unwrap_or(0);
        return trimmed(&format!("{score:.places$}")).to_owned();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs())
}

/// `text` without the zeros that end its fraction.
fn trimmed(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// A number with 17 exact decimal places, up to about 10^21.
///
/// Servers add in 80-bit floats and print 17 places, so that from a few thousand on their last places are noise.
/// Exact decimals give the same text without the noise. What is too large is refused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Decimal(i128);

const PLACES: i32 = 17;

impl Decimal {
    /// Nothing.
    pub(super) const ZERO: Self = Self(0);

    /// Reads `-12.5`, `3e2` and the like.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        // Anything that is no number at all ends here; what remains is digits, a point, an exponent.
        text.parse::<f64>().ok().filter(|n| n.is_finite())?;
        let (number, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
        let shift = exponent.parse::<i32>().ok()? + PLACES - i32::try_from(fraction.len()).ok()?;
        let power = 10_i128.checked_pow(shift.unsigned_abs());
        match power {
            Some(power) if shift >= 0 => digits.checked_mul(power).map(Self),
            Some(power) => Some(Self(digits / power)),
            // So small that nothing of it is left in 17 places, or too large to hold.
            None if shift < 0 => Some(Self(0)),
            None => None,
        }
    }

    /// The sum, unless it is too large.
    pub(super) fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The shortest exact text.
    pub(super) fn text(self) -> String {
        let one = 10_u128.pow(PLACES.unsigned_abs());
        let (whole, fraction) = (self.0.unsigned_abs() / one, self.0.unsigned_abs() % one);
        let sign = if self.0 < 0 { "-" } else { "" };
        trimmed(&format!("{sign}{whole}.{fraction:017}")).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_have_one_spelling() {
        assert_eq!(int(b"-12"), Some(-12));
        assert_eq!(int(b"9223372036854775807"), Some(i64::MAX));
        for text in [&b"+1"[..], b"01", b"-0", b" 1", b"1 ", b"", b"1.0", b"9223372036854775808"] {
            assert_eq!(int(text), None, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn scores_are_written_with_seventeen_digits() {
        let known = [
            (1.0, "1"),
            (0.1, "0.10000000000000001"),
            (-2.5, "-2.5"),
            (1e17, "1e+17"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (1e-5, "1.0000000000000001e-05"),
            (f64::INFINITY, "inf"),
            (0.0, "0"),
        ];
        for (number, text) in known {
            assert_eq!(score_text(number), text);
        }
    }

    #[test]
    fn decimals_add_exactly() {
        let sum = |a: &str, b: &str| Some(Decimal::parse(a.as_bytes())?.plus(Decimal::parse(b.as_bytes())?)?.text());
        assert_eq!(sum("0.1", "0.2").as_deref(), Some("0.3"));
        assert_eq!(sum("10.50", "0.1").as_deref(), Some("10.6"));
        assert_eq!(sum("5.0e3", "2.0e2").as_deref(), Some("5200"));
        assert_eq!(sum("3", "-5.25").as_deref(), Some("-2.25"));
        assert_eq!(sum("1", "x"), None);
    }
}
