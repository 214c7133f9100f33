//! The tables of certificates that are issued and published; see [`super`].

diesel::table! {
    certificate_issuers (id) {
        id -> BigInt,
        identity -> Text,
        revision -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
        name -> Text,
        kind -> Text,
        lifetime -> BigInt,
        acme -> Nullable<Text>,
        orders_max -> BigInt,
        orders_window -> BigInt,
        description -> Nullable<Text>,
        enabled -> Bool,
        certificate -> Nullable<Text>,
        not_after -> Nullable<BigInt>,
    }
}

diesel::table! {
    certificate_automations (id) {
        id -> BigInt,
        identity -> Text,
        revision -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
        name -> Text,
        issuer_id -> BigInt,
        certificate_id -> Nullable<BigInt>,
        names -> Text,
        renew_before -> BigInt,
        key_algorithm -> Text,
        reuse_key -> Bool,
        renewal_window -> Nullable<Text>,
        description -> Nullable<Text>,
        enabled -> Bool,
        current_id -> Nullable<BigInt>,
        issue -> Nullable<BigInt>,
        serial -> Nullable<Text>,
        not_before -> Nullable<BigInt>,
        not_after -> Nullable<BigInt>,
        renewal_asked_at -> Nullable<BigInt>,
        failures -> BigInt,
        next_attempt_at -> Nullable<BigInt>,
        error -> Nullable<Text>,
        approval_role -> Nullable<Text>,
        renewal_requested_at -> Nullable<BigInt>,
        renewal_requested_by -> Nullable<Text>,
        renewal_approved_at -> Nullable<BigInt>,
        renewal_approved_by -> Nullable<Text>,
        renewal_suggested_at -> Nullable<BigInt>,
        suggestion_next_at -> Nullable<BigInt>,
        revoked_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    certificate_bindings (id) {
        id -> BigInt,
        identity -> Text,
        revision -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
        name -> Text,
        automation_id -> BigInt,
        credential_id -> BigInt,
        directory -> Text,
        owner -> Nullable<Text>,
        key_mode -> Text,
        test -> Text,
        reload -> Text,
        host -> Nullable<Text>,
        port -> BigInt,
        server_name -> Nullable<Text>,
        description -> Nullable<Text>,
        enabled -> Bool,
        state -> Nullable<Text>,
        published_issue -> Nullable<BigInt>,
        published_at -> Nullable<BigInt>,
        served -> Nullable<Text>,
        failures -> BigInt,
        next_attempt_at -> Nullable<BigInt>,
        error -> Nullable<Text>,
    }
}

diesel::table! {
    private_keys (id) {
        id -> BigInt,
        issuer_id -> Nullable<BigInt>,
        automation_id -> Nullable<BigInt>,
        key_id -> BigInt,
        sealed -> Binary,
        created_at -> BigInt,
    }
}

diesel::table! {
    certificate_issues (id) {
        id -> BigInt,
        automation_id -> BigInt,
        issuer_id -> BigInt,
        private_key -> BigInt,
        names -> Text,
        order_url -> Nullable<Text>,
        certificate -> Nullable<Text>,
        certificate_id -> Nullable<BigInt>,
        created_at -> BigInt,
        finished_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    certificate_publications (id) {
        id -> BigInt,
        binding_id -> BigInt,
        automation_id -> BigInt,
        issue_id -> BigInt,
        state -> SmallInt,
        place -> Text,
        fingerprint -> Text,
        previous -> Nullable<Text>,
        served_before -> Nullable<Text>,
        detail -> Nullable<Text>,
        created_at -> BigInt,
        finished_at -> Nullable<BigInt>,
    }
}
