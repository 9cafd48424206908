//! [`Members`]: the calls in progress, and who has failed, to the member that gets the next call.

use std::cmp::Ordering;
use std::time::{Duration, Instant};

/// What a member of a [`Balance`](super::Balance) is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberStatus {
    /// Its `Display`.
    pub name: String,
    /// Calls in progress.
    pub calls: usize,
    /// Inputs of these calls: images to draw, texts or images to embed; 1 for each other call.
    pub inputs: usize,
    /// The most calls at the same time.
    pub limit: Option<usize>,
    /// Inputs that it has answered.
    pub answered: u64,
    /// Calls that it has failed.
    pub failed: u64,
    /// How long it gets no calls because it failed; zero once it waits for its trial, or is in it.
    /// `None` for a member that gets calls.
    pub out_for: Option<Duration>,
    /// The error of the last call that it failed, with all causes, even if it is back.
    pub last_error: Option<String>,
}

/// The members, by their numbers from 0.
#[derive(Debug)]
pub(super) struct Members {
    all: Vec<Member>,
    pub(super) first_pause: Duration,
    pub(super) max_pause: Duration,
    /// The highest turn at which a call began.
    turn: u64,
}

#[derive(Debug)]
struct Member {
    /// The most calls at the same time; `usize::MAX` is no limit.
    limit: usize,
    calls: usize,
    inputs: usize,
    /// Grows with the inputs that it is given. Of members that are equally busy, the one with the
    /// lowest turn is next, as in start-time fair queueing. See [`MAKE_UP`].
    turn: u64,
    answered: u64,
    failed: u64,
    last_error: Option<String>,
    /// Whether it said of its last request that the request is at fault.
    has_refused: bool,
    out: Option<Out>,
    /// How often it was taken out. Calls that began earlier say nothing of it as it is now.
    outages: u64,
}

/// A member that gets no calls.
#[derive(Clone, Copy, Debug)]
struct Out {
    until: Instant,
    /// How long, where the service did not ask for more.
    pause: Duration,
    /// Calls in progress that began since.
    trials: usize,
}

/// A call in progress.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    pub(super) member: usize,
    pub(super) inputs: usize,
    outages: u64,
}

/// What became of a call, as far as it tells of its member.
#[derive(Debug)]
pub(super) enum Outcome {
    Answered,
    /// The error in words, and how long the service asked to wait.
    Failed(String, Option<Duration>),
    /// It says, in the words of a service, that the request is at fault.
    Refused,
    /// It was dropped, or its request was at fault.
    Unknown,
}

