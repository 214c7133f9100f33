//! What is done at a target, written down step by step.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::time::Instant;

use crate::clock::SharedClock;
use crate::connect::target::{
    AdmissionOrder, Command, Failure, Login, PasswordChange, Probed, Ran, Target, shell_word,
};
use crate::domain::operation::Admission;
use crate::domain::transcript::{STEPS_MAX, Step, kept};

/// Bound on the words of a command that are shown, in characters.
const WORDS_CHARS_MAX: usize = 200;

/// The steps of one attempt. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub(super) struct Transcript {
    clock: SharedClock,
    steps: Arc<Mutex<Vec<Step>>>,
}

impl Transcript {
    pub(super) fn new(clock: SharedClock) -> Self {
        Self {
            clock,
            steps: Arc::default(),
        }
    }

    /// The target, with all that is done there written down.
    pub(super) fn of(&self, target: Box<dyn Target>) -> Box<dyn Target> {
        Box::new(Recorded {
            target,
            transcript: self.clone(),
        })
    }

    /// The steps so far; they are not kept here any longer.
    pub(super) fn take(&self) -> Vec<Step> {
        std::mem::take(&mut *self.steps.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn note<T>(
        &self,
        what: String,
        work: impl Future<Output = Result<T, Failure>>,
        said: impl FnOnce(&T) -> String,
    ) -> Result<T, Failure> {
        let (at, began) = (self.clock.now(), Instant::now());
        let done = work.await;
        let said = match &done {
            Ok(done) => said(done),
            Err(failure) => format!("{}: {}", failure.class.as_str(), failure.reason),
        };
        let step = Step {
            at,
            took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            what: kept(&what),
            said: kept(&said),
        };
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        if steps.len() < STEPS_MAX {
            steps.push(step);
        }
        done
    }
}

struct Recorded {
    target: Box<dyn Target>,
    transcript: Transcript,
}

fn done<T>(_: &T) -> String {
    "done".to_owned()
}

/// What a command printed; the target has masked the secrets that it was given.
fn printed(ran: &Ran) -> String {
    let mut said = match ran.status {
        Some(status) => format!("exit status {status}"),
        None => "ended by a signal".to_owned(),
    };
    for text in [&ran.stdout, &ran.stderr] {
        let text = text.trim();
        if !text.is_empty() && write!(said, "\n{text}").is_err() {
            break;
        }
    }
    said
}

#[async_trait]
impl Target for Recorded {
    async fn probe(&self, login: &Login) -> Result<Probed, Failure> {
        let what = format!("sign in as `{}`", login.account);
        let work = self.target.probe(login);
        self.transcript.note(what, work, done).await
    }

    async fn change_password(&self, change: &PasswordChange) -> Result<(), Failure> {
        let by = &change.login.account;
        let what = format!("set the password of `{}` as `{by}`", change.account);
        let work = self.target.change_password(change);
        self.transcript.note(what, work, done).await
    }

    async fn admit(&self, order: &AdmissionOrder) -> Result<(), Failure> {
        let verb = match order.admission {
            Admission::Open => "open",
            Admission::Closed => "close",
        };
        let (account, by) = (&order.account, &order.login.account);
        let what = format!("{verb} the account `{account}` as `{by}`");
        let work = self.target.admit(order);
        self.transcript.note(what, work, done).await
    }

    async fn run(&self, login: &Login, command: &Command) -> Result<Ran, Failure> {
        let words = command.words().iter().map(|word| shell_word(word));
        let words = words.collect::<Vec<_>>().join(" ");
        let words: String = words.chars().take(WORDS_CHARS_MAX).collect();
        let what = format!("run `{words}` as `{}`", login.account);
        let work = self.target.run(login, command);
        self.transcript.note(what, work, printed).await
    }
}
