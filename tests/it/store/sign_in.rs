//! Refused sign-ins: counted before they are made, over all attempts of an account.

use std::time::Duration;

use chrono::TimeDelta;
use robotd::domain::id::{OperationId, ProcessId};
use robotd::domain::operation::Allowance;
use robotd::store::Store;
use robotd::store::sign_in::{Attempt, SignIns, Wanted};

use super::make::at;
use crate::support::database::{Database, on_both};

on_both!(
    no_more_are_reserved_than_an_account_allows,
    attempts_beside_each_other_share_what_is_left,
    who_died_has_used_what_was_noted_and_one_more,
);

fn of(operation: i64) -> SignIns {
    SignIns {
        account: "credential:1".to_owned(),
        by: Attempt::Operation {
            id: OperationId(operation),
            number: 1,
        },
    }
}

async fn reserve(store: &Store, operation: i64, tries: u32, seconds: i64) -> Allowance {
    let wanted = Wanted {
        tries,
        until: at(seconds + 50),
        window: Duration::from_secs(100),
    };
    let reserved = store.sign_in_reserve(of(operation), wanted, at(seconds));
    reserved.await.unwrap()
}

async fn no_more_are_reserved_than_an_account_allows(database: &Database) {
    let store = &database.store;
    assert_eq!(reserve(store, 1, 2, 0).await, Allowance::Tries(2));
    // Others ask again soon: those may not have been refused.
    let soon = at(1) + TimeDelta::seconds(15);
    assert_eq!(reserve(store, 2, 2, 1).await, Allowance::Wait(soon));
    store.sign_in_settle(of(1), 1, at(2)).await.unwrap();
    assert_eq!(reserve(store, 2, 2, 3).await, Allowance::Tries(1));
    store.sign_in_settle(of(2), 0, at(4)).await.unwrap();
    assert_eq!(reserve(store, 3, 2, 5).await, Allowance::Tries(1));
    store.sign_in_settle(of(3), 1, at(6)).await.unwrap();
    // The later of the two was refused at 6; both are at the end of their window then.
    assert_eq!(reserve(store, 4, 1, 7).await, Allowance::Wait(at(106)));
    assert_eq!(reserve(store, 4, 2, 103).await, Allowance::Tries(1));
    // It died: what it may have used counts from the end of its time.
    assert_eq!(reserve(store, 5, 2, 107).await, Allowance::Tries(1));
    let far = SignIns {
        account: "credential:2".to_owned(),
        ..of(6)
    };
    let wanted = Wanted {
        tries: 2,
        until: at(200),
        window: Duration::from_secs(100),
    };
    let other = store.sign_in_reserve(far, wanted, at(108)).await.unwrap();
    assert_eq!(other, Allowance::Tries(2), "another account is another one");
    assert!(matches!(
        reserve(store, 7, 1, 200).await,
        Allowance::Wait(_)
    ));
    assert_eq!(reserve(store, 7, 2, 258).await, Allowance::Tries(2));
    a_process_is_no_operation(store).await;
}

/// Of one number, each has a reservation of its own.
async fn a_process_is_no_operation(store: &Store) {
    let of = |operation| SignIns {
        account: "credential:3".to_owned(),
        ..of(operation)
    };
    let operation = of(9);
    let process = SignIns {
        by: Attempt::Process {
            id: ProcessId(9),
            number: 1,
        },
        ..operation.clone()
    };
    let wanted = Wanted {
        tries: 1,
        until: at(300),
        window: Duration::from_secs(100),
    };
    for sign_ins in [&operation, &process] {
        let reserved = store.sign_in_reserve(sign_ins.clone(), wanted, at(260));
        assert_eq!(reserved.await.unwrap(), Allowance::Tries(1));
    }
    store.sign_in_settle(process, 0, at(261)).await.unwrap();
    let left = store.sign_in_reserve(of(10), wanted, at(262));
    assert_eq!(left.await.unwrap(), Allowance::Tries(1));
}

async fn attempts_beside_each_other_share_what_is_left(database: &Database) {
    let store = &database.store;
    let many: Vec<_> = (0..8)
        .map(|operation| {
            let store = store.clone();
            tokio::runtime::Handle::current()
                .spawn(async move { reserve(&store, operation, 1, 0).await })
        })
        .collect();
    let mut given = 0;
    for one in many {
        if let Allowance::Tries(tries) = one.await.unwrap() {
            given += tries;
        }
    }
    assert_eq!(given, 2);
}

async fn who_died_has_used_what_was_noted_and_one_more(database: &Database) {
    let store = &database.store;
    assert_eq!(reserve(store, 1, 2, 0).await, Allowance::Tries(2));
    let gone = |operation| Vec::from([OperationId(operation)]);
    store.sign_in_abandon(gone(1), at(10)).await.unwrap();
    assert_eq!(reserve(store, 2, 2, 11).await, Allowance::Tries(1));
    store.sign_in_settle(of(2), 0, at(12)).await.unwrap();
    // One of two was refused, and noted; the second may have been.
    assert_eq!(reserve(store, 3, 2, 200).await, Allowance::Tries(2));
    store.sign_in_refused(of(3), 1).await.unwrap();
    store.sign_in_abandon(gone(3), at(210)).await.unwrap();
    assert_eq!(reserve(store, 4, 1, 211).await, Allowance::Wait(at(310)));
    // Nobody has found that it died, but its time is over.
    assert_eq!(reserve(store, 5, 2, 400).await, Allowance::Tries(2));
    assert_eq!(reserve(store, 6, 2, 451).await, Allowance::Tries(1));
    store.sign_in_settle(of(6), 0, at(452)).await.unwrap();
    // An older node notes nothing: all that it reserved may have been refused.
    let older = "UPDATE sign_in_tries SET refused = NULL WHERE operation_id = 5";
    database.sql(older).await;
    assert_eq!(reserve(store, 7, 1, 453).await, Allowance::Wait(at(550)));
}
