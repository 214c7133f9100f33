//! Reads Rust text just well enough for the checks: what is code, what is test, where a block ends.

/// What [`strip`] does with the inside of string literals.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Strings {
    Keep,
    Blank,
}

/// Replaces comments, and string and character literals if asked, by blanks. Offsets and line
/// numbers stay as they were, except that a character of several bytes becomes one blank.
pub(super) fn strip(text: &str, strings: Strings) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let (end, keep) = token(&chars, at, strings);
        for &c in &chars[at..end] {
            out.push(if keep || c == '\n' { c } else { ' ' });
        }
        at = end;
    }
    out
}

/// The end of the comment, literal or single character at `at`, and whether its text stays.
fn token(chars: &[char], at: usize, strings: Strings) -> (usize, bool) {
    let next = chars.get(at + 1).copied();
    let keep = strings == Strings::Keep;
    let after_name = at > 0 && is_name(chars[at - 1]);
    match chars[at] {
        '/' if next == Some('/') => (position(chars, at, |c| c == '\n'), false),
        '/' if next == Some('*') => (block_comment_end(chars, at), false),
        '"' => (string_end(chars, at), keep),
        'r' if !after_name || chars[at - 1] == 'b' => match raw_string_end(chars, at) {
            Some(end) => (end, keep),
            None => (at + 1, true),
        },
        '\'' => match char_end(chars, at) {
            Some(end) => (end, keep),
            None => (at + 1, true),
        },
        _ => (at + 1, true),
    }
}

fn position(chars: &[char], from: usize, found: impl Fn(char) -> bool) -> usize {
    let rest = chars[from..].iter();
    rest.clone()
        .position(|&c| found(c))
        .map_or(chars.len(), |n| from + n)
}

fn block_comment_end(chars: &[char], start: usize) -> usize {
    let mut depth = 0;
    let mut at = start;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn string_end(chars: &[char], start: usize) -> usize {
    let mut at = start + 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

fn raw_string_end(chars: &[char], start: usize) -> Option<usize> {
    let open = position(chars, start + 1, |c| c != '#');
    let hashes = open - start - 1;
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let mut at = open + 1;
    loop {
        at = position(chars, at, |c| c == '"') + 1;
        if at >= chars.len() || chars[at..].iter().take_while(|&&c| c == '#').count() >= hashes {
            return Some((at + hashes).min(chars.len()));
        }
    }
}

/// A quote opens a character only if it is closed again; otherwise it begins a lifetime.
fn char_end(chars: &[char], start: usize) -> Option<usize> {
    if chars.get(start + 1) == Some(&'\\') {
        return Some((position(chars, start + 3, |c| c == '\'') + 1).min(chars.len()));
    }
    (chars.get(start + 2) == Some(&'\'')).then_some(start + 3)
}

/// Whether `c` may stand inside an identifier.
pub(super) fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The identifier `text` begins with; empty if there is none.
pub(super) fn name(text: &str) -> &str {
    &text[..text.find(|c| !is_name(c)).unwrap_or(text.len())]
}

/// Where `word` stands in `code` as a word of its own.
pub(super) fn words<'c>(code: &'c str, word: &'c str) -> impl Iterator<Item = usize> + 'c {
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |&at| {
            !code[..at].ends_with(is_name) && !code[at + word.len()..].starts_with(is_name)
        })
}

/// The line, from 1, at an offset.
pub(super) fn line(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

/// The end of what starts at `at`: just after the brace that closes its first block, or after the
/// semicolon if it has none. Brackets are counted, because `[u8; 4]` has a semicolon too.
pub(super) fn item_end(code: &str, at: usize) -> usize {
    let (mut braces, mut brackets) = (0, 0);
    for (offset, c) in code[at..].char_indices() {
        match c {
            '{' => braces += 1,
            '}' => braces -= 1,
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets -= 1,
            _ => {}
        }
        let closed = c == '}' && braces == 0;
        let ended = c == ';' && braces == 0 && brackets == 0;
        if closed || ended {
            return at + offset + 1;
        }
    }
    code.len()
}

/// Splits stripped code into what ships and what only tests see; the other half is blank in each.
pub(super) fn split_tests(code: &str) -> (String, String) {
    const MARK: &str = "#[cfg(test)]";
    let (mut ships, mut tests) = (String::new(), String::new());
    let mut rest = 0;
    while let Some(found) = code[rest..].find(MARK) {
        let start = rest + found;
        let end = item_end(code, start + MARK.len());
        ships.push_str(&code[rest..start]);
        tests.push_str(&blank(&code[rest..start]));
        ships.push_str(&blank(&code[start..end]));
        tests.push_str(&code[start..end]);
        rest = end;
    }
    ships.push_str(&code[rest..]);
    tests.push_str(&blank(&code[rest..]));
    (ships, tests)
}

fn blank(code: &str) -> String {
    code.chars()
        .map(|c| if c == '\n' { c } else { ' ' })
        .collect()
}

#[test]
fn comments_and_literals_are_blanked_and_the_code_is_kept() {
    let text =
        "a(/* x /* y */ z */ \"q\\\"q\", r#\"r\"r\"#, 'c', '\\'', b'\"'); // end\nfn f<'l>() {}";
    let code = strip(text, Strings::Blank);
    assert_eq!(
        code.split_whitespace().collect::<String>(),
        "a(,,,,b);fnf<'l>(){}"
    );
    assert_eq!(code.len(), text.len());
    assert!(strip(text, Strings::Keep).contains("r\"r"));
}

#[test]
fn an_item_ends_at_its_block_or_semicolon() {
    let code = "fn f() -> [u8; 4] { if a { b } c } fn g();";
    assert_eq!(
        &code[..item_end(code, 0)],
        "fn f() -> [u8; 4] { if a { b } c }"
    );
    let code = "mod tests; fn f() {}";
    assert_eq!(&code[..item_end(code, 0)], "mod tests;");
}

#[test]
fn tests_are_told_from_what_ships() {
    let (ships, tests) = split_tests("fn f() {}\n#[cfg(test)]\nmod t { fn g() {} }\nfn h() {}");
    assert!(ships.contains("f()") && ships.contains("h()") && !ships.contains("g()"));
    assert!(tests.contains("g()") && !tests.contains("f()") && !tests.contains("h()"));
}
