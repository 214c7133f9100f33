//! The tables of reports of changed passwords.

diesel::table! {
    password_change_reports (id) {
        id -> BigInt,
        since_at -> BigInt,
        from_at -> BigInt,
        until_at -> BigInt,
        audit_from -> BigInt,
        audit_until -> BigInt,
        finished_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    mail_files (id) {
        id -> BigInt,
        name -> Text,
        media_type -> Text,
        content -> Binary,
    }
}
