//! A table to CSV: one row a system.

use super::Table;
use super::markdown::is_turning;

/// The numbers of a cell, by the ends of their columns' names.
const NUMBERS: [&str; 8] = [
    "mean",
    "standard error",
    "classes",
    "pictures",
    "missing",
    "refused",
    "failed",
    "not applicable",
];
/// Those of a difference.
const DIFFERENCE: [&str; 3] = ["difference", "difference standard error", "difference p"];

impl Table {
    /// The table as CSV with a row of names: one row a system, and for each metric on each data set its
    /// mean and standard error over classes, how many classes and pictures they are made of, and how
    /// many pictures are missing, were refused, failed, or the metric does not apply to. Where systems
    /// are compared, also the paired difference to the base system, with its standard error and p-value
    /// (Holm). Numbers are not rounded; what is not known is empty. A name that a spreadsheet would take
    /// for a formula has `'` before it.
    pub fn to_csv(&self) -> String {
        let compared = self.rows.iter().any(|row| row.base.is_some());
        let mut writer = csv::Writer::from_writer(Vec::new());
        let mut head = vec!["system".to_owned()];
        head.extend(compared.then(|| "base".to_owned()));
        for column in &self.columns {
            let names = NUMBERS.iter().chain(DIFFERENCE.iter().filter(|_| compared));
            let (set, metric) = (&column.dataset, &column.metric);
            head.extend(names.map(|name| inert(&format!("{set} {metric} {name}"))));
        }
        let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
        let rows = self.rows.iter().map(|row| {
            let mut fields = vec![inert(&row.system)];
            fields.extend(compared.then(|| row.base.as_deref().map_or_else(String::new, inert)));
            for cell in &row.cells {
                let summary = &cell.summary;
                fields.extend([number(summary.mean), number(summary.standard_error)]);
                let counts = [
                    summary.n,
                    summary.values,
                    summary.missing,
                    summary.refused,
                    summary.failed,
                    summary.not_applicable,
                ];
                fields.extend(counts.map(|count| count.to_string()));
                if compared {
                    let paired = cell.difference.map(|difference| difference.paired);
                    fields.push(number(paired.and_then(|paired| paired.mean)));
                    fields.push(number(paired.and_then(|paired| paired.standard_error)));
                    fields.push(number(cell.difference.and_then(|difference| difference.p_value)));
                }
            }
            fields
        });
        for record in [head].into_iter().chain(rows) {
            // Nothing fails: it goes to memory, and all records are equally long.
            let _ = writer.write_record(&record);
        }
        String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
    }
}

/// A name that no spreadsheet runs as a formula (OWASP, "CSV Injection"), in one line and direction.
fn inert(name: &str) -> String {
    let text: String =
        name.chars().map(|c| if c.is_control() || is_turning(c) { ' ' } else { c }).collect();
    let is_formula = text.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']);
    if is_formula { format!("'{text}") } else { text }
}
