//! `${NAME}` in a text of the file becomes the value of that environment variable; `$${` stands for `${` itself.

use super::mistake::Wrong;

/// The text with every `${NAME}` replaced, and whether there was one.
///
/// Errors name the variable and never show its value.
pub(super) fn expand(text: &str, env: &[(String, String)]) -> Result<(String, bool), Wrong> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut expanded = false;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = from.get(2..).unwrap_or_default();
            continue;
        }
        let unclosed =
            || Wrong::new("${ has no closing brace", "write ${NAME}, or $${ for the two characters themselves");
        let (name, after) = from.get(2..).and_then(|inner| inner.split_once('}')).ok_or_else(unclosed)?;
        let Some((_, value)) = env.iter().find(|(known, _)| known == name) else {
            return Err(Wrong::new(
                format!("the environment variable \"{name}\" is not set"),
                "set it, or write the value itself",
            ));
        };
        out.push_str(before);
        out.push_str(value);
        rest = after;
        expanded = true;
    }
    out.push_str(rest);
    Ok((out, expanded))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env() -> Vec<(String, String)> {
        vec![("HOST".to_owned(), "redis-0".to_owned()), ("EMPTY".to_owned(), String::new())]
    }

    #[test]
    fn variables_are_replaced() {
        for (text, expected, expanded) in [
            ("plain $ { } text", "plain $ { } text", false),
            ("${HOST}:7000", "redis-0:7000", true),
            ("${HOST}${EMPTY}${HOST}", "redis-0redis-0", true),
            ("$${HOST}", "${HOST}", false),
            ("a$${b${HOST}", "a${bredis-0", true),
        ] {
            assert_eq!(expand(text, &env()), Ok((expected.to_owned(), expanded)), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_replaced_is_an_error() {
        assert!(expand("${NOT_THERE}", &env()).is_err_and(|wrong| wrong.what.contains("\"NOT_THERE\" is not set")));
        assert!(expand("a ${HOST", &env()).is_err_and(|wrong| wrong.what.contains("closing brace")));
    }
}
