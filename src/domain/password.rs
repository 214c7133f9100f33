//! New secrets for accounts, made by a policy.
//!
//! A password is drawn evenly from all that the policy allows: drawn character by character
//! without preference, and thrown away whole where a rule of the policy does not hold. To
//! mend a password instead (to put a digit where one is missing) would prefer some of them.

use rand::{CryptoRng, RngExt as _};
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

/// The shortest password that may be asked for.
pub const LENGTH_MIN: usize = 8;

/// The longest: Linux's PAM refuses 200 characters and more, and no target needs as many.
pub const LENGTH_MAX: usize = 128;

/// The symbols of ASCII that no target known to us trips over.
///
/// Left out are quotes, backslash, `$`, `` ` ``, `!`, `&`, `;`, `|`, `<`, `>` (shells and templates), `:` (the separator of
/// `chpasswd` and of URLs), `@` and `/` (connection strings), `%` (formats), space (trimmed).
pub const SAFE_SYMBOLS: &str = "#*+,-.=?_~^";

/// How often a password is drawn before the policy is called impossible: a few
/// milliseconds. A usual policy is met by the first draw or the second.
const DRAWS_MAX: usize = 5_000;

const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGITS: &str = "0123456789";

/// What a password must look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// Number of characters, [`LENGTH_MIN`] to [`LENGTH_MAX`].
    pub length: usize,
    /// At least so many of `a` to `z`; `None` for not a single one.
    pub lower: Option<usize>,
    /// At least so many of `A` to `Z`; `None` for not a single one.
    pub upper: Option<usize>,
    /// At least so many of `0` to `9`; `None` for not a single one.
    pub digits: Option<usize>,
    /// At least so many of [`PasswordPolicy::symbols`]; `None` for not a single one.
    pub others: Option<usize>,
    /// The symbols that the target takes: printable ASCII without letters, digits and space.
    pub symbols: String,
    /// Characters that may not occur, such as those that look alike (`0O1lI`).
    pub forbidden: String,
    /// Most equal characters in a row, 1 and more.
    pub repeats_max: usize,
}

impl Default for PasswordPolicy {
    /// Twenty characters of all four classes, more than 120 bits.
    fn default() -> Self {
        Self {
            length: 20,
            lower: Some(1),
            upper: Some(1),
            digits: Some(1),
            others: Some(1),
            symbols: SAFE_SYMBOLS.to_owned(),
            forbidden: String::new(),
            repeats_max: 2,
        }
    }
}

/// Why a policy cannot be met. The texts name the setting and say what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The length is out of bounds.
    #[error("`length` is {0}: set it from {LENGTH_MIN} to {LENGTH_MAX}")]
    Length(usize),
    /// Together the classes ask for more characters than there are.
    #[error(
        "the classes ask for {wanted} characters and `length` is {length}: lower the one or raise the other"
    )]
    TooMany {
        /// What they ask for together.
        wanted: usize,
        /// What there is.
        length: usize,
    },
    /// A class is asked for and `forbidden` leaves none of it.
    #[error("`{0}` is asked for and none is left: list more, forbid fewer, or do without it")]
    Empty(&'static str),
    /// A symbol is none.
    #[error("`symbols` holds {0:?}: it takes printable ASCII without letters, digits and space")]
    Symbol(char),
    /// Fewer than ten characters to choose from.
    #[error("only {0} different characters are left: allow at least ten")]
    Narrow(usize),
    /// `repeats_max` is zero.
    #[error("`repeats_max` is 0: set it to 1 or more")]
    Repeats,
    /// The rules leave so few passwords that none was found.
    #[error("the rules together leave next to no password: loosen one of them")]
    Unlikely,
}

/// One class of characters: what is left of it, and how many are asked for.
struct Class {
    chars: Vec<char>,
    least: usize,
}

