//! Calls, outcomes and a clock to the member that is next.

use std::time::{Duration, Instant};

use super::members::{Members, Outcome, Ticket};

const SECOND: Duration = Duration::from_secs(1);

fn members(count: usize) -> Members {
    Members::new(count, SECOND, 5 * SECOND)
}

/// The member of a call that begins now.
fn begin(members: &mut Members, inputs: usize, now: Instant) -> Ticket {
    members.begin(inputs, &[], now).unwrap()
}

fn fail(members: &mut Members, ticket: Ticket, now: Instant) {
    members.end(ticket, Outcome::Failed("broken".into(), None), now);
}

/// The seconds that each member is out; `None` for those that get calls.
fn out(members: &Members, now: Instant) -> Vec<Option<f64>> {
    let status = members.status(vec![String::new(); 2], now);
    status.iter().map(|member| member.out_for.map(|out| out.as_secs_f64())).collect()
}

#[test]
fn calls_one_after_the_other_go_round() {
    let (mut members, now) = (members(3), Instant::now());
    let mut next = |inputs| {
        let ticket = begin(&mut members, inputs, now);
        members.end(ticket, Outcome::Answered, now);
        ticket.member
    };
    assert_eq!([1; 7].map(&mut next), [0, 1, 2, 0, 1, 2, 0]);
    // Who got much waits until the others have had as much.
    assert_eq!([6, 1, 1, 1, 1, 1].map(&mut next), [1, 2, 0, 2, 0, 2]);
}

#[test]
fn the_least_busy_is_next_in_proportion_to_its_limit() {
    let (mut members, now) = (members(2), Instant::now());
    members.limit(&[3, 9]);
    let all: Vec<usize> = (0..12).map(|_| begin(&mut members, 1, now).member).collect();
    assert_eq!(all.iter().filter(|&&member| member == 0).count(), 3);
    assert_eq!(all[..4].iter().filter(|&&member| member == 0).count(), 1);
    assert!(members.begin(1, &[], now).is_none());
}

#[test]
fn who_had_less_to_do_makes_up_for_some_of_it_alone() {
    let (mut members, now) = (members(2), Instant::now());
    let slow = begin(&mut members, 1, now);
    for _ in 0..1_000 {
        let ticket = begin(&mut members, 1, now);
        assert_eq!(ticket.member, 1);
        members.end(ticket, Outcome::Answered, now);
    }
    members.end(slow, Outcome::Answered, now);
    let mut next = || {
        let ticket = begin(&mut members, 1, now);
        members.end(ticket, Outcome::Answered, now);
        ticket.member
    };
    let next: Vec<usize> = (0..200).map(|_| next()).collect();
    let behind = next.iter().filter(|&&member| member == 0).count();
    assert!((100..=133).contains(&behind), "{next:?}");
}

#[test]
fn a_failure_takes_out_and_one_trial_at_a_time_brings_back() {
    let (mut members, mut now) = (members(2), Instant::now());
    for pause in [1.0, 2.0, 4.0, 5.0, 5.0] {
        let trial = begin(&mut members, 1, now);
        assert_eq!(trial.member, 0);
        // While it has its trial, others go elsewhere.
        let other = begin(&mut members, 1, now);
        assert_eq!(other.member, 1);
        fail(&mut members, trial, now);
        assert_eq!(out(&members, now), [Some(pause), None]);
        now += Duration::from_secs_f64(pause) - SECOND / 10;
        assert_eq!(members.begin(1, &[], now).map(|ticket| ticket.member), Some(1));
        members.end(other, Outcome::Answered, now);
        now += SECOND / 5;
    }
    let trial = members.begin(1, &[1], now).unwrap();
    members.end(trial, Outcome::Answered, now);
    assert_eq!(out(&members, now), [None, None]);
    // The next pause is the first again.
    let call = members.begin(1, &[1], now).unwrap();
    fail(&mut members, call, now);
    assert_eq!(out(&members, now), [Some(1.0), None]);
}

