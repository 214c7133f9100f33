//! The tables of executions, and of what is executed.

diesel::table! {
    task_executions (task_id) {
        task_id -> BigInt,
        first_operation -> BigInt,
        wanted -> Integer,
        started_at -> BigInt,
        plan -> Nullable<Text>,
        ordered -> Nullable<Integer>,
    }
}

diesel::table! {
    task_definitions (id) {
        id -> BigInt,
        identity -> Text,
        revision -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
        name -> Text,
        kind -> Text,
        template_id -> Nullable<BigInt>,
        site_id -> Nullable<BigInt>,
        tag -> Nullable<Text>,
        username -> Nullable<Text>,
        stop_after -> Nullable<BigInt>,
        schedule -> Nullable<Text>,
        task_window -> Nullable<Text>,
        overlap -> Text,
        catch_up -> Text,
        expires_after -> Nullable<BigInt>,
        description -> Nullable<Text>,
        enabled -> Bool,
        planned_at -> Nullable<BigInt>,
        decision -> Nullable<Text>,
        task -> Nullable<Text>,
        batch_size -> Nullable<BigInt>,
        run_role -> Text,
        approval_role -> Nullable<Text>,
        approval_within -> Nullable<BigInt>,
    }
}

diesel::table! {
    task_definition_devices (id) {
        id -> BigInt,
        definition_id -> BigInt,
        device_id -> BigInt,
    }
}

diesel::table! {
    task_approvals (task_id) {
        task_id -> BigInt,
        definition_id -> BigInt,
        definition_revision -> BigInt,
        definition_name -> Text,
        meaning -> Text,
        role -> Text,
        requested_by -> Text,
        requested_at -> BigInt,
        expires_at -> BigInt,
        state -> SmallInt,
        decided_by -> Nullable<Text>,
        decided_at -> Nullable<BigInt>,
        reason -> Nullable<Text>,
    }
}
