//! Systems on data sets to scored pictures, tables and pages: the paper's experiments on your own data.
//!
//! ```text
//!   Dataset ── items: prompts with their classes ──┐
//!   System ─── a generator or a RagPipeline ───────┤
//!                                                  ▼
//!                                              Experiment ── pictures.jsonl, scores.jsonl
//!   Metric ─── CLIP, SigLIP, DINO, a judge ────────┘              │
//!                                                                 ▼
//!                             statistics ───▶ tables, plots, contact sheets, one HTML page
//! ```
//!
//! - [`dataset`]: what is drawn, and the real images that it is compared with.
//! - [`experiment`]: draws every item with every system once, scores every picture with every metric
//!   once, and goes on where it was stopped.
//! - [`metric`]: picture to number, each with the fingerprint of how it was computed.
//! - [`statistics`]: numbers to means with standard errors, intervals and tests.
//! - [`robustness`]: whether vision-language models can tell what a picture lacks, the paper's E.5.
//! - [`report`]: results to tables, plots and pages.
//! - [`study`]: pictures to a user study that opens in a browser, and its answers to win rates.

pub mod dataset;
pub mod experiment;
pub mod metric;
pub mod report;
pub mod robustness;
pub mod statistics;
pub mod study;
