//! Ten thousand images: none lost, none twice, the load even, limits kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use futures::executor::block_on;
use futures::future::join_all;
use futures::{FutureExt, StreamExt, stream};
use imagerag::middleware::Balance;
use imagerag::{Error, Generator, GeneratorExt};
use proptest::prelude::*;

use crate::member::*;

/// Five that are alike, one dead, one slow, one that lies.
pub(crate) fn eight(pauses: usize) -> Vec<Arc<Member>> {
    let alike = |name| Arc::new(slow(name, pauses, |_| Ok(Answer::Right)));
    vec![
        alike("a"),
        member("dead", |_| dead()),
        alike("b"),
        alike("c"),
        Arc::new(slow("slow", 20 * pauses, |_| Ok(Answer::Right))),
        alike("d"),
        member("liar", |call| Ok(if call % 2 == 0 { Answer::OneFewer } else { Answer::OneMore })),
        alike("e"),
    ]
}

fn honest(members: &[Arc<Member>]) -> impl Iterator<Item = &Arc<Member>> {
    members.iter().filter(|member| member.name != "liar")
}

/// Checks that every image was drawn, and none twice.
fn check_each_once(members: &[Arc<Member>]) {
    let mut drawn: Vec<u64> =
        honest(members).flat_map(|member| member.drawn.lock().unwrap().clone()).collect();
    drawn.sort_unstable();
    assert!(drawn.into_iter().eq(0..IMAGES as u64), "each image is drawn once");
}

/// Checks that equal members drew equally many images.
fn check_load(members: &[Arc<Member>], what: &str) {
    let loads: Vec<(&str, usize)> =
        honest(members).map(|member| (member.name, member.drawn())).collect();
    let equal = || loads.iter().filter(|(name, _)| name.len() == 1).map(|(_, load)| *load as f64);
    let even = equal().sum::<f64>() / equal().count() as f64;
    assert!(equal().all(|load| (0.8 * even..=1.2 * even).contains(&load)), "{loads:?} {what}");
}

const IMAGES: usize = 10_000;

#[test]
fn ten_thousand_images_for_many_callers_at_once() {
    for callers in [1, 3, 8, 40, 500] {
        let members = eight(3);
        let balance = Balance::generators(members.clone()).unwrap().with_first_pause(LONG);
        let drawn = stream::iter(0..IMAGES as u64)
            .map(|seed| {
                let balance = &balance;
                async move { (seed, balance.generate_one(&request(seed)).await.unwrap().image) }
            })
            .buffer_unordered(callers);
        block_on(drawn.for_each(|(seed, drawn)| async move { assert_eq!(drawn, image(seed)) }));
        check_each_once(&members);
        check_load(&members, &format!("for {callers} callers"));
        let slow = members[4].drawn() as f64 / members[0].drawn() as f64;
        assert!(callers < 8 || slow < 0.7, "{callers} callers: {slow}");
        let out: Vec<bool> = balance.members().iter().map(|one| one.out_for.is_some()).collect();
        assert_eq!(out, [false, true, false, false, false, false, true, false]);
        assert!(balance.members().iter().all(|one| one.calls == 0 && one.inputs == 0));
    }
}

#[test]
fn ten_thousand_images_in_batches() {
    for (callers, split) in [(1, true), (5, true), (64, true), (1, false), (5, false), (64, false)]
    {
        let members = eight(3);
        let balance = Balance::generators(members.clone()).unwrap().with_first_pause(LONG);
        let balance = if split { balance } else { balance.without_splitting() };
        let sizes = (0..).map(|n: usize| n * 7 % 12 + 1);
        let batches = sizes.scan(0, |begin, size| {
            let batch = *begin..(*begin + size).min(IMAGES);
            *begin = batch.end;
            (!batch.is_empty()).then_some(batch)
        });
        let calls = stream::iter(batches).map(|batch| {
            let balance = &balance;
            async move {
                let seeds = batch.start as u64..batch.end as u64;
                let drawn = balance.generate(&requests(seeds.clone())).await.unwrap();
                assert!(pixels(drawn).into_iter().eq(seeds.map(image)));
            }
        });
        block_on(calls.buffer_unordered(callers).for_each(|()| async {}));
        check_each_once(&members);
        check_load(&members, &format!("for {callers} callers, split: {split}"));
    }
}

