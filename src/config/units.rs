//! Durations and sizes as people write them, read and written back.
//!
//! A duration is a whole number and a unit (`500ms`, `10s`). A size follows `redis.conf`: `64mb` is 64 × 2^20,
//! `64m` is 64 × 10^6, and a plain number counts bytes. What range a key allows is left to [`super::keys`].

use std::time::Duration;

/// Units of a duration with their length in milliseconds, the longest first.
const SPANS: &[(&str, u64)] = &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Units of a size with their length in bytes, as `redis.conf` has them.
const SIZES: &[(&str, u64)] = &[
    ("gb", 1 << 30),
    ("g", 1_000_000_000),
    ("mb", 1 << 20),
    ("m", 1_000_000),
    ("kb", 1 << 10),
    ("k", 1_000),
    ("b", 1),
    ("", 1),
];

/// Why a text is no duration or no size: what is wrong, then what to write instead.
pub(super) type Unreadable = (String, &'static str);

const SPAN_HINT: &str = "write a whole number and a unit (ms, s, m, h, d), such as \"500ms\" or \"10s\"";
const SIZE_HINT: &str = "write bytes or a unit as in redis.conf (k, kb, m, mb, g, gb), such as \"64mb\"";

/// Reads `500ms`, `10s`, `1m`, `2h`, `1d`.
pub(super) fn duration(text: &str) -> Result<Duration, Unreadable> {
    let (count, unit) = split(text).ok_or_else(|| (format!("\"{text}\" is not a duration"), SPAN_HINT))?;
    if unit.is_empty() {
        return Err((format!("\"{text}\" has no unit"), SPAN_HINT));
    }
    let Some((_, ms)) = SPANS.iter().find(|(name, _)| *name == unit) else {
        return Err((unknown(text, unit, "duration"), SPAN_HINT));
    };
    let ms = count.checked_mul(*ms).ok_or_else(|| (format!("\"{text}\" is too long"), SPAN_HINT))?;
    Ok(Duration::from_millis(ms))
}

/// Reads `67108864`, `64mb`, `64m`; upper and lower case are the same.
pub(super) fn size(text: &str) -> Result<usize, Unreadable> {
    let (count, unit) = split(text).ok_or_else(|| (format!("\"{text}\" is not a size"), SIZE_HINT))?;
    let lower = unit.to_ascii_lowercase();
    let Some((_, bytes)) = SIZES.iter().find(|(name, _)| *name == lower) else {
        return Err((unknown(text, unit, "size"), SIZE_HINT));
    };
    let bytes = count.checked_mul(*bytes).and_then(|n| usize::try_from(n).ok());
    bytes.ok_or_else(|| (format!("\"{text}\" is too large"), SIZE_HINT))
}

/// Writes a duration so that [`duration`] reads the same back; parts below a millisecond are dropped.
pub(super) fn show_duration(span: Duration) -> String {
    let ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    if ms == 0 {
        return "0s".to_owned();
    }
    let (unit, length) = SPANS.iter().find(|(_, length)| ms.is_multiple_of(*length)).unwrap_or(&("ms", 1));
    format!("{}{unit}", ms / length)
}

/// Writes a size so that [`size`] reads the same back, in the unit that needs the smallest number.
pub(super) fn show_size(bytes: usize) -> String {
    let bytes = bytes as u64;
    let whole = SIZES.iter().filter(|(_, length)| bytes.is_multiple_of(*length));
    match whole.min_by_key(|(_, length)| bytes / length) {
        Some((unit, length)) if *length > 1 && bytes > 0 => format!("{}{unit}", bytes / length),
        _ => bytes.to_string(),
    }
}

/// What to say of a unit that is none; one that begins with no letter (`1.5s`) blames the number.
fn unknown(text: &str, unit: &str, what: &str) -> String {
    let letters = unit.starts_with(char::is_alphabetic);
    if letters { format!("\"{unit}\" is not a unit of a {what}") } else { format!("\"{text}\" is not a {what}") }
}

/// The digits that a text begins with, and what follows them; `None` without digits or when they overflow.
fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    Some((digits.parse().ok()?, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_read_as_written() {
        for (text, ms) in [
            ("0s", 0),
            ("1ms", 1),
            ("500ms", 500),
            ("10s", 10_000),
            ("1m", 60_000),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_says_what_to_write() {
        for text in [
            "",
            "s",
            "10",
            "0",
            "-1s",
            "1.5s",
            "10 sec",
            "10S",
            "1m30s",
            "99999999999999999999s",
            "999999999999999999d",
        ] {
            let (wrong, hint) = duration(text).expect_err(text);
            assert!(!wrong.is_empty() && hint.contains("500ms"), "{text}");
        }
        assert_eq!(duration("10").expect_err("bare").0, "\"10\" has no unit");
    }

    #[test]
    fn sizes_follow_redis_conf() {
        for (text, bytes) in [
            ("0", 0),
            ("1024", 1024),
            ("7b", 7),
            ("1k", 1000),
            ("1kb", 1024),
            ("64m", 64_000_000),
            ("64mb", 67_108_864),
            ("64MB", 67_108_864),
            ("1g", 1_000_000_000),
            ("1Gb", 1 << 30),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_says_what_to_write() {
        for text in ["", "mb", "-1", "1.5mb", "64mib", "64 megabytes", "18446744073709551616", "99999999999999gb"] {
            let (wrong, hint) = size(text).expect_err(text);
            assert!(!wrong.is_empty() && hint.contains("64mb"), "{text}");
        }
    }

    /// Reads a size by spelling every unit out: slow, plain, and written without [`SIZES`].
    fn naive_size(text: &str) -> u64 {
        let lower = text.to_lowercase();
        let digits: String = lower.chars().filter(char::is_ascii_digit).collect();
        let count: u64 = digits.parse().unwrap();
        match lower.trim_start_matches(|c: char| c.is_ascii_digit()) {
            "" | "b" => count,
            "k" => count * 1000,
            "kb" => count * 1024,
            "m" => count * 1000 * 1000,
            "mb" => count * 1024 * 1024,
            "g" => count * 1000 * 1000 * 1000,
            "gb" => count * 1024 * 1024 * 1024,
            other => panic!("{other}"),
        }
    }

    proptest! {
        #[test]
        fn sizes_agree_with_the_naive_reader(count in 0u64..1_000_000, unit in "(|[bB]|[kmgKMG][bB]?)") {
            let text = format!("{count}{unit}");
            prop_assert_eq!(size(&text), Ok(naive_size(&text) as usize));
        }

        #[test]
        fn what_is_shown_is_read_back(n in any::<u32>(), shift in 0u32..20) {
            let bytes = (n as usize) << shift;
            prop_assert_eq!(size(&show_size(bytes)), Ok(bytes));
            let span = Duration::from_millis(u64::from(n));
            prop_assert_eq!(duration(&show_duration(span)), Ok(span));
        }
    }
}
