//! The tables of changes on their way to the broker; see [`super`].

diesel::table! {
    change_outbox (id) {
        id -> BigInt,
        kind -> SmallInt,
        entity_id -> BigInt,
        robot_id -> Nullable<BigInt>,
        code -> SmallInt,
        at -> BigInt,
    }
}

diesel::table! {
    change_outbox_lease (id) {
        id -> SmallInt,
        epoch -> BigInt,
        node_id -> BigInt,
        until -> BigInt,
    }
}
