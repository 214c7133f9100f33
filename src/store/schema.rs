//! The tables of the runtime, by hand; `tests/it/store/schema.rs` compares them with both migrated databases.
//!
//! Portable types only: instants are microseconds (`BigInt`), JSON is `Text`.

pub(super) mod certificate;
pub(super) mod change_report;
pub(super) mod execution;
pub(super) mod import;
pub(super) mod inventory;
pub(super) mod list;
pub(super) mod outbox;
pub(super) mod sign_in;

diesel::table! {
    robots (id) {
        id -> BigInt,
        name -> Text,
        overrides -> Text,
        revision -> BigInt,
        anchor_at -> BigInt,
        last_tick_at -> Nullable<BigInt>,
        last_process_id -> Nullable<BigInt>,
        last_process_outcome -> Nullable<SmallInt>,
        last_process_at -> Nullable<BigInt>,
        last_process_error -> Nullable<Text>,
    }
}

diesel::table! {
    nodes (id) {
        id -> BigInt,
        name -> Text,
        version -> Text,
        pid -> Integer,
        started_at -> BigInt,
        heartbeat_at -> BigInt,
        state -> SmallInt,
        draining -> Bool,
        clock_offset -> BigInt,
        node_timeout -> Nullable<BigInt>,
    }
}

diesel::table! {
    leadership (id) {
        id -> SmallInt,
        node_id -> BigInt,
        term -> BigInt,
        since_at -> BigInt,
    }
}

diesel::table! {
    shares (robot_id, node_id) {
        robot_id -> BigInt,
        node_id -> BigInt,
        slots -> BigInt,
    }
}

diesel::table! {
    id_blocks (name) {
        name -> Text,
        next -> BigInt,
    }
}

diesel::table! {
    id_marks (name, first) {
        name -> Text,
        first -> BigInt,
        at -> BigInt,
    }
}

diesel::table! {
    store_facts (name) {
        name -> Text,
        value -> Text,
    }
}

diesel::table! {
    tasks (id) {
        id -> BigInt,
        robot_id -> BigInt,
        trigger_code -> SmallInt,
        status -> SmallInt,
        payload -> Text,
        priority -> SmallInt,
        run_at -> BigInt,
        deadline_at -> Nullable<BigInt>,
        unique_key -> Nullable<Text>,
        attempts -> Integer,
        max_attempts -> Integer,
        deaths -> Integer,
        planned_at -> Nullable<BigInt>,
        event_id -> Nullable<BigInt>,
        requested_by -> Text,
        created_at -> BigInt,
        process_id -> Nullable<BigInt>,
        node_id -> Nullable<BigInt>,
        started_at -> Nullable<BigInt>,
        error -> Nullable<Text>,
        cancel_requested -> Bool,
        progress_percent -> Nullable<SmallInt>,
        progress_message -> Nullable<Text>,
        for_node_id -> Nullable<BigInt>,
    }
}

diesel::table! {
    tasks_done (id) {
        id -> BigInt,
        robot_id -> BigInt,
        trigger_code -> SmallInt,
        status -> SmallInt,
        payload -> Text,
        priority -> SmallInt,
        run_at -> BigInt,
        deadline_at -> Nullable<BigInt>,
        unique_key -> Nullable<Text>,
        attempts -> Integer,
        max_attempts -> Integer,
        deaths -> Integer,
        planned_at -> Nullable<BigInt>,
        event_id -> Nullable<BigInt>,
        requested_by -> Text,
        created_at -> BigInt,
        process_id -> Nullable<BigInt>,
        finished_at -> BigInt,
        error -> Nullable<Text>,
        node_id -> Nullable<BigInt>,
        started_at -> Nullable<BigInt>,
        outcome -> Nullable<SmallInt>,
        error_class -> Nullable<Text>,
        run_error -> Nullable<Text>,
        counters -> Nullable<Text>,
        cancel_requested -> Nullable<Bool>,
    }
}

diesel::table! {
    claims (id) {
        id -> BigInt,
        node_id -> BigInt,
        robot_id -> BigInt,
        started_at -> BigInt,
        tasks -> Text,
        running -> BigInt,
    }
}

diesel::table! {
    task_keys (robot_id, unique_key) {
        robot_id -> BigInt,
        unique_key -> Text,
        task_id -> BigInt,
    }
}

diesel::table! {
    processes (id) {
        id -> BigInt,
        task_id -> BigInt,
        robot_id -> BigInt,
        trigger_code -> SmallInt,
        attempt -> Integer,
        node_id -> BigInt,
        started_at -> BigInt,
        finished_at -> BigInt,
        outcome -> SmallInt,
        planned_at -> Nullable<BigInt>,
        error_class -> Nullable<Text>,
        error -> Nullable<Text>,
        counters -> Text,
        cancel_requested -> Bool,
    }
}

