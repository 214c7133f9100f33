//! The dialogue by which a Unix machine changes a password, as values.
//!
//! `passwd` and PAM ask for the current password, the new one, and the new one again, in
//! words of the machine. We ask for English (`LC_ALL=C`), and fall back to the order where
//! the words are others.

use crate::connect::target::{Attempt, Failure};
use crate::domain::failure::FailureClass;

const STEP: &str = "change a password at";

/// Begins a line that is not a question although it may end in a colon for a moment.
const REMARKS: [&str; 3] = ["passwd:", "bad password:", "warning:"];

/// What a question asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    Current,
    New,
    NewAgain,
}

/// What to do about a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Give the password in force.
    Current,
    /// Give the new one.
    New,
    /// Give the new one again; with this the change may happen.
    NewAgain,
    /// Give nothing more: the change was refused, for this reason.
    Stop(FailureClass),
}

/// How far a dialogue has come.
#[derive(Debug, Default)]
pub(super) struct Dialogue {
    last: Option<Ask>,
}

impl Dialogue {
    /// Decides the answer to the next question.
    pub(super) fn on_prompt(&mut self, prompt: &str) -> Answer {
        let next = match self.last {
            None => Ask::Current,
            Some(Ask::Current) => Ask::New,
            Some(Ask::New | Ask::NewAgain) => Ask::NewAgain,
        };
        let asked = asks(prompt).unwrap_or(next);
        let answer = match (self.last, asked) {
            // Root, and a forced change, are not asked for the current password.
            (None, Ask::Current) => Answer::Current,
            (None | Some(Ask::Current), Ask::New) => Answer::New,
            (Some(Ask::New), Ask::NewAgain) => Answer::NewAgain,
            // Asked once more: the answer before did not please.
            (Some(Ask::Current), Ask::Current) => Answer::Stop(FailureClass::AuthFailed),
            (Some(Ask::New | Ask::NewAgain), Ask::New | Ask::Current) => {
                Answer::Stop(FailureClass::PasswordPolicy)
            }
            (None | Some(Ask::Current | Ask::NewAgain), Ask::NewAgain) => {
                Answer::Stop(FailureClass::Protocol)
            }
        };
        self.last = Some(asked);
        answer
    }

    /// Whether the new password was given twice.
    pub(super) fn is_complete(&self) -> bool {
        self.last == Some(Ask::NewAgain)
    }
}

/// What a question asks for, by its last line; `None` where its words do not tell.
pub(super) fn asks(prompt: &str) -> Option<Ask> {
    let line = prompt.trim_end().lines().next_back()?.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| line.contains(word));
    if says(&[
        "retype", "re-type", "re-enter", "reenter", "repeat", "again", "confirm",
    ]) {
        Some(Ask::NewAgain)
    } else if says(&["current", "old password"]) {
        Some(Ask::Current)
    } else if says(&["new"]) {
        Some(Ask::New)
    } else {
        None
    }
}

/// The question at the end of what a terminal shows, if it waits for an answer.
///
/// A question is a line that has not ended and whose last character is a colon or a question mark.
pub(super) fn question(shown: &str) -> Option<&str> {
    let line = shown.rsplit(['\n', '\r']).next()?.trim();
    let is_remark = REMARKS.contains(&line.to_lowercase().as_str());
    (line.ends_with([':', '?', '：']) && !is_remark).then_some(line)
}

/// What PAM's modules say, in small letters, of a password that they do not want.
const POLICY: [&str; 15] = [
    "bad password",
    "too short",
    "too simple",
    "too similar",
    "too weak",
    "palindrome",
    "dictionary",
    "already used",
    "has been used",
    "no password supplied",
    "choose a longer",
    "wait longer",
    "case changes only",
    "is rotated",
    "same as the old",
];

/// Whether words in small letters say that the machine does not want the new password.
pub(super) fn is_policy(words: &str) -> bool {
    POLICY.iter().any(|some| words.contains(some))
}

/// The failure of a dialogue that the machine ended without success, by what it said.
///
/// Certain to have changed nothing is only what says so, and what was never given the new
/// password twice (the attempt knows).
pub(super) fn ended_badly(attempt: &Attempt<'_>, shown: &str) -> Failure {
    let words = shown.to_lowercase();
    let says = |some: &[&str]| some.iter().any(|word| words.contains(word));
    let class = if is_policy(&words) {
        FailureClass::PasswordPolicy
    } else if says(&["permission denied", "not permitted", "may not"]) {
        FailureClass::PermissionDenied
    } else {
        FailureClass::Protocol
    };
    if says(&["unchanged", "not changed", "manipulation error"])
        || class == FailureClass::PasswordPolicy
    {
        attempt.effect_refused();
    }
    attempt.fail(class, STEP, shown.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(prompts: &[&str]) -> Vec<Answer> {
        let mut dialogue = Dialogue::default();
        prompts
            .iter()
            .map(|prompt| dialogue.on_prompt(prompt))
            .collect()
    }

    #[test]
    fn the_three_questions_are_answered_in_any_words() {
        let good = [Answer::Current, Answer::New, Answer::NewAgain];
        for prompts in [
            [
                "Current password: ",
                "New password: ",
                "Retype new password: ",
            ],
            [
                "(current) UNIX password:",
                "Enter new UNIX password:",
                "Retype new UNIX password:",
            ],
            ["Old password:", "New password:", "Retype password:"],
            [
                "Aktuelles Passwort: ",
                "Geben Sie ein Passwort ein: ",
                "Noch einmal: ",
            ],
            ["現在のパスワード：", "パスワード：", "パスワード："],
        ] {
            assert_eq!(answers(&prompts), good, "{prompts:?}");
        }
        assert_eq!(
            answers(&[
                "Changing the password for ana.\nNew password: ",
                "Retype new password: "
            ]),
            [Answer::New, Answer::NewAgain]
        );
    }

    #[test]
    fn a_question_that_comes_back_is_a_refusal() {
        let (current, new, again) = (
            "Current password: ",
            "New password: ",
            "Retype new password: ",
        );
        for (prompts, class) in [
            (&[current, current][..], FailureClass::AuthFailed),
            (&[current, new, new], FailureClass::PasswordPolicy),
            (&[current, new, again, new], FailureClass::PasswordPolicy),
            (&[again], FailureClass::Protocol),
            (&[current, new, again, again], FailureClass::Protocol),
        ] {
            assert_eq!(
                answers(prompts).pop(),
                Some(Answer::Stop(class)),
                "{prompts:?}"
            );
        }
    }

    #[test]
    fn only_a_line_that_waits_is_a_question() {
        for (shown, line) in [
            (
                "Changing password for ana.\r\nCurrent password: ",
                Some("Current password:"),
            ),
            ("New password: \r\n", None),
            ("Changing password for ana.", None),
            ("\r\nBAD PASSWORD:", None),
            ("passwd: ", None),
            ("", None),
        ] {
            assert_eq!(question(shown), line, "{shown:?}");
        }
    }
}
