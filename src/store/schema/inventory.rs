//! The tables of the inventory and the vault; see [`super`].

diesel::table! {
    sites (id) {
        id -> BigInt,
        identity -> Text,
        revision -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
        name -> Text,
        description -> Nullable<Text>,
    }
}

diesel::table! {
    credential_policies (id) {
        id -> BigInt,
        identity -> Text,
        revision -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
        name -> Text,
        priority -> BigInt,
        max_age -> Nullable<BigInt>,
        expires_after_view -> Nullable<BigInt>,
        expires_after_use -> Nullable<BigInt>,
        password -> Text,
        description -> Nullable<Text>,
        enabled -> Bool,
        change_template_id -> Nullable<BigInt>,
        reconcile_template_id -> Nullable<BigInt>,
        verify_template_id -> Nullable<BigInt>,
        privileged_credential_id -> Nullable<BigInt>,
        wait_after_view -> Nullable<BigInt>,
    }
}

diesel::table! {
    devices (id) {
        id -> BigInt,
        identity -> Text,
        revision -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
        hostname -> Text,
        address -> Text,
        site_id -> Nullable<BigInt>,
        kind -> Nullable<Text>,
        description -> Nullable<Text>,
        tags -> Text,
        enabled -> Bool,
    }
}

diesel::table! {
    device_connectivities (id) {
        id -> BigInt,
        device_id -> BigInt,
        protocol -> Text,
        port -> BigInt,
        host_key -> Nullable<Text>,
        pinned_host_key -> Nullable<Text>,
        ca -> Nullable<Text>,
        status -> Nullable<Text>,
        tested_at -> Nullable<BigInt>,
        latency_us -> Nullable<BigInt>,
        failures -> Nullable<BigInt>,
        error_class -> Nullable<Text>,
        seen_key -> Nullable<Text>,
        recent -> Nullable<Text>,
    }
}

diesel::table! {
    connectivity_tests (id) {
        id -> BigInt,
        at -> BigInt,
        device_id -> BigInt,
        protocol -> Text,
        port -> BigInt,
        error_class -> Nullable<Text>,
        latency_us -> Nullable<BigInt>,
    }
}

diesel::table! {
    credentials (id) {
        id -> BigInt,
        identity -> Text,
        revision -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
        device_id -> BigInt,
        username -> Text,
        domain -> Nullable<Text>,
        kind -> Text,
        automatic_change -> Bool,
        expires_at -> Nullable<BigInt>,
        policy_id -> Nullable<BigInt>,
        description -> Nullable<Text>,
        tags -> Text,
        enabled -> Bool,
        secret_version -> Nullable<BigInt>,
        secret_latest -> BigInt,
        secret_changed_at -> Nullable<BigInt>,
        last_viewed_at -> Nullable<BigInt>,
        privileged -> Bool,
        secret_state -> Nullable<Text>,
        secret_tested_at -> Nullable<BigInt>,
        last_used_at -> Nullable<BigInt>,
        expiry_told -> Nullable<BigInt>,
        change_stopped_at -> Nullable<BigInt>,
        parent_id -> Nullable<BigInt>,
        deactivated_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    credential_links (credential_id) {
        credential_id -> BigInt,
        parent_id -> BigInt,
        due_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    secret_versions (credential_id, version) {
        credential_id -> BigInt,
        version -> BigInt,
        state -> SmallInt,
        key_id -> BigInt,
        sealed -> Binary,
        created_at -> BigInt,
    }
}

diesel::table! {
    credential_views (id) {
        id -> BigInt,
        at -> BigInt,
        credential_id -> BigInt,
        version -> BigInt,
        actor -> Text,
        reason -> Nullable<Text>,
    }
}

diesel::table! {
    vault_keys (id) {
        id -> BigInt,
        wrapped -> Binary,
        created_at -> BigInt,
        finished_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    users (id) {
        id -> BigInt,
        identity -> Text,
        revision -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
        login -> Text,
        name -> Nullable<Text>,
        email -> Nullable<Text>,
        locale -> Nullable<Text>,
        timezone -> Nullable<Text>,
        enabled -> Bool,
    }
}

diesel::table! {
    user_groups (id) {
        id -> BigInt,
        identity -> Text,
        revision -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
        name -> Text,
        description -> Nullable<Text>,
    }
}

diesel::table! {
    user_group_members (id) {
        id -> BigInt,
        group_id -> BigInt,
        user_id -> BigInt,
    }
}

diesel::table! {
    certificates (id) {
        id -> BigInt,
        identity -> Text,
        revision -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
        certificate -> Text,
        description -> Nullable<Text>,
        fingerprint -> Text,
        serial -> Text,
        subject -> Text,
        issuer -> Text,
        names -> Text,
        not_before -> BigInt,
        not_after -> BigInt,
        replaced_by -> Nullable<BigInt>,
        revocation_reason -> Nullable<Text>,
        revocation_asked_at -> Nullable<BigInt>,
        revoked_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    operation_templates (id) {
        id -> BigInt,
        identity -> Text,
        revision -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
        name -> Text,
        kind -> Text,
        protocol -> Text,
        steps -> Text,
        description -> Nullable<Text>,
        enabled -> Bool,
    }
}
