//! Names as they are compared: two spellings of one name are one name.

use unicode_normalization::UnicodeNormalization;

/// Stands behind each part of an identity. No name can hold it: control characters are refused.
const SEPARATOR: char = '\u{1f}';

/// Bound on a folded name in bytes. Folding may lengthen a text several times, and an index of PostgreSQL takes
/// about 2,700 bytes.
pub const FOLDED_BYTES_MAX: usize = 1_024;

/// The name as it is compared: canonically normalised and case-folded (Unicode, definition D145), then composed.
///
/// `ÅSA`, `åsa` and `a` + ring + `sa` are one name; `Straße` is `STRASSE`.
#[must_use]
pub fn fold(name: &str) -> String {
    caseless::default_case_fold_str(&name.nfd().collect::<String>())
        .nfd()
        .nfc()
        .collect()
}

/// What is unique of a thing: its parts, folded, the one it is searched by first.
///
/// Each part ends with a separator, so that `("ab", "c")` is not `("a", "bc")`, and so that all identities whose
/// first part is a given name stand together in an index: see [`first_part`].
#[must_use]
pub fn identity(parts: &[&str]) -> String {
    let mut text = String::new();
    for part in parts {
        text.push_str(&fold(part));
        text.push(SEPARATOR);
    }
    text
}

/// The identities whose first part is `name`: at or after the first answer, before the second.
#[must_use]
pub fn first_part(name: &str) -> (String, String) {
    let folded = fold(name);
    // The space is the character after the separator.
    (format!("{folded}{SEPARATOR}"), format!("{folded} "))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_of_one_name_are_one_name() {
        for (one, other) in [
            ("ÅSA", "a\u{30a}sa"),
            ("Straße", "STRASSE"),
            ("Σίσυφος", "ΣΊΣΥΦΟΣ"),
            ("\u{1e9e}", "ss"),
            ("ﬁle", "FILE"),
            ("\u{212b}", "\u{e5}"),
        ] {
            assert_eq!(fold(one), fold(other), "{one} {other}");
        }
        for (one, other) in [("web1", "web2"), ("é", "e"), ("ı", "i"), ("a b", "ab")] {
            assert_ne!(fold(one), fold(other), "{one} {other}");
        }
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(identity(&["ab", "c"]), identity(&["a", "bc"]));
        assert_ne!(identity(&["a", ""]), identity(&["", "a"]));
    }

    proptest! {
        #[test]
        fn a_folded_name_stays_as_it_is(name in any::<String>()) {
            let folded = fold(&name);
            prop_assert_eq!(fold(&folded), folded);
        }

        #[test]
        fn folding_agrees_with_the_standards_comparison(a in "[aAäÄßẞſsSσςΣıIi\u{300}\u{30a}\u{345}ΐᾳ]{0,4}", b in "[aAäÄßẞſsSσςΣıIi\u{300}\u{30a}\u{345}ΐᾳ]{0,4}") {
            prop_assert_eq!(fold(&a) == fold(&b), caseless::canonical_caseless_match_str(&a, &b));
        }

        #[test]
        fn normal_forms_and_cases_make_no_difference(name in any::<String>()) {
            prop_assert_eq!(fold(&name.nfc().collect::<String>()), fold(&name));
            prop_assert_eq!(fold(&name.nfd().collect::<String>()), fold(&name));
        }

        #[test]
        fn identities_are_found_by_their_first_part(name in "[a-zA-Z0-9 ._é]{1,8}", rest in "[a-z]{0,4}", other in "[a-zA-Z0-9 ._é]{1,8}") {
            let (from, to) = first_part(&name);
            let held = |text: &String| *text >= from && *text < to;
            prop_assert!(held(&identity(&[&name, &rest])));
            prop_assert_eq!(held(&identity(&[&other, &rest])), fold(&other) == fold(&name));
        }
    }
}
