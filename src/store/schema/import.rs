//! The tables of imports; see [`super`].

diesel::table! {
    batch_imports (id) {
        id -> BigInt,
        name -> Text,
        bytes -> BigInt,
        fingerprint -> Text,
        same_as -> Nullable<BigInt>,
        mode -> SmallInt,
        state -> SmallInt,
        failure -> Nullable<Text>,
        requested_by -> Text,
        headings -> Nullable<Text>,
        rows_total -> Nullable<Integer>,
        rows_done -> Integer,
        created -> Integer,
        updated -> Integer,
        unchanged -> Integer,
        refused -> Integer,
        skipped -> Integer,
        attempts -> Integer,
        cancel_requested -> Bool,
        task_id -> Nullable<BigInt>,
        process_id -> Nullable<BigInt>,
        lease_until -> Nullable<BigInt>,
        created_at -> BigInt,
        started_at -> Nullable<BigInt>,
        finished_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    batch_import_files (import_id) {
        import_id -> BigInt,
        key_id -> BigInt,
        sealed -> Binary,
    }
}

diesel::table! {
    batch_import_rows (import_id, line) {
        import_id -> BigInt,
        line -> BigInt,
        answer -> SmallInt,
        done -> Bool,
        cells -> Text,
        errors -> Text,
        device_id -> Nullable<BigInt>,
        credential_id -> Nullable<BigInt>,
    }
}