/// So many inputs, at most, does a member get before others because it had less to do until now, which
/// is so after it was out, and where it is slower. With none at all, equal members that a few callers
/// give batches of different sizes differed by 29 % from even in simulations, with 64 by 16 %.
const MAKE_UP: u64 = 64;
/// The longest time that is added to an `Instant`, which must not overflow.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Members {
    pub(super) fn new(count: usize, first_pause: Duration, max_pause: Duration) -> Self {
        let member = || Member {
            limit: usize::MAX,
            calls: 0,
            inputs: 0,
            turn: 0,
            answered: 0,
            failed: 0,
            last_error: None,
            has_refused: false,
            out: None,
            outages: 0,
        };
        let all = std::iter::repeat_with(member).take(count).collect();
        Self { all, first_pause, max_pause, turn: 0 }
    }

    /// Bounds the calls of each member.
    pub(super) fn limit(&mut self, calls: &[usize]) {
        self.all.iter_mut().zip(calls).for_each(|(member, calls)| member.limit = *calls);
    }

    /// Begins a call at the member that is next, of those that it has not `tried`. `None`: it has to
    /// wait until a member below its limit is there that is not out. Only if all of them are out, one
    /// that is gets it.
    pub(super) fn begin(&mut self, inputs: usize, tried: &[usize], now: Instant) -> Option<Ticket> {
        let untried = || (0..self.all.len()).filter(|n| !tried.contains(n));
        let some_are_in = untried().any(|n| self.all[n].is_in(now));
        let next = untried()
            .filter(|&n| self.all[n].calls < self.all[n].limit)
            .filter(|&n| self.all[n].is_in(now) == some_are_in)
            .min_by(|&a, &b| {
                let (a, b) = (&self.all[a], &self.all[b]);
                let back = |member: &Member| member.out.map(|out| out.until);
                let order = if some_are_in {
                    self.turn_of(a).cmp(&self.turn_of(b))
                } else {
                    back(a).cmp(&back(b))
                };
                a.compare_load(b).then(order)
            })?;
        Some(self.begin_at(next, inputs))
    }

    /// Begins a call at each member without work, as far as there are `inputs`, which they share.
    pub(super) fn begin_idle(&mut self, inputs: usize, now: Instant) -> Vec<Ticket> {
        let mut idle: Vec<usize> = (0..self.all.len())
            .filter(|&n| self.all[n].calls == 0 && self.all[n].is_in(now))
            .collect();
        idle.sort_by_key(|&n| self.turn_of(&self.all[n]));
        idle.truncate(inputs);
        let shares = idle.len();
        let share = |n: usize| inputs / shares + usize::from(n < inputs % shares);
        idle.into_iter().enumerate().map(|(n, member)| self.begin_at(member, share(n))).collect()
    }

    fn begin_at(&mut self, n: usize, inputs: usize) -> Ticket {
        let turn = self.turn_of(&self.all[n]);
        self.turn = self.turn.max(turn);
        let member = &mut self.all[n];
        member.calls += 1;
        member.inputs += inputs;
        member.turn = turn + inputs as u64;
        if let Some(out) = &mut member.out {
            out.trials += 1;
        }
        Ticket { member: n, inputs, outages: member.outages }
    }

    /// The turn at which its next call begins.
    fn turn_of(&self, member: &Member) -> u64 {
        member.turn.max(self.turn.saturating_sub(MAKE_UP))
    }

    /// Ends a call.
    pub(super) fn end(&mut self, ticket: Ticket, outcome: Outcome, now: Instant) {
        let member = &mut self.all[ticket.member];
        member.calls -= 1;
        member.inputs -= ticket.inputs;
        let counts = ticket.outages == member.outages;
        if let Some(out) = member.out.as_mut().filter(|_| counts) {
            out.trials -= 1;
        }
        match outcome {
            Outcome::Answered => {
                member.answered += ticket.inputs as u64;
                member.has_refused = false;
                member.out = member.out.filter(|_| !counts);
            }
            Outcome::Failed(error, asked) if counts => {
                self.take_out(ticket.member, error, asked, now);
            }
            Outcome::Failed(error, _) => {
                member.failed += 1;
                member.last_error = Some(error);
            }
            Outcome::Refused => member.has_refused = true,
            Outcome::Unknown => {}
        }
    }

    /// Notes the failure of a member, and gives it no calls for its pause, or as long as its service
    /// asked.
    pub(super) fn take_out(
        &mut self,
        member: usize,
        error: String,
        asked: Option<Duration>,
        now: Instant,
    ) {
        let member = &mut self.all[member];
        member.failed += 1;
        member.last_error = Some(error);
        let pause = member.out.map_or(self.first_pause, |out| out.pause.saturating_mul(2));
        let pause = pause.min(self.max_pause);
        // `MAX` says that no wait helps.
        let asked = asked.filter(|asked| *asked < Duration::MAX).unwrap_or_default();
        let until = now + pause.max(asked).min(YEAR);
        member.out = Some(Out { until, pause, trials: 0 });
        member.outages += 1;
    }

    /// Whether a member said of its last request that the request is at fault.
    pub(super) fn has_refused(&self, member: usize) -> bool {
        self.all[member].has_refused
    }

    /// How long a call that waits for a member waits at most before it looks again, because a member
    /// may be back by then. It looks also after the first pause: who goes out from now on is not back
    /// earlier.
    pub(super) fn until_next_look(&self, now: Instant) -> Duration {
        let outs = self.all.iter().filter_map(|member| member.out);
        let returns = outs.map(|out| out.until.saturating_duration_since(now));
        let next = returns.filter(|wait| !wait.is_zero()).min().unwrap_or(self.first_pause);
        next.min(self.first_pause).max(Duration::from_millis(10))
    }

    /// The state of each, with its name.
    pub(super) fn status(&self, names: Vec<String>, now: Instant) -> Vec<MemberStatus> {
        let status = |(member, name): (&Member, String)| MemberStatus {
            name,
            calls: member.calls,
            inputs: member.inputs,
            limit: (member.limit < usize::MAX).then_some(member.limit),
            answered: member.answered,
            failed: member.failed,
            out_for: member.out.map(|out| out.until.saturating_duration_since(now)),
            last_error: member.last_error.clone(),
        };
        self.all.iter().zip(names).map(status).collect()
    }
}

impl Member {
    /// Whether calls go to it: it is not out, or may have its trial.
    fn is_in(&self, now: Instant) -> bool {
        self.out.is_none_or(|out| out.until <= now && out.trials == 0)
    }

    /// Which has fewer inputs in progress, in proportion to its limit.
    fn compare_load(&self, other: &Self) -> Ordering {
        let load = |of: &Self, by: &Self| of.inputs as u128 * by.limit as u128;
        load(self, other).cmp(&load(other, self))
    }
}
