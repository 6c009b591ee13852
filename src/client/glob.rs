//! Patterns as KEYS and COMMAND LIST take them: `*`, `?`, `[a-z]`, `[^x]`, and `\` before a character that is meant.

/// Whether `text` matches `pattern`, upper and lower case alike. Takes time in proportion to the product of lengths.
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut of) = (0, 0);
    // Where to go on when a character does not fit: behind the last star, one character further.
    let mut star = None;
    while of < text.len() {
        match step(pattern.get(at..).unwrap_or_default(), text.get(of).copied().unwrap_or_default()) {
            Step::Star => {
                star = Some((at + 1, of));
                at += 1;
            }
            Step::Fits(len) => {
                at += len;
                of += 1;
            }
            Step::Differs => {
                let Some((behind, from)) = star else { return false };
                star = Some((behind, from + 1));
                (at, of) = (behind, from + 1);
            }
        }
    }
    pattern.get(at..).unwrap_or_default().iter().all(|&byte| byte == b'*')
}

enum Step {
    Star,
    /// The character fits the pattern's next so many bytes.
    Fits(usize),
    Differs,
}

fn step(pattern: &[u8], byte: u8) -> Step {
    let same = |a: u8| a.eq_ignore_ascii_case(&byte);
    match pattern {
        [b'*', ..] => Step::Star,
        [b'?', ..] => Step::Fits(1),
        [b'[', rest @ ..] => set(rest, byte),
        [b'\\', literal, ..] if same(*literal) => Step::Fits(2),
        [b'\\', _, ..] => Step::Differs,
        [literal, ..] if same(*literal) => Step::Fits(1),
        _ => Step::Differs,
    }
}

/// `pattern` stands behind the bracket.
fn set(pattern: &[u8], byte: u8) -> Step {
    let negated = pattern.first() == Some(&b'^');
    let (mut at, mut found) = (usize::from(negated), false);
    let byte = byte.to_ascii_lowercase();
    loop {
        match pattern.get(at..).unwrap_or_default() {
            [] | [b']', ..] => break,
            [b'\\', literal, ..] => {
                found |= literal.to_ascii_lowercase() == byte;
                at += 2;
            }
            [from, b'-', to, ..] => {
                let (from, to) = (from.to_ascii_lowercase(), to.to_ascii_lowercase());
                found |= (from.min(to)..=from.max(to)).contains(&byte);
                at += 3;
            }
            [literal, ..] => {
                found |= literal.to_ascii_lowercase() == byte;
                at += 1;
            }
        }
    }
    // The brackets themselves: the closing one may be missing at the end.
    if found == negated { Step::Differs } else { Step::Fits((at + 2).min(pattern.len() + 1)) }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_as_redis_matches_them() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("xr*", "XREAD", true),
            ("xr*d", "xrevrange", false),
            ("*get*", "getset", true),
            ("?et", "get", true),
            ("?et", "et", false),
            ("h[gl]e*", "hget", true),
            ("h[^g]et", "hget", false),
            ("[a-c]x", "Bx", true),
            ("[abc", "c", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("*a*b*c", "xxaxxbxxc", true),
            ("*a*b*c", "xxaxxbxx", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }
}
