//! The table of executions.

diesel::table! {
    task_executions (task_id) {
        task_id -> BigInt,
        first_operation -> BigInt,
        wanted -> Integer,
        started_at -> BigInt,
    }
}
