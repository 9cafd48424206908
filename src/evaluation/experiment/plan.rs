//! What a run would do to what that is expected to take.

use std::fmt;
use std::time::Duration;

use super::cost::{Spent, money};
use super::draw::missing;
use super::outline::Outline;
use super::store::Held;
use super::{Ended, Experiment, results, score};

/// Seconds of a picture that was never timed: SDXL at 1024 x 1024 pixels takes some 4 to 8 on an H100.
const SECONDS_PER_PICTURE: f64 = 6.0;
/// Seconds of a question, and its price: the paper's three take 10 to 30 seconds and 0.01 to 0.05 dollars
/// (appendix A).
const SECONDS_PER_CALL: f64 = 20.0 / 3.0;
const MONEY_PER_CALL: f64 = 0.03 / 3.0;

/// What a run would do.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Plan {
    /// Pictures to draw, by system.
    pub pictures: Vec<PlannedWork>,
    /// Pictures to score, by metric; those that are drawn first included.
    pub scores: Vec<PlannedWork>,
    /// What all of it is expected to take.
    pub estimate: Estimate,
    /// What somebody should know, such as damaged lines.
    pub notes: Vec<String>,
}

/// What a run would do with one system or metric.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct PlannedWork {
    /// Its name.
    pub name: String,
    /// How many there are in all.
    pub total: usize,
    /// How many are to be done.
    pub to_do: usize,
    /// How many failed before, or were refused, and are not tried again.
    pub failed: usize,
    /// What that is expected to take.
    pub estimate: Estimate,
}

/// What is expected to be taken.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Estimate {
    /// Questions to services.
    pub calls: f64,
    /// Money, in the currency of the prices.
    pub money: f64,
    /// The time, with the experiment's concurrency where questions are asked.
    pub time: Duration,
    /// Whether it is the mean of what is done; otherwise it is the paper's arithmetic: 6 seconds for a
    /// picture on an H100, 0.01 dollars and 7 seconds for a question.
    pub measured: bool,
}

pub(super) fn plan(experiment: &Experiment, outline: &Outline, held: &Held) -> Plan {
    let mut plan = Plan { notes: held.notes.clone(), ..Plan::default() };
    for record in &outline.systems {
        let mut work = PlannedWork { name: record.name.clone(), ..PlannedWork::default() };
        let mut calls = 0;
        for system in experiment.systems.iter().filter(|system| system.name() == record.name) {
            work.to_do += missing(experiment, outline, held, system).len();
            calls = calls.max(system.calls_per_picture());
        }
        let rows = outline.rows.iter().filter(|row| row.system == record.name);
        let (mut spent, mut done) = (Spent::default(), 0);
        for row in rows {
            let Some(dataset) = outline.dataset(&row.dataset) else { continue };
            for (_, key) in results::units(row, dataset) {
                work.total += 1;
                match held.pictures.get(&key) {
                    Some(record) if matches!(record.ended, Ended::Drawn(_)) => {
                        done += 1;
                        spent.add_picture(record);
                    }
                    Some(_) if !experiment.retries_failed => work.failed += 1,
                    _ => {}
                }
            }
        }
        work.estimate = expected(experiment, work.to_do, calls, SECONDS_PER_PICTURE, done, &spent);
        plan.pictures.push(work);
    }
    let drawn = results::assemble(&experiment.folder, outline.clone(), held);
    let to_draw: usize = plan.pictures.iter().map(|work| work.to_do).sum();
    for (metric, planned) in experiment.metrics.iter().zip(&outline.metrics) {
        let (mut spent, mut done, mut failed) = (Spent::default(), 0, 0);
        for score in drawn.scores.iter().filter(|score| score.metric == planned.record.key) {
            use crate::evaluation::metric::Outcome::{Failed, Refused};
            match score.outcome {
                Failed(_) | Refused(_) if !experiment.retries_failed => failed += 1,
                Failed(_) | Refused(_) => {}
                _ => done += 1,
            }
            spent.add_score(score);
        }
        let to_do = score::missing(experiment, outline, held, planned).len() + to_draw;
        let estimate = expected(experiment, to_do, metric.calls_per_score(), 0.0, done, &spent);
        let name = planned.record.name.clone();
        plan.scores.push(PlannedWork {
            name,
            total: to_do + done + failed,
            to_do,
            failed,
            estimate,
        });
    }
    let all = plan.pictures.iter().chain(&plan.scores).filter(|work| work.to_do > 0);
    plan.estimate =
        all.fold(Estimate { measured: true, ..Estimate::default() }, |sum, work| Estimate {
            calls: sum.calls + work.estimate.calls,
            money: sum.money + work.estimate.money,
            time: sum.time + work.estimate.time,
            measured: sum.measured && work.estimate.measured,
        });
    plan
}

/// What `to_do` are expected to take: what `done` took on average, else `calls` questions and `seconds` each.
fn expected(
    experiment: &Experiment,
    to_do: usize,
    calls: u64,
    seconds: f64,
    done: usize,
    spent: &Spent,
) -> Estimate {
    let many = to_do as f64;
    let at_a_time = experiment.concurrency.max(1) as f64;
    if done > 0 {
        let each = |all: f64| all / done as f64 * many;
        return Estimate {
            calls: each(spent.calls as f64),
            money: each(spent.cost(&experiment.prices)),
            time: Duration::from_secs_f64(each(spent.drawing.as_secs_f64()) / at_a_time),
            measured: true,
        };
    }
    let calls = calls as f64 * many;
    let priced = if experiment.prices.is_empty() { 0.0 } else { MONEY_PER_CALL };
    let time = many * seconds + calls * SECONDS_PER_CALL / at_a_time;
    let (money, time) = (calls * priced, Duration::from_secs_f64(time));
    Estimate { calls, money, time, measured: false }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let longest = |all: &[PlannedWork]| all.iter().map(|one| one.name.chars().count()).max();
        let width = longest(&self.pictures).max(longest(&self.scores)).unwrap_or(0);
        for (what, works) in [("draw ", &self.pictures), ("score", &self.scores)] {
            for work in works {
                let PlannedWork { name, total, to_do, failed, estimate } = work;
                write!(f, "{what} {name:width$} {to_do:6} of {total:6}")?;
                if *to_do > 0
                    && *estimate
                        != (Estimate { measured: estimate.measured, ..Estimate::default() })
                {
                    write!(f, "  {estimate}")?;
                }
                if *failed > 0 {
                    write!(f, "  ({failed} failed before and are left so)")?;
                }
                writeln!(f)?;
            }
        }
        write!(f, "in all {}", self.estimate)
    }
}

/// `some 600 calls, 6.00 in money, 12 min (measured)`.
impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { calls, money: amount, time, measured } = self;
        let seconds = time.as_secs_f64();
        match seconds {
            ..100.0 => write!(f, "some {seconds:.0} s")?,
            ..6_000.0 => write!(f, "some {:.0} min", seconds / 60.0)?,
            _ => write!(f, "some {:.1} h", seconds / 3_600.0)?,
        }
        if *calls > 0.0 {
            write!(f, ", {calls:.0} calls")?;
        }
        if *amount > 0.0 {
            write!(f, ", {} in money", money(*amount))?;
        }
        f.write_str(if *measured { " (as measured)" } else { " (by the paper's arithmetic)" })
    }
}
