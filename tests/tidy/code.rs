//! Reads Rust source as far as the laws need it: code without comments and strings, words, paths, functions.

/// The text with comments, strings and character literals blanked; every line stays on its line.
pub(super) fn code_only(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let previous = out.chars().next_back().unwrap_or(' ');
        let length = opaque(rest, previous);
        let (blank, tail) = rest.split_at(length.unwrap_or(first.len_utf8()));
        match length {
            Some(_) => out.extend(blank.chars().map(|c| if c == '\n' { '\n' } else { ' ' })),
            None => out.push(first),
        }
        rest = tail;
    }
    out
}

/// The length of the comment, string or character that `rest` begins with.
fn opaque(rest: &str, previous: char) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(rest));
    }
    let in_word = previous.is_alphanumeric() || previous == '_';
    let raw = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r')).filter(|_| !in_word);
    if let Some(raw) = raw {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let close = format!("\"{}", "#".repeat(hashes));
            let start = rest.len() - raw.len() + hashes + 1;
            return Some(rest[start..].find(&close).map_or(rest.len(), |at| start + at + close.len()));
        }
    }
    if rest.starts_with('"') {
        return Some(quoted(rest, '"'));
    }
    // `'a` is a lifetime unless a quote follows one character or an escape.
    let mut chars = rest.strip_prefix('\'')?.chars();
    match (chars.next()?, chars.next()?) {
        ('\\', _) => Some(quoted(rest, '\'')),
        (c, '\'') => Some(2 + c.len_utf8()),
        _ => None,
    }
}

/// The length of a block comment; they nest.
fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while let Some(tail) = rest.get(at..).filter(|tail| !tail.is_empty()) {
        match tail.as_bytes() {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += tail.chars().next().map_or(1, char::len_utf8),
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// The length of a literal between two `quote`s, escapes skipped.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

pub(super) fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// Where `word` stands in `code` as a word of its own.
pub(super) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let ends_open = !word.ends_with(is_word);
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let after = code[at + word.len()..].chars().next();
        !code[..*at].ends_with(is_word) && (ends_open || !after.is_some_and(is_word))
    })
}

/// Every path that a `use` tree, or a path in the code, spells out: `a::{b, c::d}` is `a::b` and `a::c::d`.
pub(super) fn spell_out(tree: &str, prefix: &[String], out: &mut Vec<Vec<String>>) -> usize {
    let skip = |at: usize| at + tree[at..].len() - tree[at..].trim_start().len();
    let (mut path, mut at) = (prefix.to_vec(), skip(0));
    loop {
        if tree[at..].starts_with('{') {
            at += 1;
            while !tree[at..].trim_start().starts_with('}') && at < tree.len() {
                at += spell_out(&tree[at..], &path, out).max(1);
                at = skip(at);
                at += usize::from(tree[at..].starts_with(','));
            }
            return skip(at) + 1;
        }
        let end = tree[at..].find(|c: char| !c.is_alphanumeric() && c != '_').map_or(tree.len(), |n| at + n);
        if end > at {
            path.push(tree[at..end].to_owned());
        }
        at = end;
        if !tree[at..].starts_with("::") {
            // What an `as` renames is still the same thing.
            let renamed = tree[at..].trim_start().starts_with("as ");
            let stop = if renamed { tree[at..].find([',', '}', ';']).map_or(tree.len(), |n| at + n) } else { at };
            out.push(path);
            return stop;
        }
        at = skip(at + 2);
    }
}

/// Every function with a body: its line, its name, and how many lines it has.
pub(super) fn functions(code: &str) -> Vec<(usize, String, usize)> {
    let mut found = Vec::new();
    for at in words(code, "fn ") {
        let tail = &code[at..];
        let name: String = tail[3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let (mut braces, mut parens, mut end) = (0, 0, None);
        for (offset, c) in tail.char_indices() {
            match c {
                '(' | '[' => parens += 1,
                ')' | ']' => parens -= 1,
                '{' => braces += 1,
                '}' => braces -= 1,
                ';' if braces == 0 && parens == 0 => break,
                _ => {}
            }
            if c == '}' && braces == 0 {
                end = Some(offset);
                break;
            }
        }
        if let (false, Some(end)) = (name.is_empty(), end) {
            found.push((line_of(code, at), name, tail[..end].matches('\n').count() + 1));
        }
    }
    found
}