impl PasswordPolicy {
    /// Refuses a policy that no password can meet, or only a guessable one.
    ///
    /// It does not see that rules which are sound one by one leave next to nothing together, such
    /// as eight digits in eight characters of which any may be a letter.
    ///
    /// # Errors
    /// [`PolicyError`] names the first setting that is wrong.
    pub fn check(&self) -> Result<(), PolicyError> {
        self.classes().map(drop)
    }

    /// Makes a password that meets the policy, from a generator fit for secrets.
    ///
    /// It never begins with `-`, which programs take for an option, nor with `#`, which some
    /// files take for a remark.
    ///
    /// # Errors
    /// As [`PasswordPolicy::check`], and [`PolicyError::Unlikely`].
    pub fn generate<R: CryptoRng>(&self, random: &mut R) -> Result<SecretString, PolicyError> {
        let classes = self.classes()?;
        let alphabet: Vec<char> = classes
            .iter()
            .flat_map(|class| class.chars.iter().copied())
            .collect();
        // The room is taken once: a text that grows would leave copies in memory.
        let mut drawn = Zeroizing::new(String::with_capacity(self.length));
        for _ in 0..DRAWS_MAX {
            drawn.clear();
            for _ in 0..self.length {
                drawn.push(alphabet[random.random_range(0..alphabet.len())]);
            }
            if fits(&drawn, &classes, self.repeats_max) {
                return Ok(SecretString::from(drawn.as_str()));
            }
        }
        Err(PolicyError::Unlikely)
    }

    fn classes(&self) -> Result<Vec<Class>, PolicyError> {
        if !(LENGTH_MIN..=LENGTH_MAX).contains(&self.length) {
            return Err(PolicyError::Length(self.length));
        }
        if self.repeats_max == 0 {
            return Err(PolicyError::Repeats);
        }
        if let Some(odd) = self.symbols.chars().find(|c| !c.is_ascii_punctuation()) {
            return Err(PolicyError::Symbol(odd));
        }
        let mut classes = Vec::new();
        for (name, members, least) in [
            ("lower", LOWER, self.lower),
            ("upper", UPPER, self.upper),
            ("digits", DIGITS, self.digits),
            ("others", self.symbols.as_str(), self.others),
        ] {
            let Some(least) = least else { continue };
            let mut chars: Vec<char> = members
                .chars()
                .filter(|c| !self.forbidden.contains(*c))
                .collect();
            // A symbol listed twice would be drawn twice as often.
            chars.sort_unstable();
            chars.dedup();
            if chars.is_empty() && least > 0 {
                return Err(PolicyError::Empty(name));
            }
            classes.push(Class { chars, least });
        }
        let wanted = classes
            .iter()
            .fold(0_usize, |sum, class| sum.saturating_add(class.least));
        if wanted > self.length {
            return Err(PolicyError::TooMany {
                wanted,
                length: self.length,
            });
        }
        match classes.iter().map(|class| class.chars.len()).sum() {
            few @ 0..10 => Err(PolicyError::Narrow(few)),
            _ => Ok(classes),
        }
    }
}

fn fits(password: &str, classes: &[Class], repeats_max: usize) -> bool {
    let enough =
        |class: &Class| password.chars().filter(|c| class.chars.contains(c)).count() >= class.least;
    !password.starts_with(['-', '#'])
        && classes.iter().all(enough)
        && longest_run(password) <= repeats_max
}