diesel::table! {
    process_logs (process_id, seq) {
        process_id -> BigInt,
        seq -> BigInt,
        at -> BigInt,
        level -> SmallInt,
        text -> Text,
    }
}

diesel::table! {
    ticks (id) {
        id -> BigInt,
        robot_id -> BigInt,
        planned_at -> BigInt,
        through_at -> Nullable<BigInt>,
        count -> BigInt,
        decision -> SmallInt,
        decided_at -> BigInt,
        node_id -> BigInt,
        task_id -> Nullable<BigInt>,
        for_node_id -> BigInt,
    }
}

diesel::table! {
    events (id) {
        id -> BigInt,
        source -> Text,
        event_id -> Text,
        #[sql_name = "type"]
        kind -> Text,
        subject -> Nullable<Text>,
        at -> BigInt,
        body -> Text,
        received_at -> BigInt,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    robots,
    nodes,
    id_blocks,
    store_facts,
    tasks,
    tasks_done,
    task_keys,
    processes,
    process_logs,
    ticks,
    events
);

diesel::table! {
    audit_trail (id) {
        id -> BigInt,
        at -> BigInt,
        actor -> Text,
        action -> Text,
        object -> Text,
        before_json -> Nullable<Text>,
        after_json -> Nullable<Text>,
        prev_hash -> Text,
        hash -> Text,
    }
}

diesel::table! {
    syslog_outbox (id) {
        id -> BigInt,
        at -> BigInt,
        severity -> SmallInt,
        msgid -> Text,
        structured -> Text,
        text -> Text,
    }
}

diesel::table! {
    tokens (id) {
        id -> BigInt,
        name -> Text,
        role -> Text,
        hash -> Binary,
        created_at -> BigInt,
        revoked_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    mail_outbox (id) {
        id -> BigInt,
        message_id -> Text,
        recipient -> Text,
        subject -> Text,
        text -> Text,
        priority -> SmallInt,
        state -> SmallInt,
        attempts -> Integer,
        next_attempt_at -> BigInt,
        process -> Nullable<BigInt>,
        claimed_at -> Nullable<BigInt>,
        created_at -> BigInt,
        expires_at -> BigInt,
        finished_at -> Nullable<BigInt>,
        html -> Nullable<Text>,
        file_id -> Nullable<BigInt>,
    }
}

diesel::table! {
    mail_attempts (id) {
        id -> BigInt,
        mail -> BigInt,
        at -> BigInt,
        process -> BigInt,
        state -> SmallInt,
        code -> Nullable<SmallInt>,
        text -> Text,
    }
}

diesel::table! {
    alert_states (key) {
        key -> Text,
        level -> SmallInt,
        since -> BigInt,
        last_sent_at -> Nullable<BigInt>,
        title -> Text,
    }
}

diesel::table! {
    expiration_notices (kind, object, level, recipient) {
        kind -> SmallInt,
        object -> BigInt,
        level -> BigInt,
        recipient -> Text,
        ends_at -> BigInt,
        told_at -> BigInt,
    }
}

diesel::table! {
    samples (resolution, series, node_name, at) {
        resolution -> SmallInt,
        series -> Text,
        node_name -> Text,
        at -> BigInt,
        node -> BigInt,
        value -> Double,
        weight -> BigInt,
    }
}

diesel::table! {
    daily_facts (day, metric, dimension, detail) {
        day -> Text,
        metric -> Text,
        dimension -> Text,
        detail -> Text,
        value -> BigInt,
    }
}

diesel::table! {
    watermarks (robot, key) {
        robot -> BigInt,
        key -> Text,
        value -> Text,
    }
}

diesel::table! {
    operations (id) {
        id -> BigInt,
        kind -> SmallInt,
        credential_id -> BigInt,
        state -> SmallInt,
        error_class -> Nullable<Text>,
        attempts -> Integer,
        run_at -> BigInt,
        expires_at -> Nullable<BigInt>,
        candidate -> Nullable<BigInt>,
        requested_by -> Text,
        process_id -> Nullable<BigInt>,
        lease_until -> Nullable<BigInt>,
        created_at -> BigInt,
        updated_at -> BigInt,
        finished_at -> Nullable<BigInt>,
        cause -> SmallInt,
        report_id -> Nullable<BigInt>,
        template_id -> Nullable<BigInt>,
        priority -> SmallInt,
        wait_reason -> Nullable<SmallInt>,
        wait_credential -> Nullable<BigInt>,
    }
}

diesel::table! {
    operation_attempts (operation_id, number) {
        operation_id -> BigInt,
        number -> Integer,
        credential_id -> BigInt,
        process_id -> BigInt,
        started_at -> BigInt,
        ended_at -> BigInt,
        state -> SmallInt,
        error_class -> Nullable<Text>,
        detail -> Nullable<Text>,
        refused -> Integer,
        steps -> Nullable<Text>,
    }
}
