//! [`Results`](super::experiment::Results) to tables, plots, contact sheets and pages.

mod grid;
mod paper;
mod rows;
mod table;

pub use paper::{Comparison, ComparisonRow, PaperNames, PaperNumber, PaperTable};
pub use rows::to_jsonl;
pub use table::{Cell, Column, Difference, Row, Table, TableOptions};
