//! [`Results`](super::experiment::Results) to tables, plots, contact sheets and pages.
//!
//! | what | how |
//! |---|---|
//! | everything, in one folder | [`Report::write`] |
//! | means with standard errors, paired differences; Markdown, LaTeX, CSV | [`Table`] |
//! | our numbers beside the paper's | [`Comparison`], of [`PaperTable`]s |
//! | one line a picture | [`to_jsonl`] |
//! | plots as SVG | [`BarChart`], [`LineChart`], [`bar_charts`], [`by_retrieval_set_size`] |
//! | which pictures are worth a look | [`selections`], [`diversity`] |
//!
//! The page of a single request is [`TracePage`](crate::pipeline::TracePage).

mod grid;
mod page;
mod paper;
mod plot;
mod rows;
mod selection;
mod table;
mod write;

pub use paper::{Comparison, ComparisonRow, PaperNames, PaperNumber, PaperTable};
pub use plot::{
    Bar, BarChart, BarSeries, LineChart, LineSeries, Point, RetrievalSetSize, bar_charts,
    by_retrieval_set_size,
};
pub use rows::to_jsonl;
pub use selection::{SELECTION_ROWS, Selection, SelectionRow, diversity, selections};
pub use table::{Cell, Column, Difference, Row, Table, TableOptions};
pub use write::Report;
