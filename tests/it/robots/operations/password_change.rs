//! The change of a password, cut off at each of its steps: a recorded secret always opens the account.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use robotd::connect::ssh::{HostKeyPolicy, SshTarget};
use robotd::connect::target::{
    AdmissionOrder, Command, Failure, Limits, Login, PasswordChange, Probed, Ran, Target,
};
use robotd::domain::failure::{Effect, FailureClass};
use robotd::domain::id::InventoryId;
use robotd::domain::inventory::CredentialKind;
use robotd::domain::operation::AttemptEnd;
use robotd::domain::password::PasswordPolicy;
use robotd::robots::password_change::{Ended, Place, Tries};
use tokio::sync::Notify;

use super::{OLD, credential, inventory, kept, machine, opens};
use crate::robots::rig::Rig;
use crate::support::database::{Database, on_both};
use crate::support::sshd::Sshd;

on_both!(
    a_change_that_dies_leaves_a_recorded_secret_that_opens,
    a_step_that_fails_leaves_a_recorded_secret_that_opens,
);

/// Where a change dies, or what becomes of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The robot dies when the candidate is kept and the target not yet told.
    DiesBeforeChange,
    /// The robot dies when the target has changed and its answer is not yet read.
    DiesAfterChange,
    /// The robot dies before the candidate is tried.
    DiesBeforeProbe,
    /// The robot dies when the candidate was proven and is not yet in force.
    DiesAfterProbe,
    /// The order does not reach the target, and that is certain.
    NotSent,
    /// The order does not reach the target, and nobody knows.
    LostOnTheWay,
    /// The target obeys, and its answer is lost.
    AnswerLost,
    /// The target obeys, and cannot be reached to prove it.
    ProbeLost,
}

/// A real machine with a fault between it and the robot.
struct Faulty {
    real: SshTarget,
    fault: Option<Fault>,
    changed: AtomicBool,
    reached: Notify,
}

impl Faulty {
    fn new(sshd: &Sshd, fault: Option<Fault>) -> Self {
        let limits = Limits {
            connect: Duration::from_secs(20),
            whole: Duration::from_secs(60),
        };
        let pinned = HostKeyPolicy::Pinned(vec![sshd.host_key("ed25519")]);
        Self {
            real: SshTarget::new("127.0.0.1", sshd.port, pinned, limits),
            fault,
            changed: AtomicBool::new(false),
            reached: Notify::new(),
        }
    }

    /// Nothing follows this in the robot's life.
    async fn dies_if(&self, fault: Fault) {
        if self.fault == Some(fault) {
            self.reached.notify_one();
            std::future::pending::<()>().await;
        }
    }

    fn fails_if(&self, fault: Fault, effect: Effect) -> Result<(), Failure> {
        if self.fault == Some(fault) {
            return Err(Failure {
                class: FailureClass::Timeout,
                effect,
                target: "127.0.0.1".to_owned(),
                step: "reach",
                reason: "no answer".to_owned(),
            });
        }
        Ok(())
    }
}

#[async_trait]
impl Target for Faulty {
    async fn probe(&self, login: &Login) -> Result<Probed, Failure> {
        let proof = self.changed.load(Ordering::SeqCst);
        if proof {
            self.dies_if(Fault::DiesBeforeProbe).await;
            self.fails_if(Fault::ProbeLost, Effect::None)?;
        }
        let probed = self.real.probe(login).await;
        if proof {
            self.dies_if(Fault::DiesAfterProbe).await;
        }
        probed
    }

    async fn change_password(&self, change: &PasswordChange) -> Result<(), Failure> {
        self.dies_if(Fault::DiesBeforeChange).await;
        self.fails_if(Fault::NotSent, Effect::None)?;
        self.fails_if(Fault::LostOnTheWay, Effect::Possible)?;
        self.real.change_password(change).await?;
        self.changed.store(true, Ordering::SeqCst);
        self.dies_if(Fault::DiesAfterChange).await;
        self.fails_if(Fault::AnswerLost, Effect::Possible)
    }

