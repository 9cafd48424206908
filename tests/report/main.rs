//! Results of an experiment to tables, plots and pages.

#[path = "../support/browser.rs"]
mod browser;
mod files;
mod pages;
mod plots;
mod results;
mod selections;
mod table;
