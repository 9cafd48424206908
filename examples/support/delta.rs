//! `R,C` on the command line to rows and columns.

/// Rows and columns in `text`.
pub(crate) fn delta(text: &str) -> Result<(i32, i32), String> {
    let numbers = text.split_once(',').and_then(|(rows, columns)| {
        Some((rows.trim().parse().ok()?, columns.trim().parse().ok()?))
    });
    numbers.ok_or_else(|| "expected rows and columns, such as 0,-32".to_owned())
}