#[test]
fn calls_that_began_before_a_failure_say_nothing_after_it() {
    let (mut members, now) = (members(2), Instant::now());
    let calls: Vec<Ticket> = (0..8).map(|_| begin(&mut members, 1, now)).collect();
    let [first, second, third, fourth] = [0, 2, 4, 6].map(|n| calls[n]);
    fail(&mut members, first, now);
    fail(&mut members, second, now + SECOND / 2);
    assert_eq!(out(&members, now), [Some(1.0), None], "one failure of the member, not two");
    members.end(third, Outcome::Answered, now);
    assert_eq!(out(&members, now), [Some(1.0), None]);
    members.end(fourth, Outcome::Unknown, now);
    let status = members.status(vec!["a".into(), "b".into()], now);
    assert_eq!((status[0].calls, status[0].failed, status[0].answered), (0, 2, 1));
    assert_eq!(status[0].last_error.as_deref(), Some("broken"));
    assert_eq!((status[1].calls, status[1].inputs), (4, 4));
}

#[test]
fn a_trial_that_nobody_waits_for_is_made_again() {
    let (mut members, now) = (members(1), Instant::now());
    let call = begin(&mut members, 1, now);
    fail(&mut members, call, now);
    for _ in 0..3 {
        let trial = begin(&mut members, 1, now + 2 * SECOND);
        members.end(trial, Outcome::Unknown, now + 2 * SECOND);
    }
    assert_eq!(members.status(vec!["a".into()], now)[0].out_for, Some(SECOND));
}

#[test]
fn a_service_is_left_alone_as_long_as_it_asks() {
    for (asked, pause) in [(0, 1.0), (3, 3.0), (90, 90.0)] {
        let (mut members, now) = (members(2), Instant::now());
        let call = begin(&mut members, 1, now);
        members.end(call, Outcome::Failed(String::new(), Some(asked * SECOND)), now);
        assert_eq!(out(&members, now), [Some(pause), None]);
    }
    // No wait helps, or the wait is beyond all clocks.
    for (asked, most) in [(Duration::MAX, 1.0), (Duration::MAX - SECOND, 4e7)] {
        let (mut members, now) = (members(2), Instant::now());
        let call = begin(&mut members, 1, now);
        members.end(call, Outcome::Failed(String::new(), Some(asked)), now);
        assert!(out(&members, now)[0].is_some_and(|out| (1.0..=most).contains(&out)));
    }
}

#[test]
fn where_all_are_out_the_one_that_would_be_back_first_is_tried() {
    let (mut members, now) = (members(3), Instant::now());
    for asked in [30, 10, 20] {
        let call = begin(&mut members, 1, now);
        members.end(call, Outcome::Failed(String::new(), Some(asked * SECOND)), now);
    }
    let mut tried = Vec::new();
    while let Some(ticket) = members.begin(1, &tried, now) {
        tried.push(ticket.member);
    }
    assert_eq!(tried, [1, 2, 0]);
}

#[test]
fn a_member_that_is_out_does_not_take_what_others_will_have_room_for() {
    let (mut members, now) = (members(2), Instant::now());
    members.limit(&[1, 1]);
    let call = begin(&mut members, 1, now);
    fail(&mut members, call, now);
    let busy = begin(&mut members, 1, now);
    assert_eq!(busy.member, 1);
    assert!(members.begin(1, &[], now).is_none());
    assert_eq!(members.until_next_look(now), SECOND);
    assert_eq!(members.begin(1, &[1], now).map(|ticket| ticket.member), Some(0));
}

#[test]
fn inputs_are_shared_by_those_without_work() {
    let (mut members, now) = (members(4), Instant::now());
    let shares = |members: &mut Members, inputs| {
        let tickets = members.begin_idle(inputs, now);
        let shares =
            tickets.iter().map(|ticket| (ticket.member, ticket.inputs)).collect::<Vec<_>>();
        tickets.into_iter().for_each(|ticket| members.end(ticket, Outcome::Answered, now));
        shares
    };
    assert_eq!(shares(&mut members, 6), [(0, 2), (1, 2), (2, 1), (3, 1)]);
    assert_eq!(shares(&mut members, 6), [(2, 2), (3, 2), (0, 1), (1, 1)]);
    assert_eq!(shares(&mut members, 2).len(), 2);
    let busy = begin(&mut members, 1, now).member;
    let rest = shares(&mut members, 9);
    assert!(
        rest.len() == 3 && rest.iter().all(|share| share.0 != busy && share.1 == 3),
        "{rest:?}"
    );
    assert!(shares(&mut members, 0).is_empty());
}
