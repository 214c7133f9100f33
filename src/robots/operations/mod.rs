//! Robots that work on devices and the accounts of credentials, and that take them in from spreadsheets.
//!
//! What is to be done to an account stands in `operations`: people, other programs and robots order it there, and only the
//! executor signs in to a target. The connectivity test only greets; an import changes the inventory alone.

mod batch_import_processing;
mod connectivity_test;
mod expired_operation_cancellation;
mod expired_password;
mod operation_executor;
mod operation_executor_retry;
mod password_reconciliation;

use crate::robot::Robot;

pub(super) const ROBOTS: &[&'static dyn Robot] = &[
    &batch_import_processing::ProcessImports,
    &connectivity_test::TestConnectivity,
    &password_reconciliation::ReconcilePasswords,
    &operation_executor::ExecuteOperations,
    &operation_executor_retry::RetryOperations,
    &expired_operation_cancellation::CancelExpiredOperations,
    &expired_password::ChangeExpiredPasswords,
];
