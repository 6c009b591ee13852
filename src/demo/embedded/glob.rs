//! Patterns of `KEYS` and `SCAN MATCH`: `*`, `?`, `[a-z]`, `[^x]` and `\`.

/// Whether the whole of `text` fits `pattern`.
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on when what follows the last star does not fit: that star swallows one byte more.
    let mut star: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p + 1, t));
            p += 1;
            continue;
        }
        if p >= pattern.len() && t >= text.len() {
            return true;
        }
        if let Some(width) = text.get(t).and_then(|&byte| one(pattern.get(p..).unwrap_or_default(), byte)) {
            p += width;
            t += 1;
            continue;
        }
        match star {
            Some((after, from)) if from < text.len() => {
                star = Some((after, from + 1));
                p = after;
                t = from + 1;
            }
            _ => return false,
        }
    }
}

/// How many bytes of `pattern` the one byte used up, or nothing if it does not fit.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'[', rest @ ..] => class(rest, byte).map(|width| width + 1),
        [b'\\', escaped, ..] => (*escaped == byte).then_some(2),
        [plain, ..] => (*plain == byte).then_some(1),
    }
}

/// A class after its `[`; one that is never closed ends with the pattern.
fn class(pattern: &[u8], byte: u8) -> Option<usize> {
    let inverted = pattern.first() == Some(&b'^');
    let mut at = usize::from(inverted);
    let mut hit = false;
    while let Some(&c) = pattern.get(at) {
        match (c, pattern.get(at + 1), pattern.get(at + 2)) {
            (b'\\', Some(&escaped), _) => {
                hit |= escaped == byte;
                at += 2;
            }
            (b']', ..) => break,
            (_, Some(b'-'), Some(&last)) => {
                hit |= (c.min(last)..=c.max(last)).contains(&byte);
                at += 3;
            }
            _ => {
                hit |= c == byte;
                at += 1;
            }
        }
    }
    (hit != inverted).then_some((at + 1).min(pattern.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_a_server_matches_them() {
        let yes = ["*", "**", "a*c", "a?c", "[a-c]bc", "[^x]bc", "ab[c]", "a*b*c", "*abc*", "\\abc", "ab[c"];
        for pattern in yes {
            assert!(matches(pattern.as_bytes(), b"abc"), "{pattern}");
        }
        for pattern in ["", "ab", "abcd", "?", "[^a]bc", "*b", "a*d", "\\*"] {
            assert!(!matches(pattern.as_bytes(), b"abc"), "{pattern}");
        }
        assert!(matches(b"", b"") && matches(b"*", b"") && !matches(b"?", b""));
    }

    #[test]
    fn many_stars_end_in_time() {
        let pattern = b"a*".repeat(64);
        let text = b"a".repeat(4096);
        assert!(!matches(&[pattern, b"b".to_vec()].concat(), &text));
    }
}