    async fn admit(&self, order: &AdmissionOrder) -> Result<(), Failure> {
        self.real.admit(order).await
    }

    async fn run(&self, login: &Login, command: &Command) -> Result<Ran, Failure> {
        self.real.run(login, command).await
    }
}

/// One attempt; none where the robot died in it.
async fn attempt(
    rig: &Rig<'_>,
    target: &Faulty,
    (id, account): (InventoryId, &str),
    tries: &mut Tries,
) -> Option<Ended> {
    let inventory = inventory(rig);
    let place = Place {
        inventory: &inventory,
        clock: rig.clock.as_ref(),
        target,
        credential: id,
        account,
        kind: CredentialKind::Password,
        actor: "robot",
    };
    let policy = PasswordPolicy::default();
    tokio::select! {
        ended = place.change(&policy, tries) => Some(ended.unwrap()),
        () = target.reached.notified() => None,
    }
}

/// Which of the recorded secrets opens the account: exactly one must.
async fn the_one_that_opens(rig: &Rig<'_>, sshd: &Sshd, id: InventoryId, name: &str) -> String {
    let secrets = kept(rig, id).await.into_iter().flatten();
    let opening: Vec<String> = secrets
        .map(|(_, secret)| secret)
        .filter(|secret| opens(sshd, name, secret))
        .collect();
    assert_eq!(opening.len(), 1, "one recorded secret opens the account");
    opening.into_iter().next().unwrap()
}

async fn recovers(rig: &Rig<'_>, sshd: &Sshd, (id, name): (InventoryId, &str), fault: Fault) {
    let [_, candidate] = kept(rig, id).await;
    let sound = Faulty::new(sshd, None);
    let mut tries = Tries::new(2);
    let ended = attempt(rig, &sound, (id, name), &mut tries).await.unwrap();
    assert_eq!(ended.end, AttemptEnd::Done, "{fault:?}: {:?}", ended.detail);
    let [current, none] = kept(rig, id).await;
    let current = current.unwrap();
    assert_eq!(
        (none, Some(current.0)),
        (None, ended.candidate),
        "{fault:?}"
    );
    if let Some(candidate) = candidate {
        assert_eq!(current, candidate, "{fault:?}: the same candidate");
    }
    assert!(opens(sshd, name, &current.1), "{fault:?}");
    assert!(!opens(sshd, name, OLD), "{fault:?}");
}

async fn a_change_that_dies_leaves_a_recorded_secret_that_opens(database: &Database) {
    let Some(sshd) = Sshd::start() else { return };
    let rig = Rig::new(database, None).await;
    let device = machine(&rig, &sshd).await;
    for (name, fault, changed) in [
        ("ana", Fault::DiesBeforeChange, false),
        ("bob", Fault::DiesAfterChange, true),
        ("eve", Fault::DiesBeforeProbe, true),
        ("kim", Fault::DiesAfterProbe, true),
    ] {
        sshd.add_account(name, OLD);
        let id = credential(&rig, device, name, OLD).await;
        let faulty = Faulty::new(&sshd, Some(fault));
        let died = attempt(&rig, &faulty, (id, name), &mut Tries::new(2)).await;
        assert_eq!(died, None, "{fault:?}");
        let opening = the_one_that_opens(&rig, &sshd, id, name).await;
        assert_eq!(opening != OLD, changed, "{fault:?}");
        recovers(&rig, &sshd, (id, name), fault).await;
    }
}

