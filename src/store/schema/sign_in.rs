//! The table of refused sign-ins; see [`super`].

diesel::table! {
    sign_in_tries (account, operation_id, attempt) {
        account -> Text,
        operation_id -> BigInt,
        attempt -> Integer,
        at -> BigInt,
        count -> Integer,
        settled -> Bool,
        refused -> Nullable<Integer>,
    }
}
