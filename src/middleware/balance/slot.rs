//! [`Slot`]: a call that waits to the right to make it at one member.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::channel::oneshot;
use futures::future::{Either, select};
use futures_timer::Delay;

use super::members::{Members, Outcome, Ticket};
use crate::Error;

/// What all clones of a [`Balance`](super::Balance) share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) members: Members,
    /// Who waits for another member than those that failed; they go first.
    failed: VecDeque<Waiting>,
    /// Who waits for any member, first come, first served.
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    inputs: usize,
    tried: Vec<usize>,
    turn: oneshot::Sender<Slot>,
}

impl Shared {
    pub(super) fn new(count: usize, first_pause: Duration, max_pause: Duration) -> Self {
        let members = Members::new(count, first_pause, max_pause);
        Self { members, failed: VecDeque::new(), waiting: VecDeque::new() }
    }

    /// Begins the next call of those that wait.
    fn begin(&mut self, now: Instant) -> Option<(oneshot::Sender<Slot>, Ticket)> {
        self.failed.retain(|one| !one.turn.is_canceled());
        for n in 0..self.failed.len() {
            let Waiting { inputs, tried, .. } = &self.failed[n];
            if let Some(ticket) = self.members.begin(*inputs, tried, now) {
                return self.failed.remove(n).map(|one| (one.turn, ticket));
            }
        }
        while self.waiting.front().is_some_and(|one| one.turn.is_canceled()) {
            self.waiting.pop_front();
        }
        // If the first of them finds no member, no other will.
        let ticket = self.members.begin(self.waiting.front()?.inputs, &[], now)?;
        self.waiting.pop_front().map(|one| (one.turn, ticket))
    }
}

/// The right to make one call at one member. When it is dropped, those who wait are looked at.
#[derive(Debug)]
pub(super) struct Slot {
    shared: Arc<Mutex<Shared>>,
    ticket: Ticket,
    outcome: Outcome,
}

impl Slot {
    /// The right to call one of the members that were not `tried`, as soon as there is one.
    pub(super) async fn next(
        shared: &Arc<Mutex<Shared>>,
        inputs: usize,
        tried: Vec<usize>,
    ) -> Self {
        loop {
            let (sender, mut turn) = oneshot::channel();
            {
                let mut shared = lock(shared);
                let fresh = tried.is_empty();
                let line = if fresh { &mut shared.waiting } else { &mut shared.failed };
                line.push_back(Waiting { inputs, tried: tried.clone(), turn: sender });
            }
            // A sender is not dropped before it has sent, so the outer loop runs once.
            loop {
                hand_out(shared);
                match turn.try_recv() {
                    Ok(Some(slot)) => return slot,
                    Ok(None) => {}
                    Err(_) => break,
                }
                let look = lock(shared).members.until_next_look(Instant::now());
                match select(&mut turn, Delay::new(look)).await {
                    Either::Left((Ok(slot), _)) => return slot,
                    Either::Left((Err(_), _)) => break,
                    Either::Right(_) => {}
                }
            }
        }
    }

    /// The right to call each member without work, as far as there are `inputs`, which they share.
    pub(super) fn of_idle(shared: &Arc<Mutex<Shared>>, inputs: usize) -> Vec<Self> {
        let tickets = lock(shared).members.begin_idle(inputs, Instant::now());
        tickets.into_iter().map(|ticket| Self::new(shared, ticket)).collect()
    }

    fn new(shared: &Arc<Mutex<Shared>>, ticket: Ticket) -> Self {
        Self { shared: Arc::clone(shared), ticket, outcome: Outcome::Unknown }
    }

    /// The number of the member, from 0.
    pub(super) const fn member(&self) -> usize {
        self.ticket.member
    }

    /// How many inputs the call is for.
    pub(super) const fn inputs(&self) -> usize {
        self.ticket.inputs
    }

    /// The member has answered.
    pub(super) fn answered(mut self) {
        self.outcome = Outcome::Answered;
    }

    /// The member says that the request is at fault. Whether it has said so of its last request too, in
    /// the words of a service.
    pub(super) fn refused(mut self, error: &Error) -> bool {
        let is_status = matches!(error, Error::Service { .. });
        self.outcome = if is_status { Outcome::Refused } else { Outcome::Unknown };
        is_status && lock(&self.shared).members.has_refused(self.ticket.member)
    }

    /// A `member` was at fault for a request that it refused.
    pub(super) fn blame(shared: &Mutex<Shared>, member: usize, error: &Error) {
        let (words, asked) = (error.chain().to_string(), error.asked_wait());
        lock(shared).members.take_out(member, words, asked, Instant::now());
    }

    /// The member has failed.
    pub(super) fn failed(mut self, error: &Error) {
        self.outcome = Outcome::Failed(error.chain().to_string(), error.asked_wait());
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.outcome, Outcome::Unknown);
        lock(&self.shared).members.end(self.ticket, outcome, Instant::now());
        hand_out(&self.shared);
    }
}

/// Begins as many of the calls that wait as can begin.
fn hand_out(shared: &Arc<Mutex<Shared>>) {
    loop {
        // Sent behind the lock: a slot that nobody takes locks when it is dropped.
        let next = lock(shared).begin(Instant::now());
        let Some((turn, ticket)) = next else { return };
        drop(turn.send(Slot::new(shared, ticket)));
    }
}

pub(super) fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
