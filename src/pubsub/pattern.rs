//! Patterns of channels: what they match, and whether that can be a keyspace notification.

use super::Kind;

/// How the channels of keyspace notifications begin.
const KEYSPACE: [&[u8]; 2] = [b"__keyspace@", b"__keyevent@"];

/// Whether messages on this channel are told by each node for its own keys.
pub(super) fn is_keyspace(channel: &[u8]) -> bool {
    KEYSPACE.iter().any(|prefix| channel.starts_with(prefix))
}

/// Whether a subscription can get keyspace notifications.
pub(super) fn meets_keyspace(kind: Kind, name: &[u8]) -> bool {
    match kind {
        Kind::Channel => is_keyspace(name),
        Kind::Shard => false,
        Kind::Pattern => {
            let plain = name.iter().position(|byte| b"*?[\\".contains(byte)).unwrap_or(name.len());
            if plain == name.len() {
                return is_keyspace(name);
            }
            let literal = name.get(..plain).unwrap_or_default();
            KEYSPACE.iter().any(|prefix| prefix.starts_with(literal) || literal.starts_with(prefix))
        }
    }
}

/// Whether the whole of `text` matches `pattern`, as Redis matches: `*`, `?`, `[a-z]`, `[^x]` and `\`.
///
/// Takes time in proportion to the product of both lengths at most.
#[must_use]
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut rest, mut left) = (pattern, text);
    // The last star: the pattern behind it, and the text from which it was tried last.
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        let next = match (rest.split_first(), left.split_first()) {
            (Some((b'*', behind)), _) => {
                star = Some((behind, left));
                rest = behind;
                continue;
            }
            (None, None) => return true,
            (Some(_), Some((&byte, after))) => step(rest, byte).map(|rest| (rest, after)),
            _ => None,
        };
        if let Some(next) = next {
            (rest, left) = next;
            continue;
        }
        // The star takes one byte more.
        let Some((behind, [_, shorter @ ..])) = star else { return false };
        star = Some((behind, shorter));
        (rest, left) = (behind, shorter);
    }
}

/// The pattern behind the piece that matches `byte`, if its first piece does.
fn step(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    match pattern {
        [b'?', rest @ ..] => Some(rest),
        [b'[', rest @ ..] => class(rest, byte),
        [b'\\', wanted, rest @ ..] | [wanted, rest @ ..] => (*wanted == byte).then_some(rest),
        [] => None,
    }
}

/// A class, from behind its bracket; one without an end goes to the end of the pattern.
fn class(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    let (negated, mut rest) = match pattern {
        [b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut found = false;
    loop {
        rest = match rest {
            [] => break,
            [b']', behind @ ..] => {
                rest = behind;
                break;
            }
            [b'\\', wanted, behind @ ..] => {
                found |= *wanted == byte;
                behind
            }
            [from, b'-', to, behind @ ..] => {
                found |= (*from.min(to)..=*from.max(to)).contains(&byte);
                behind
            }
            [wanted, behind @ ..] => {
                found |= *wanted == byte;
                behind
            }
        };
    }
    (found != negated).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_redis() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "any", true),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h*llo", "heeello", true),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-c]llo", "hbllo", true),
            ("h[c-a]llo", "hbllo", true),
            (r"h\*llo", "h*llo", true),
            (r"h\*llo", "hello", false),
            (r"[\]]", "]", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-d", false),
            ("[ab", "b", true),
            ("", "", true),
            ("", "a", false),
            ("a", "", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
        let stars = "a*".repeat(100) + "c";
        assert!(!matches(stars.as_bytes(), "a".repeat(3000).replace("aaa", "aab").as_bytes()));
    }

    #[test]
    fn names_that_can_be_notifications_are_known() {
        let meets = |kind, name: &str| meets_keyspace(kind, name.as_bytes());
        for name in ["*", "__key*", "__key[se]*", "_?", "__keyevent@0__:*", "__keyspace@*", "__keyspace@0__:k", "["] {
            assert!(meets(Kind::Pattern, name), "{name}");
        }
        for name in ["news.*", "__keys", "__keyspac@*", "k*", "__keyevents*"] {
            assert!(!meets(Kind::Pattern, name), "{name}");
        }
        assert!(meets(Kind::Channel, "__keyevent@0__:del"));
        assert!(!meets(Kind::Channel, "__key*") && !meets(Kind::Shard, "__keyevent@0__:del"));
    }
}