fn longest_run(text: &str) -> usize {
    let mut longest = 0;
    let mut run = 0;
    let mut last = None;
    for c in text.chars() {
        run = if last == Some(c) { run + 1 } else { 1 };
        last = Some(c);
        longest = longest.max(run);
    }
    longest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;
    use secrecy::ExposeSecret as _;

    use super::*;

    fn generated(policy: &PasswordPolicy, seed: u64) -> Result<String, PolicyError> {
        let mut random = StdRng::seed_from_u64(seed);
        let made = policy.generate(&mut random)?;
        Ok(made.expose_secret().to_owned())
    }

    fn any_policy() -> impl Strategy<Value = PasswordPolicy> {
        let class = || proptest::option::of(0_usize..4);
        (
            LENGTH_MIN..=LENGTH_MAX,
            (class(), class(), class(), class()),
            "[!-/:-@\\[-`{-~]{0,32}",
            "[!-~]{0,20}",
            1_usize..4,
        )
            .prop_map(
                |(length, (lower, upper, digits, others), symbols, forbidden, repeats_max)| {
                    PasswordPolicy {
                        length,
                        lower,
                        upper,
                        digits,
                        others,
                        symbols,
                        forbidden,
                        repeats_max,
                    }
                },
            )
    }

    proptest! {
        #[test]
        fn what_is_made_meets_the_policy(policy in any_policy(), seed: u64) {
            prop_assume!(policy.check().is_ok());
            let Ok(made) = generated(&policy, seed) else {
                // Long and of few characters, with no two equal in a row: too rare to draw.
                prop_assume!(false);
                return Ok(());
            };
            prop_assert_eq!(made.chars().count(), policy.length);
            prop_assert!(!made.starts_with('-') && !made.starts_with('#'));
            prop_assert!(!made.contains(|c| policy.forbidden.contains(c)));
            prop_assert!(longest_run(&made) <= policy.repeats_max);
            let count = |is: &dyn Fn(char) -> bool| made.chars().filter(|c| is(*c)).count();
            for (counted, asked) in [
                (count(&|c| c.is_ascii_lowercase()), policy.lower),
                (count(&|c| c.is_ascii_uppercase()), policy.upper),
                (count(&|c| c.is_ascii_digit()), policy.digits),
                (count(&|c| policy.symbols.contains(c)), policy.others),
            ] {
                match asked {
                    Some(least) => prop_assert!(counted >= least),
                    None => prop_assert_eq!(counted, 0),
                }
            }
        }
    }

    #[test]
    fn every_character_turns_up_about_as_often() {
        let policy = PasswordPolicy {
            length: 100,
            repeats_max: 100,
            ..PasswordPolicy::default()
        };
        let text: String = (0..200)
            .map(|seed| generated(&policy, seed).unwrap())
            .collect();
        // 20,000 draws from 73 characters: 274 each; 100 off would be six standard deviations.
        for c in LOWER
            .chars()
            .chain(UPPER.chars())
            .chain(DIGITS.chars())
            .chain(SAFE_SYMBOLS.chars())
        {
            let count = text.chars().filter(|other| *other == c).count();
            assert!((174..374).contains(&count), "{c:?}: {count}");
        }
    }

    type Break = fn(&mut PasswordPolicy);

    #[test]
    fn a_policy_that_cannot_be_met_names_its_setting() {
        assert_eq!(PasswordPolicy::default().check(), Ok(()));
        let cases: [(Break, &str); 9] = [
            (|p| p.length = 7, "`length` is 7"),
            (|p| p.length = 129, "`length` is 129"),
            (|p| p.digits = Some(18), "the classes ask for 21"),
            (|p| p.lower = Some(usize::MAX), "the classes ask for"),
            (|p| p.symbols.clear(), "`others` is asked for"),
            (|p| p.forbidden = DIGITS.to_owned(), "`digits` is asked for"),
            (|p| p.symbols = "#é".to_owned(), "`symbols` holds 'é'"),
            (|p| p.repeats_max = 0, "`repeats_max` is 0"),
            (
                |p| (p.lower, p.upper, p.digits) = (None, None, None),
                "only 3 different",
            ),
        ];
        for (break_it, text) in cases {
            let mut bad = PasswordPolicy {
                symbols: "#*+".to_owned(),
                ..PasswordPolicy::default()
            };
            break_it(&mut bad);
            let error = bad.check().unwrap_err().to_string();
            assert!(error.starts_with(text), "{error}");
            assert_eq!(generated(&bad, 1).unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn two_passwords_differ() {
        let policy = PasswordPolicy::default();
        assert_ne!(generated(&policy, 1), generated(&policy, 2));
    }
}
