//! Blocks of ids, so that they are known before the insert.

use diesel::prelude::*;

use super::Conn;
use super::statement::{Bind, Statement, bind};
use crate::store::backend::QueryResult;

struct Reserve;

impl Statement for Reserve {
    type Row = (diesel::sql_types::BigInt,);
    const SQL: &'static str = "
        INSERT INTO id_blocks (name, next) VALUES (?, 1 + ?)
        ON CONFLICT (name) DO UPDATE SET next = id_blocks.next + excluded.next - 1
        RETURNING next";
}

/// Takes the next `count` ids of `name`; answers the first.
pub(in crate::store) fn reserve(conn: &mut Conn, name: &str, count: i64) -> QueryResult<i64> {
    let binds = [Bind::Text(name.to_owned()), Bind::Int(count)];
    let (next,): (i64,) = bind(Reserve, &binds).get_result(conn)?;
    Ok(next - count)
}
