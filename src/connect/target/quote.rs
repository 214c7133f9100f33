//! A word for a shell that we do not know.

/// Writes a text as one word that every login shell reads as that text: POSIX shells, fish
/// and csh alike.
///
/// SSH hands a command to the account's login shell as one line (RFC 4254, section 6.5), so the
/// words must survive a shell of whatever kind. Inside single quotes they agree on everything
/// but the quote itself, the backslash (an escape in fish) and `!` (history in csh); these
/// three stand outside, escaped. The caller refuses control characters.
#[must_use]
pub fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_-".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    let mut word = String::with_capacity(text.len() + 2);
    word.push('\'');
    for c in text.chars() {
        match c {
            '\'' | '\\' | '!' => {
                word.push_str("'\\");
                word.push(c);
                word.push('\'');
            }
            other => word.push(other),
        }
    }
    word.push('\'');
    word
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_words_stay_and_others_are_quoted() {
        assert_eq!(shell_word("/usr/bin/id"), "/usr/bin/id");
        assert_eq!(shell_word(""), "''");
        assert_eq!(shell_word("a b"), "'a b'");
        assert_eq!(shell_word("$(id)"), "'$(id)'");
        assert_eq!(shell_word("it's"), "'it'\\''s'");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_shell_reads_the_word_as_the_text(texts in proptest::collection::vec("[^\\p{Cc}]{0,40}", 1..8)) {
            let words: Vec<String> = texts.iter().map(|text| shell_word(text)).collect();
            let line = format!("printf '%s\\n' {}", words.join(" "));
            let ran = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
            prop_assert!(ran.status.success());
            let read = String::from_utf8(ran.stdout).unwrap();
            let read: Vec<&str> = read.strip_suffix('\n').unwrap().split('\n').collect();
            prop_assert_eq!(read, texts);
        }
    }
}
