//! Tables for people.

use comfy_table::{ContentArrangement, Table, presets};

use super::print::plain;

/// Rows under a heading; cells are freed of control characters.
#[must_use]
pub(crate) fn table<const N: usize>(heading: [&str; N], rows: Vec<[String; N]>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(heading);
    for row in rows {
        table.add_row(row.map(|cell| plain(&cell)));
    }
    table
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}
