//! Patterns as `KEYS`, `SCAN` and `CONFIG GET` take them: `*`, `?`, `[a-c]`, `[^x]` and `\`.

/// Whether all of `text` fits `pattern`, byte by byte.
///
/// Goes back only to the last `*`: what an earlier one took need not be looked at again.
#[must_use]
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut rest, mut left) = (pattern, text);
    // What follows the last star, and the text that it has not taken yet.
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', after @ ..] = rest {
            (rest, star) = (after, Some((after, left)));
            continue;
        }
        match left {
            [] if rest.is_empty() => return true,
            [byte, behind @ ..] if let Some(after) = step(rest, *byte) => (rest, left) = (after, behind),
            _ => {
                let Some((after, [_, behind @ ..])) = star else { return false };
                (rest, left, star) = (after, behind, Some((after, behind)));
            }
        }
    }
}

/// What is left of `pattern` when its first element takes `byte`, if it does.
fn step(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    match pattern {
        [] => None,
        [b'?', after @ ..] => Some(after),
        [b'[', after @ ..] => set(after, byte),
        [b'\\', literal, after @ ..] | [literal, after @ ..] => (*literal == byte).then_some(after),
    }
}

/// A set of bytes, after its bracket. One that never ends reaches to the end of the pattern.
fn set(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    let (negated, mut rest) = match pattern {
        [b'^', after @ ..] => (true, after),
        all => (false, all),
    };
    let mut found = false;
    loop {
        rest = match rest {
            [] => break,
            [b']', after @ ..] => {
                rest = after;
                break;
            }
            [b'\\', literal, after @ ..] => {
                found |= *literal == byte;
                after
            }
            [from, b'-', to, after @ ..] => {
                found |= (*from.min(to)..=*from.max(to)).contains(&byte);
                after
            }
            [literal, after @ ..] => {
                found |= *literal == byte;
                after
            }
        };
    }
    (found != negated).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_as_in_the_server() {
        let yes = [
            ("*", ""),
            ("", ""),
            ("a*c", "abbc"),
            ("a*c*", "acc"),
            ("h?llo", "hallo"),
            ("h[ae]llo", "hello"),
            ("h[^e]llo", "hallo"),
            ("h[a-b]llo", "hbllo"),
            ("h[b-a]llo", "hallo"),
            ("a\\*", "a*"),
            ("[\\]]", "]"),
            ("a[bc", "ab"),
            ("*a*b*", "xxaybz"),
            ("a\\", "a\\"),
            ("***x", "x"),
        ];
        let no = [
            ("", "a"),
            ("a", ""),
            ("h[^e]llo", "hello"),
            ("a\\*", "ab"),
            ("?", ""),
            ("a*c", "ab"),
            ("[]", "]"),
            ("abc", "ab"),
            ("ab", "abc"),
            ("a[bc", "ad"),
        ];
        for (pattern, text) in yes {
            assert!(matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
        for (pattern, text) in no {
            assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = "*a".repeat(200);
        assert!(!matches(pattern.as_bytes(), "a".repeat(199).as_bytes()));
    }
}
