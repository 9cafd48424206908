//! [`Results`](super::experiment::Results) to tables, plots, contact sheets and pages.
