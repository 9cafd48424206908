//! What happens in a run, to whoever watches it; and what ends it from outside.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::store::Held;
use super::{Budget, Ended, Experiment, PictureRecord, ScoreRecord, Spent};
use crate::Price;
use crate::evaluation::metric::Outcome;

/// Ends a run: nothing more is begun, and what is in progress is finished and kept. Clones end the same
/// run.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Ends the run.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether somebody ended it.
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What happened in a run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A system or a metric begins.
    Began {
        /// Its name.
        name: String,
        /// How many pictures it is to draw or to score.
        total: usize,
    },
    /// A picture was drawn, or failed.
    Picture {
        /// Its record.
        record: Box<PictureRecord>,
        /// How far the run is.
        progress: Progress,
    },
    /// A picture was scored, or its score failed.
    Score {
        /// Its record.
        record: Box<ScoreRecord>,
        /// How far the run is.
        progress: Progress,
    },
    /// Something that somebody should know.
    Note(String),
}

/// How far a system or a metric is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// How many are done, in this run.
    pub done: usize,
    /// How many there are to do, in this run.
    pub total: usize,
    /// The time since the system or metric began.
    pub elapsed: Duration,
    /// What all runs together cost so far, in the currency of the prices.
    pub cost: f64,
}

impl Progress {
    /// The time that the rest is expected to take, once something is done.
    pub fn remaining(&self) -> Option<Duration> {
        let rest = self.total.saturating_sub(self.done);
        (self.done > 0).then(|| self.elapsed.mul_f64(rest as f64 / self.done as f64))
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Began { name, total } => write!(f, "{name}: {total} to do"),
            Self::Picture { record, progress } => {
                let PictureRecord { system, dataset, item, seed, ended, .. } = &**record;
                write!(f, "{progress} {system}, {dataset}, {item}, seed {seed}: ")?;
                match ended {
                    Ended::Drawn(_) => f.write_str("drawn"),
                    Ended::Failed { error, refused: true, .. } => write!(f, "refused: {error}"),
                    Ended::Failed { error, .. } => write!(f, "failed: {error}"),
                }
            }
            Self::Score { record, progress } => {
                let ScoreRecord { dataset, item, outcome, .. } = &**record;
                write!(f, "{progress} {dataset}, {item}: ")?;
                match outcome {
                    Outcome::Value(value) => write!(f, "{value:.3}"),
                    Outcome::NotApplicable(why) => write!(f, "not applicable: {why}"),
                    Outcome::Refused(why) => write!(f, "refused: {why}"),
                    Outcome::Failed(why) => write!(f, "failed: {why}"),
                }
            }
            Self::Note(note) => write!(f, "note: {note}"),
        }
    }
}

/// `12/200, 3 min left`.
impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.done, self.total)?;
        match self.remaining().map(|left| left.as_secs()) {
            None | Some(0) => Ok(()),
            Some(seconds @ ..100) => write!(f, ", {seconds} s left"),
            Some(seconds @ ..6_000) => write!(f, ", {} min left", seconds / 60),
            Some(seconds) => write!(f, ", {:.1} h left", seconds as f64 / 3_600.0),
        }
    }
}

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RunSummary {
    /// Pictures that were drawn.
    pub drawn: usize,
    /// Pictures that failed or were refused.
    pub failed: usize,
    /// Scores that were made, those without a number included.
    pub scored: usize,
    /// Scores that failed or were refused.
    pub scores_failed: usize,
    /// Why the run ended before everything was tried.
    pub stopped: Option<String>,
    /// Systems and metrics that were given up because everything failed, and why.
    pub given_up: Vec<String>,
    /// What somebody should know: damaged lines, parts without a price.
    pub notes: Vec<String>,
    /// What all runs together took.
    pub spent: Spent,
    /// What all runs together cost, in the currency of the prices.
    pub cost: f64,
}

/// The state of a run that drawing and scoring share.
pub(super) struct Control<'a> {
    stop: Stop,
    budget: Budget,
    prices: BTreeMap<String, Price>,
    on_event: &'a mut (dyn FnMut(&Event) + Send),
    summary: RunSummary,
    began: Instant,
    progress: Progress,
}

impl<'a> Control<'a> {
    pub(super) fn new(
        experiment: &Experiment,
        held: &Held,
        on_event: &'a mut (dyn FnMut(&Event) + Send),
    ) -> Self {
        let mut control = Self {
            stop: experiment.stop.clone(),
            budget: experiment.budget,
            prices: experiment.prices.clone(),
            on_event,
            summary: RunSummary::default(),
            began: Instant::now(),
            progress: Progress::default(),
        };
        held.notes.iter().for_each(|note| control.note(note.clone()));
        control
    }

    /// Whether nothing more is begun.
    pub(super) fn is_over(&mut self, spent: &Spent) -> bool {
        if self.summary.stopped.is_none() {
            self.summary.stopped = match self.stop.is_stopped() {
                true => Some("it was stopped".to_owned()),
                false => spent
                    .exceeds(&self.budget, &self.prices)
                    .map(|what| format!("the budget is used up: {what}")),
            };
        }
        self.summary.stopped.is_some()
    }

    pub(super) fn begin(&mut self, name: String, total: usize) {
        (self.began, self.progress) = (Instant::now(), Progress { total, ..Progress::default() });
        (self.on_event)(&Event::Began { name, total });
    }

    fn advance(&mut self, spent: &Spent) -> Progress {
        self.progress.done += 1;
        self.progress.elapsed = self.began.elapsed();
        self.progress.cost = spent.cost(&self.prices);
        self.progress
    }

    pub(super) fn picture(&mut self, record: PictureRecord, spent: &Spent) {
        let counted = match record.ended {
            Ended::Drawn(_) => &mut self.summary.drawn,
            Ended::Failed { .. } => &mut self.summary.failed,
        };
        *counted += 1;
        let progress = self.advance(spent);
        (self.on_event)(&Event::Picture { record: Box::new(record), progress });
    }

    pub(super) fn score(&mut self, record: ScoreRecord, spent: &Spent) {
        self.summary.scored += 1;
        if matches!(record.outcome, Outcome::Failed(_) | Outcome::Refused(_)) {
            self.summary.scores_failed += 1;
        }
        let progress = self.advance(spent);
        (self.on_event)(&Event::Score { record: Box::new(record), progress });
    }

    pub(super) fn note(&mut self, note: String) {
        (self.on_event)(&Event::Note(note.clone()));
        self.summary.notes.push(note);
    }

    pub(super) fn give_up(&mut self, why: String) {
        (self.on_event)(&Event::Note(why.clone()));
        self.summary.given_up.push(why);
    }

    pub(super) fn summary(mut self, held: &Held) -> RunSummary {
        let spent = held.spent.clone();
        if !self.prices.is_empty() || self.budget.money.is_some() {
            let free: Vec<_> = spent
                .usage
                .keys()
                .filter(|part| !self.prices.contains_key(*part))
                .cloned()
                .collect();
            if !free.is_empty() {
                self.note(format!("no price is given for {}: it counts as free", free.join(", ")));
            }
        }
        self.summary.cost = spent.cost(&self.prices);
        self.summary.spent = spent;
        self.summary
    }
}
