//! The list of all tables, for what is done to each of them alike. What it says of their columns comes from their
//! declarations; a test compares it with what both databases have.

use diesel::sql_types::{
    BigInt, Binary, Bool, Double, Integer, Nullable, SmallInt, SqlType, Text, is_nullable,
};
use diesel::{Column, Expression, Table};

use crate::store::datum::Kind;
use crate::store::schema::{
    self, certificate, change_report, execution, import, inventory, outbox, sign_in,
};

/// A table as its rows are read and written, whatever they mean.
#[derive(Debug)]
pub(in crate::store) struct TableShape {
    /// Its name.
    pub(in crate::store) name: &'static str,
    /// Its columns in their order, those of the primary key first.
    pub(in crate::store) columns: Vec<ColumnShape>,
    /// How many columns the primary key has.
    pub(in crate::store) key_columns: usize,
}

/// A column of a [`TableShape`].
#[derive(Debug)]
pub(in crate::store) struct ColumnShape {
    /// Its name.
    pub(in crate::store) name: &'static str,
    /// What is in it.
    pub(in crate::store) kind: Kind,
}

macro_rules! tables {
    ($($module:ident: $($table:ident)*;)*) => {
        /// Every table; one that refers to another stands after it.
        pub(in crate::store) fn tables() -> Vec<TableShape> {
            Vec::from([$($(shape::<$module::$table::table>(stringify!($table))),*),*])
        }
    };
}

tables! {
    schema: store_facts tokens robots nodes id_blocks id_marks events tasks tasks_done task_keys claims processes
        process_logs ticks audit_trail syslog_outbox mail_outbox mail_attempts alert_states expiration_notices
        samples daily_facts watermarks operations operation_attempts leadership shares;
    sign_in: sign_in_tries;
    inventory: vault_keys sites credential_policies devices device_connectivities credentials secret_versions
        credential_links connectivity_tests credential_views users user_groups user_group_members certificates operation_templates;
    certificate: certificate_issuers certificate_automations certificate_bindings private_keys certificate_issues
        certificate_publications;
    change_report: password_change_reports mail_files;
    execution: task_executions task_definitions task_definition_devices task_approvals;
    import: batch_imports batch_import_files batch_import_rows;
    outbox: change_outbox change_outbox_lease;
}

fn shape<T>(name: &'static str) -> TableShape
where
    T: Table,
    T::AllColumns: Columns,
    T::PrimaryKey: Expression<SqlType: Width>,
{
    TableShape {
        name,
        columns: T::AllColumns::shapes(),
        key_columns: <T::PrimaryKey as Expression>::SqlType::COLUMNS,
    }
}

/// What a type of the schema is.
trait Holds {
    const KIND: Kind;
}

/// How many columns a key of this type has.
trait Width {
    const COLUMNS: usize;
}

macro_rules! holds {
    ($($sql_type:ty => $kind:ident),*) => {
        $(impl Holds for $sql_type {
            const KIND: Kind = Kind::$kind;
        }
        impl Width for $sql_type {
            const COLUMNS: usize = 1;
        })*
    };
}

holds! {
    SmallInt => SmallInt, Integer => Integer, BigInt => BigInt, Text => Text, Bool => Bool, Double => Double,
    Binary => Binary
}

impl<T: Holds + SqlType<IsNull = is_nullable::NotNull>> Holds for Nullable<T> {
    const KIND: Kind = T::KIND;
}

/// A tuple of columns.
trait Columns {
    fn shapes() -> Vec<ColumnShape>;
}

fn column<C: Column<SqlType: Holds>>() -> ColumnShape {
    ColumnShape {
        name: C::NAME,
        kind: C::SqlType::KIND,
    }
}

/// For tuples of so many, and of every number below it.
macro_rules! tuples {
    () => {};
    ($first:ident $($rest:ident)*) => {
        impl<$first: Column<SqlType: Holds> $(, $rest: Column<SqlType: Holds>)*> Columns for ($first, $($rest,)*) {
            fn shapes() -> Vec<ColumnShape> {
                Vec::from([column::<$first>() $(, column::<$rest>())*])
            }
        }

        impl<$first: Holds $(, $rest: Holds)*> Width for ($first, $($rest,)*) {
            const COLUMNS: usize = [$first::KIND $(, $rest::KIND)*].len();
        }

        tuples!($($rest)*);
    };
}

tuples!(A B C D E F G H I J K L M N O P Q R S T U V W X Y Z Aa Ab Ac Ad Ae Af);