async fn a_step_that_fails_leaves_a_recorded_secret_that_opens(database: &Database) {
    let Some(sshd) = Sshd::start() else { return };
    let rig = Rig::new(database, None).await;
    let device = machine(&rig, &sshd).await;
    let (failed, unverified) = (AttemptEnd::Failed, AttemptEnd::Unverified);
    for (name, fault, end, changed) in [
        ("ana", Fault::NotSent, failed(FailureClass::Timeout), false),
        (
            "bob",
            Fault::LostOnTheWay,
            unverified(FailureClass::Timeout),
            false,
        ),
        (
            "eve",
            Fault::AnswerLost,
            unverified(FailureClass::Timeout),
            true,
        ),
        (
            "kim",
            Fault::ProbeLost,
            unverified(FailureClass::Timeout),
            true,
        ),
    ] {
        sshd.add_account(name, OLD);
        let id = credential(&rig, device, name, OLD).await;
        let faulty = Faulty::new(&sshd, Some(fault));
        let ended = attempt(&rig, &faulty, (id, name), &mut Tries::new(2)).await;
        let ended = ended.unwrap();
        assert_eq!(ended.end, end, "{fault:?}");
        let [_, candidate] = kept(&rig, id).await;
        let certain = fault == Fault::NotSent;
        assert_eq!(
            candidate.is_none(),
            certain,
            "{fault:?}: dropped only where it is certain"
        );
        assert_eq!(candidate.map(|one| one.0), ended.candidate, "{fault:?}");
        let opening = the_one_that_opens(&rig, &sshd, id, name).await;
        assert_eq!(opening != OLD, changed, "{fault:?}");
        recovers(&rig, &sshd, (id, name), fault).await;
    }
}

/// With the candidate in force already, nothing is changed any more: the machine is asked once.
#[tokio::test]
async fn a_candidate_is_settled_before_anything_is_changed() {
    let Some(sshd) = Sshd::start() else { return };
    let database = Database::sqlite().await;
    let rig = Rig::new(&database, None).await;
    let device = machine(&rig, &sshd).await;
    sshd.add_account("ana", OLD);
    let id = credential(&rig, device, "ana", OLD).await;
    let faulty = Faulty::new(&sshd, Some(Fault::AnswerLost));
    attempt(&rig, &faulty, (id, "ana"), &mut Tries::new(2))
        .await
        .unwrap();
    let before = sshd.shadow("ana");
    // Nobody can be reached: what is open stays open.
    let away = Faulty {
        changed: AtomicBool::new(true),
        ..Faulty::new(&sshd, Some(Fault::ProbeLost))
    };
    let mut tries = Tries::new(2);
    let ended = attempt(&rig, &away, (id, "ana"), &mut tries).await.unwrap();
    assert_eq!(ended.end, AttemptEnd::Unverified(FailureClass::Timeout));
    assert_eq!(tries.refused(), 0);
    let sound = Faulty::new(&sshd, None);
    let ended = attempt(&rig, &sound, (id, "ana"), &mut tries)
        .await
        .unwrap();
    assert_eq!((ended.end, tries.refused()), (AttemptEnd::Done, 0));
    assert_eq!(
        sshd.shadow("ana"),
        before,
        "changed once, by the first attempt"
    );
    let [current, _] = kept(&rig, id).await;
    assert!(opens(&sshd, "ana", &current.unwrap().1));
}

/// Neither secret opens: two refused sign-ins, one where only one is allowed, and all that is recorded stays.
#[tokio::test]
async fn a_secret_that_somebody_changed_is_found_out_with_two_tries() {
    let Some(sshd) = Sshd::start() else { return };
    let database = Database::sqlite().await;
    let rig = Rig::new(&database, None).await;
    let device = machine(&rig, &sshd).await;
    sshd.add_account("ana", OLD);
    let id = credential(&rig, device, "ana", OLD).await;
    let faulty = Faulty::new(&sshd, Some(Fault::LostOnTheWay));
    attempt(&rig, &faulty, (id, "ana"), &mut Tries::new(2))
        .await
        .unwrap();
    sshd.set_password("ana", "Somebody-else-5");
    let recorded = kept(&rig, id).await;
    let sound = Faulty::new(&sshd, None);
    for (allowed, end) in [
        (1, AttemptEnd::Unverified(FailureClass::AuthFailed)),
        (2, AttemptEnd::Failed(FailureClass::AuthFailed)),
    ] {
        let mut tries = Tries::new(allowed);
        let ended = attempt(&rig, &sound, (id, "ana"), &mut tries)
            .await
            .unwrap();
        assert_eq!((ended.end, tries.refused()), (end, allowed));
        assert_eq!(kept(&rig, id).await, recorded);
        sshd.must(&["faillock", "--user", "ana", "--reset"], "");
    }
}
