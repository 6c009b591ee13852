//! Splits the line of an inline request into words, with the quotes and escapes that Redis knows.
//!
//! People with `nc` and load balancers send such lines. Where a line ends is left to `request`.

/// Splits a line at white space; `"…"` with escapes, `'…'` with `\'` only. `None` for unbalanced quotes.
pub(super) fn split(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut at = 0;
    loop {
        while line.get(at).is_some_and(|&b| is_space(b)) {
            at += 1;
        }
        if at >= line.len() {
            return Some(words);
        }
        let mut word = Vec::new();
        at = read_word(line, at, &mut word)?;
        words.push(word);
    }
}

/// Reads one word that begins at `at`; gives where it ends.
fn read_word(line: &[u8], mut at: usize, word: &mut Vec<u8>) -> Option<usize> {
    loop {
        match line.get(at) {
            None => return Some(at),
            Some(&b) if is_space(b) => return Some(at),
            Some(&quote @ (b'"' | b'\'')) => {
                at = read_quoted(line, at + 1, quote, word)?;
                // A closing quote ends the word: only white space may follow.
                return line.get(at).is_none_or(|&b| is_space(b)).then_some(at);
            }
            Some(&b) => {
                word.push(b);
                at += 1;
            }
        }
    }
}

/// Reads up to the closing `quote`; gives where the byte behind it stands.
fn read_quoted(line: &[u8], mut at: usize, quote: u8, word: &mut Vec<u8>) -> Option<usize> {
    loop {
        let byte = *line.get(at)?;
        if byte == quote {
            return Some(at + 1);
        }
        if byte == b'\\' && quote == b'"' {
            at = read_escape(line, at + 1, word)?;
        } else if byte == b'\\' && line.get(at + 1) == Some(&b'\'') {
            word.push(b'\'');
            at += 2;
        } else {
            word.push(byte);
            at += 1;
        }
    }
}

/// One escape of a double-quoted word, behind its backslash.
fn read_escape(line: &[u8], at: usize, word: &mut Vec<u8>) -> Option<usize> {
    let byte = *line.get(at)?;
    if byte == b'x'
        && let (Some(high), Some(low)) = (hex(line.get(at + 1)), hex(line.get(at + 2)))
    {
        word.push(high * 16 + low);
        return Some(at + 3);
    }
    word.push(match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    });
    Some(at + 1)
}

fn hex(byte: Option<&u8>) -> Option<u8> {
    char::from(*byte?).to_digit(16).map(|d| d as u8)
}

/// What C's `isspace` calls white space.
const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | 9..=13)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Option<Vec<String>> {
        let words = split(line.as_bytes())?;
        Some(words.iter().map(|word| word.escape_ascii().to_string()).collect())
    }

    #[test]
    fn quotes_and_escapes_are_those_of_redis() {
        let cases = [
            ("", vec![]),
            (" a\tb  c ", vec!["a", "b", "c"]),
            (r#""a b" 'c d' """#, vec!["a b", "c d", ""]),
            (r#""\x41\n\q" '\x41\'' a"b""#, vec!["A\\nq", "\\\\x41\\\'", "ab"]),
        ];
        for (line, expected) in cases {
            assert_eq!(words(line), Some(expected.iter().map(ToString::to_string).collect()), "{line}");
        }
    }

    #[test]
    fn a_quote_must_be_closed_and_end_its_word() {
        for line in [r#""a"#, "'a", r#""a"b"#, r#"a "b\"#, "'a\\'"] {
            assert_eq!(words(line), None, "{line}");
        }
    }
}
