//! [`Control`]: what a run did and may take, to whether another picture or score is begun.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::cost::money;
use super::progress::Progress;
use super::store::Held;
use super::{
    Budget, Ended, Event, Experiment, PictureRecord, RunSummary, ScoreRecord, Spent, Stop,
};
use crate::Price;
use crate::evaluation::metric::Outcome;

/// The state of a run that drawing and scoring share.
pub(super) struct Control<'a> {
    stop: Stop,
    budget: Budget,
    prices: BTreeMap<String, Price>,
    on_event: &'a mut (dyn FnMut(&Event) + Send),
    summary: RunSummary,
    began: Instant,
    progress: Progress,
    work: Work,
}

/// What is known of the costs of the system or metric at work.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// Whether it draws: scores take none of the budget's seconds.
    pub(super) draws: bool,
    /// The questions that each picture or score is declared to take.
    pub(super) calls: u64,
    /// What those that are done took, and how many these are.
    pub(super) spent: Spent,
    pub(super) done: usize,
}

impl Work {
    /// Adds a picture. Those that failed tell nothing of what one takes.
    pub(super) fn add_picture(&mut self, record: &PictureRecord) {
        if matches!(record.ended, Ended::Drawn(_)) {
            self.done += 1;
            self.spent.add_picture(record);
        }
    }

    /// Adds a score.
    pub(super) fn add_score(&mut self, record: &ScoreRecord) {
        if !record.exchanges.is_empty() {
            self.done += 1;
            self.spent.add_score(record);
        }
    }

    /// What one more is expected to take of calls, money and seconds; `None` where nothing is known.
    fn each(&self, prices: &BTreeMap<String, Price>) -> [Option<f64>; 3] {
        let declared = self.calls as f64;
        if !self.draws && self.calls == 0 {
            return [Some(0.0); 3];
        }
        let done = self.done as f64;
        let mean = |all: f64| (self.done > 0).then_some(all / done);
        let calls = mean(self.spent.calls as f64).unwrap_or(0.0).max(declared);
        let seconds = if self.draws { mean(self.spent.drawing.as_secs_f64()) } else { Some(0.0) };
        [Some(calls), mean(self.spent.cost(prices)), seconds]
    }
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
            work: Work::default(),
        };
        held.notes.iter().for_each(|note| control.note(note.clone()));
        control
    }

    /// How many more of the work at hand may begin while `running` are in progress. Where none may and
    /// none is in progress, the summary says why.
    pub(super) fn room(&mut self, spent: &Spent, running: usize) -> usize {
        if self.stop.is_stopped() {
            self.summary.stopped.get_or_insert_with(|| "it was stopped".to_owned());
            return 0;
        }
        let Budget { calls, money: most, seconds } = self.budget;
        let bounds = [calls.map(|calls| calls as f64), most, seconds];
        let taken = [spent.calls as f64, spent.cost(&self.prices), spent.drawing.as_secs_f64()];
        let mut room = usize::MAX;
        for (at, each) in self.work.each(&self.prices).into_iter().enumerate() {
            let Some(bound) = bounds[at] else { continue };
            let fits = match each {
                Some(0.0) => continue,
                Some(each) => (bound - taken[at] - each * running as f64) / each,
                // Nothing is known before one is done, which is therefore drawn alone.
                None if taken[at] < bound => 1.0 - running as f64,
                None => 0.0,
            };
            let fits = fits.ceil().max(0.0) as usize;
            if fits == 0 && running == 0 {
                let reached = match at {
                    0 => format!("{} calls of {bound}", spent.calls),
                    1 => format!("{} of {} in money", money(taken[at]), money(bound)),
                    _ => format!("{:.0} seconds of {bound}", taken[at]),
                };
                let why = || format!("the budget is used up: {reached}");
                self.summary.stopped.get_or_insert_with(why);
            }
            room = room.min(fits);
        }
        room
    }

    pub(super) fn begin(&mut self, name: String, total: usize, work: Work) {
        (self.began, self.progress) = (Instant::now(), Progress { total, ..Progress::default() });
        self.work = work;
        (self.on_event)(&Event::Began { name, total });
    }

    fn advance(&mut self, spent: &Spent) -> Progress {
        self.progress.done += 1;
        self.progress.elapsed = self.began.elapsed();
        self.progress.cost = spent.cost(&self.prices);
        self.progress
    }

    pub(super) fn picture(&mut self, record: PictureRecord, spent: &Spent) {
        match &record.ended {
            Ended::Drawn(drawing) => {
                self.summary.drawn += 1;
                self.summary.undetermined += usize::from(drawing.undetermined);
            }
            Ended::Failed { .. } => self.summary.failed += 1,
        }
        self.work.add_picture(&record);
        let progress = self.advance(spent);
        (self.on_event)(&Event::Picture { record: Box::new(record), progress });
    }

    pub(super) fn score(&mut self, record: ScoreRecord, spent: &Spent) {
        self.summary.scored += 1;
        if matches!(record.outcome, Outcome::Failed(_) | Outcome::Refused(_)) {
            self.summary.scores_failed += 1;
        }
        self.work.add_score(&record);
        let progress = self.advance(spent);
        (self.on_event)(&Event::Score { record: Box::new(record), progress });
    }

    pub(super) fn waiting(&mut self, what: String, elapsed: Duration) {
        (self.on_event)(&Event::Waiting { what, elapsed });
    }

    pub(super) fn note(&mut self, note: String) {
        (self.on_event)(&Event::Note(note.clone()));
        self.summary.notes.push(note);
    }

    /// Tells that `name` was given up, with how many `left` pictures were not tried.
    pub(super) fn give_up(&mut self, name: &str, left: usize, why: &str) {
        let left = match left {
            0 => String::new(),
            1 => " (1 picture was not tried)".to_owned(),
            left => format!(" ({left} pictures were not tried)"),
        };
        let why = format!("{name} was given up{left}: {why}");
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