#[test]
fn ten_thousand_images_on_many_threads_within_limits() {
    let members = eight(3);
    let balance = Balance::generators(members.clone()).unwrap().with_first_pause(LONG);
    let balance = balance.with_limits([1, 1, 1, 1, 2, 1, 1, 1]).unwrap();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, SeqCst);
                    if seed >= IMAGES {
                        return;
                    }
                    let drawn = block_on(balance.generate_one(&request(seed as u64))).unwrap();
                    assert_eq!(drawn.image, image(seed as u64));
                }
            });
        }
    });
    check_each_once(&members);
    let most: Vec<usize> = members.iter().map(|member| member.most.load(SeqCst)).collect();
    assert!(most.iter().zip([1, 1, 1, 1, 2, 1, 1, 1]).all(|(most, limit)| *most <= limit));
}

#[test]
fn limits_hold_and_those_who_wait_are_served() {
    let members = ["a", "b"].map(|name| Arc::new(slow(name, 3, |_| Ok(Answer::Right))));
    let balance = Balance::generators(members.clone()).unwrap().with_limit(3).unwrap();
    let calls = join_all((0..2_000).map(|seed| {
        let balance = balance.clone();
        async move { balance.generate_one(&request(seed)).await.unwrap().image }
    }));
    assert!(block_on(calls).into_iter().eq((0..2_000).map(image)));
    assert!(members.iter().all(|member| member.most.load(SeqCst) == 3));
    // Those who leave while they wait hold nobody up.
    let one = request(0);
    let mut calls: Vec<_> = (0..2_000).map(|_| balance.generate_one(&one).boxed()).collect();
    let members = [member("a", |_| Ok(Answer::Never)), fine("b")];
    let hung = Balance::generators(members).unwrap().with_limit(1).unwrap();
    let mut stuck: Vec<_> = (0..2_000).map(|_| hung.generate_one(&one).boxed()).collect();
    stuck.iter_mut().for_each(|call| drop(call.now_or_never()));
    drop(stuck);
    assert!(hung.members().iter().all(|one| one.calls == 0));
    let last = calls.pop().unwrap();
    drop(calls);
    assert_eq!(block_on(last).unwrap().image, image(0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Members that fail some of their calls draw what one alone draws, or all of them have failed.
    #[test]
    fn whatever_fails_the_images_are_those_of_one_alone(
        scripts in prop::collection::vec(prop::collection::vec(any::<bool>(), 0..6), 1..6),
        batches in prop::collection::vec(0_usize..20, 1..6),
        limit in 1_usize..4,
        pause in prop::sample::select(vec![Duration::ZERO, LONG]),
        split in any::<bool>(),
    ) {
        let members: Vec<Arc<Member>> = scripts
            .into_iter()
            .map(|fails| {
                member("m", move |call| match fails.get(call) {
                    Some(true) => dead(),
                    _ => Ok(Answer::Right),
                })
            })
            .collect();
        let balance = Balance::generators(members.clone()).unwrap();
        let balance = balance.with_limit(limit).unwrap().with_first_pause(pause);
        let balance = if split { balance } else { balance.without_splitting() };
        let calls = batches.iter().map(|&size| {
            let balance = balance.clone();
            async move { (size, balance.generate(&requests(0..size as u64)).await) }
        });
        let mut answered = 0;
        for (size, result) in block_on(join_all(calls)) {
            match result {
                Ok(drawn) => {
                    prop_assert!(pixels(drawn).into_iter().eq((0..size as u64).map(image)));
                    answered += size;
                }
                Err(Error::AllFailed { errors, .. }) => prop_assert_eq!(errors.len(), members.len()),
                Err(other) => prop_assert!(false, "{}", other),
            }
        }
        let status = balance.members();
        prop_assert!(status.iter().all(|one| one.calls == 0 && one.inputs == 0));
        let drawn: u64 = status.iter().map(|one| one.answered).sum();
        prop_assert!(drawn >= answered as u64);
        prop_assert!(members.iter().all(|member| member.most.load(SeqCst) <= limit));
    }
}
