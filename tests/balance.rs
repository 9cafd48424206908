//! Many calls to several members, some of which fail, lie, dawdle or hang.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::executor::block_on;
use futures::future::{join, join_all, pending, poll_fn};
use futures::{FutureExt, StreamExt, stream};
use imagerag::conditioner::ConditioningKind;
use imagerag::embedder::{Embedded, Embedding};
use imagerag::generator::{Drawn, GenerateRequest, Progress, Step};
use imagerag::middleware::{Balance, Limit, MemberStatus, Retry};
use imagerag::reference::{Caption, Reference};
use imagerag::retriever::{Ranking, RerankRequest, RetrieveRequest};
use imagerag::testing::{FakeEmbedder, FakeGenerator, FakeVlm, solid};
use imagerag::vlm::{ChatReply, ChatRequest};
use imagerag::{
    Embedder, EmbedderExt, Error, Generator, GeneratorExt, Image, Reranker, Result, Retriever,
    Usage, Vlm, async_trait,
};
use proptest::prelude::*;

/// Longer than any test.
const LONG: Duration = Duration::from_secs(3600);

/// What a member makes of a call, after it has let others run so many times.
type Act = dyn Fn(usize) -> Result<Answer> + Send + Sync;

#[derive(Clone, Copy, PartialEq)]
enum Answer {
    Right,
    /// So many outputs more or fewer than there should be.
    OneFewer,
    OneMore,
    /// Embeddings of another length.
    OtherDim,
    Never,
}

/// A generator and an embedder.
struct Member {
    name: &'static str,
    /// How often it lets others run before it answers.
    pauses: usize,
    act: Box<Act>,
    calls: AtomicUsize,
    inside: AtomicUsize,
    most: AtomicUsize,
    /// The seeds of the images that it drew.
    drawn: Mutex<Vec<u64>>,
    /// The sizes of its calls.
    sizes: Mutex<Vec<usize>>,
}

/// A member whose `act` is told the number of the call, from 0.
fn member(
    name: &'static str,
    act: impl Fn(usize) -> Result<Answer> + Send + Sync + 'static,
) -> Arc<Member> {
    Arc::new(slow(name, 1, act))
}

fn slow(
    name: &'static str,
    pauses: usize,
    act: impl Fn(usize) -> Result<Answer> + Send + Sync + 'static,
) -> Member {
    Member {
        name,
        pauses,
        act: Box::new(act),
        calls: AtomicUsize::new(0),
        inside: AtomicUsize::new(0),
        most: AtomicUsize::new(0),
        drawn: Mutex::default(),
        sizes: Mutex::default(),
    }
}

fn fine(name: &'static str) -> Arc<Member> {
    member(name, |_| Ok(Answer::Right))
}

impl Member {
    async fn answer(&self, size: usize) -> Result<Answer> {
        struct Leave<'a>(&'a AtomicUsize);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, SeqCst);
            }
        }
        self.most.fetch_max(self.inside.fetch_add(1, SeqCst) + 1, SeqCst);
        let _leave = Leave(&self.inside);
        let call = self.calls.fetch_add(1, SeqCst);
        self.sizes.lock().unwrap().push(size);
        let mut left = self.pauses;
        poll_fn(|context| {
            context.waker().wake_by_ref();
            left = left.saturating_sub(1);
            if left == 0 { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
        match (self.act)(call)? {
            Answer::Never => pending().await,
            answer => Ok(answer),
        }
    }

    fn drawn(&self) -> usize {
        self.drawn.lock().unwrap().len()
    }

    fn calls(&self) -> usize {
        self.calls.load(SeqCst)
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The image that all members draw for a seed.
fn image(seed: u64) -> Image {
    let [r, g, b, ..] = (seed + 1).to_le_bytes();
    solid(1, 1, [r, g, b])
}

/// As many as the answer says.
fn outputs<T: Clone>(answer: Answer, mut right: Vec<T>) -> Vec<T> {
    match answer {
        Answer::OneFewer => drop(right.pop()),
        Answer::OneMore => right.extend(right.first().cloned()),
        _ => {}
    }
    right
}

#[async_trait]
impl Generator for Member {
    fn accepts(&self) -> &[ConditioningKind] {
        &[ConditioningKind::None]
    }

    async fn generate(&self, requests: &[GenerateRequest]) -> Result<Vec<Drawn>> {
        let answer = self.answer(requests.len()).await?;
        let seeds = requests.iter().map(|request| request.seed);
        self.drawn.lock().unwrap().extend(seeds.clone());
        Ok(outputs(answer, seeds.map(|seed| Drawn::from(image(seed))).collect()))
    }
}

/// The embedding that all members make of a text.
fn embedding(text: &str) -> Embedding {
    Embedding::new([text.len() as f32 + 1.0, 1.0]).unwrap()
}

#[async_trait]
impl Embedder for Member {
    fn dim(&self) -> usize {
        2
    }

    async fn embed_texts(&self, texts: &[&str]) -> Result<Embedded> {
        let answer = self.answer(texts.len()).await?;
        let right = texts.iter().map(|text| match answer {
            Answer::OtherDim => Embedding::new([1.0, 2.0, 3.0]).unwrap(),
            _ => embedding(text),
        });
        let embedded = Embedded::from(outputs(answer, right.collect()));
        Ok(embedded.with_usage(Usage::tokens(texts.len() as u64, 0)))
    }

    async fn embed_images(&self, images: &[Image]) -> Result<Embedded> {
        let texts = images.iter().map(|image| "x".repeat(image.width() as usize));
        let texts: Vec<_> = texts.collect();
        self.embed_texts(&texts.iter().map(String::as_str).collect::<Vec<_>>()).await
    }
}

fn request(seed: u64) -> GenerateRequest {
    GenerateRequest::new("a quetzal").with_seed(seed)
}

fn requests(seeds: impl IntoIterator<Item = u64>) -> Vec<GenerateRequest> {
    seeds.into_iter().map(request).collect()
}

fn pixels(drawn: Vec<Drawn>) -> Vec<Image> {
    drawn.into_iter().map(|drawn| drawn.image).collect()
}

fn dead() -> Result<Answer> {
    Err(Error::unavailable("the GPU", "it fell off the bus"))
}

/// Five that are alike, one dead, one slow, one that lies.
fn eight(pauses: usize) -> Vec<Arc<Member>> {
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

#[test]
fn a_batch_is_split_among_the_free_put_together_in_order_and_not_drawn_again() {
    let members =
        [fine("a"), member("b", |call| if call == 0 { dead() } else { Ok(Answer::Right) })];
    let balance = Balance::generators(members.clone()).unwrap().with_first_pause(LONG);
    let drawn = block_on(balance.generate(&requests(0..8))).unwrap();
    assert!(pixels(drawn).into_iter().eq((0..8).map(image)));
    assert_eq!(*members[0].sizes.lock().unwrap(), [4, 4], "its own share, and that of `b`");
    assert_eq!((members[0].drawn(), members[1].drawn()), (8, 0));

    let members = [fine("a"), fine("b"), fine("c")];
    let whole = Balance::generators(members.clone()).unwrap().without_splitting();
    block_on(join(whole.generate(&requests(0..4)), whole.generate(&requests(0..4)))).0.unwrap();
    assert_eq!(
        members.map(|member| member.sizes.lock().unwrap().clone()),
        [vec![4], vec![4], vec![]]
    );
    assert!(block_on(whole.generate(&[])).unwrap().is_empty());
}

#[test]
fn errors_of_the_request_are_returned_at_once_and_take_nobody_out() {
    let errors: [fn() -> Error; 9] = [
        || Error::invalid_input("width", "a multiple of 8", 7),
        || Error::refused("a", "no weapons"),
        || Error::incompatible("a", "b", "images", "tokens"),
        || Error::MissingPart { part: "vlm", hint: ".vlm(…)" },
        || Error::Cancelled,
        || Error::service("a", 400, "unknown parameter"),
        || Error::service("a", 413, "too large"),
        || Error::service("a", 422, "steps must be at most 50"),
        || Error::service("a", 451, ""),
    ];
    for error in errors {
        let members = [member("a", move |_| Err(error())), fine("b")];
        let balance = Balance::generators(members.clone()).unwrap();
        let found = block_on(balance.generate_one(&request(0))).unwrap_err();
        assert_eq!(found.to_string(), error().to_string());
        assert_eq!((members[0].calls(), members[1].calls()), (1, 0));
        assert!(balance.members().iter().all(|one| one.out_for.is_none() && one.failed == 0));
    }
    // One that the generator would see too late: its share of the batch may be the last.
    let members = [fine("a"), fine("b")];
    let balance = Balance::generators(members.clone()).unwrap();
    let batch = [request(0), request(1).with_steps(0)];
    let error = block_on(balance.generate(&batch)).unwrap_err();
    assert!(matches!(error, Error::InvalidInput { .. }), "{error}");
    assert_eq!((members[0].calls(), members[1].calls()), (0, 0));
}

#[test]
fn errors_of_a_member_take_it_out_and_the_request_goes_to_another() {
    let errors: [fn() -> Result<Answer>; 15] = [
        || Err(Error::unavailable("cuda:1", "an illegal access")),
        || Err(Error::connection("a", "refused")),
        || Err(Error::timeout("a", LONG)),
        || Err(Error::service("a", 500, "")),
        || Err(Error::service("a", 429, "").with_retry_after(Duration::MAX)),
        || Err(Error::service("a", 401, "no such key")),
        || Err(Error::service("a", 404, "no such model")),
        || Err(Error::backend("a", "a failed kernel")),
        || Err(Error::invalid_reply("a", "a picture", "a login page")),
        || Err(Error::io("a", std::io::Error::other("no disk"))),
        || Err(Error::OutOfMemory { what: "a".into(), requested: None, source: "full".into() }),
        || Err(Error::AllFailed { what: "a".into(), errors: vec![Error::timeout("x", LONG)] }),
        || Ok(Answer::OneFewer),
        || Ok(Answer::OneMore),
        || Ok(Answer::OtherDim),
    ];
    for error in errors {
        let members = [member("a", move |_| error()), fine("b")];
        let balance = Balance::embedders(members.clone()).unwrap().with_first_pause(LONG);
        for _ in 0..3 {
            assert_eq!(block_on(balance.embed_text("red")).unwrap(), embedding("red"));
        }
        assert_eq!((members[0].calls(), members[1].calls()), (1, 3));
        let [a, b] = &balance.members()[..] else { panic!("two members") };
        let MemberStatus { failed: 1, answered: 0, last_error: Some(_), .. } = a else {
            panic!("{a:?}")
        };
        assert!(a.out_for.is_some() && b.out_for.is_none() && b.answered == 3, "{b:?}");
    }
}

/// Finds and ranks one list too many, or none too many.
#[derive(Debug)]
struct Lists(usize);

impl fmt::Display for Lists {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lists({})", self.0)
    }
}

#[async_trait]
impl Retriever for Lists {
    async fn retrieve(&self, request: &RetrieveRequest) -> Result<Vec<Vec<Reference>>> {
        Ok(vec![Vec::new(); request.captions.len() + self.0])
    }
}

#[async_trait]
impl Reranker for Lists {
    async fn rank(&self, request: &RerankRequest) -> Result<Vec<Ranking>> {
        Ok(vec![Ranking::default(); request.lists.len() + self.0])
    }
}

#[test]
fn lists_and_rankings_too_many_take_out_too() {
    let captions = [Caption::concept("a cat"), Caption::concept("a dog")];
    let retrievers = Balance::retrievers([Lists(1), Lists(0)]).unwrap();
    let found = block_on(retrievers.retrieve(&RetrieveRequest::new(captions.clone(), 1))).unwrap();
    assert_eq!(found.len(), 2);
    let rerankers = Balance::rerankers([Lists(1), Lists(0)]).unwrap();
    let ranked = block_on(rerankers.rank(&RerankRequest::new(captions, vec![Vec::new(); 2])));
    assert_eq!(ranked.unwrap().len(), 2);
    for members in [retrievers.members(), rerankers.members()] {
        let told = members[0].last_error.as_deref().unwrap();
        assert!(told.starts_with("Lists(1) failed: expected 2 "), "{told}");
        assert_eq!(
            members.iter().map(|one| one.out_for.is_some()).collect::<Vec<_>>(),
            [true, false]
        );
    }
}

#[test]
fn a_lie_is_named() {
    let members = [member("a", |_| Ok(Answer::OneFewer)), member("b", |_| Ok(Answer::OneMore))];
    let balance = Balance::generators(members).unwrap();
    let error = block_on(balance.without_splitting().generate(&requests(0..3))).unwrap_err();
    let told = "every member of Balance(a, b) failed: 1: a failed: expected 3 images, found 2; \
                2: b failed: expected 3 images, found 4";
    assert_eq!(error.chain().to_string(), told);
}

#[test]
fn where_all_fail_each_is_asked_once_and_named_and_a_retry_asks_again() {
    let members = [
        member("a", |_| Err(Error::service("a", 401, "no such key"))),
        member(
            "b",
            |call| if call < 2 { Err(Error::timeout("b", LONG)) } else { Ok(Answer::Right) },
        ),
    ];
    let balance = Balance::generators(members.clone()).unwrap().with_first_pause(LONG);
    let error = block_on(balance.generate_one(&request(3))).unwrap_err();
    let told = "every member of Balance(a, b) failed: 1: a answered 401: no such key; \
                2: b took longer than 3600s";
    assert_eq!(error.to_string(), told);
    assert!(error.is_transient());
    let Error::AllFailed { errors, .. } = error else { panic!("{error:?}") };
    assert!(matches!(errors[..], [Error::Service { .. }, Error::Timeout { .. }]), "{errors:?}");
    assert_eq!((members[0].calls(), members[1].calls()), (1, 1));

    // All are out, and are tried all the same.
    let retry = Retry::new(balance.clone(), 1).with_first_wait(Duration::from_millis(1));
    assert_eq!(block_on(retry.generate_one(&request(3))).unwrap().image, image(3));
    assert_eq!(balance.members()[1].out_for, None);

    let hopeless = [member("a", |_| dead())];
    let error = block_on(Balance::generators(hopeless).unwrap().generate_one(&request(0)));
    assert!(!error.unwrap_err().is_transient());
}

#[test]
fn a_dead_member_comes_back_when_it_recovers() {
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = Arc::clone(&broken);
    let act = move |_| if is_broken.load(SeqCst) { dead() } else { Ok(Answer::Right) };
    let members = [fine("a"), member("b", act)];
    let balance = Balance::generators(members.clone()).unwrap().with_first_pause(Duration::ZERO);
    let draw = |count| {
        for seed in 0..count {
            let drawn = block_on(balance.generate_one(&request(seed))).unwrap();
            assert_eq!(drawn.image, image(seed));
        }
    };
    draw(20);
    assert_eq!(members[1].drawn(), 0);
    assert!(balance.members()[1].out_for.is_some());
    broken.store(false, SeqCst);
    draw(20);
    assert!(members[1].drawn() >= 9, "{}", members[1].drawn());
    assert_eq!(balance.members()[1].out_for, None);
    assert!(balance.members()[1].last_error.is_some(), "what it was can still be read");
}

#[test]
fn who_waits_for_a_hanging_member_gets_the_one_that_comes_back() {
    let members = [
        member("a", |_| Ok(Answer::Never)),
        member("b", |call| if call == 0 { dead() } else { Ok(Answer::Right) }),
    ];
    let balance = Balance::generators(members).unwrap().with_limit(1).unwrap();
    let balance = balance.with_first_pause(Duration::from_millis(30));
    let one = request(0);
    let mut hanging = balance.generate_one(&one).boxed();
    assert!((&mut hanging).now_or_never().is_none());
    // Its first try fails; `a` is at its limit, so that it waits for it. The second one gets `b`.
    let mut failed = balance.generate_one(&one).boxed();
    assert!((&mut failed).now_or_never().is_none());
    assert!(balance.members()[1].out_for.is_some());
    assert_eq!(block_on(balance.generate_one(&one)).unwrap().image, image(0));
}

#[test]
fn dropping_the_call_ends_all_its_parts() {
    let members = [(); 4].map(|()| member("a", |_| Ok(Answer::Never)));
    let balance = Balance::generators(members.clone()).unwrap();
    let batch = requests(0..8);
    let mut call = balance.generate(&batch);
    assert!((&mut call).now_or_never().is_none());
    assert_eq!(members.each_ref().map(|member| member.inside.load(SeqCst)), [1; 4]);
    assert!(balance.members().iter().all(|one| (one.calls, one.inputs) == (1, 2)));
    drop(call);
    assert_eq!(members.each_ref().map(|member| member.inside.load(SeqCst)), [0; 4]);
    assert!(balance.members().iter().all(|one| (one.calls, one.inputs) == (0, 0)));
    assert!(balance.members().iter().all(|one| one.out_for.is_none()));
}

#[test]
fn one_bad_share_ends_the_others() {
    let members =
        [member("a", |_| Ok(Answer::Never)), member("b", |_| Err(Error::refused("b", "x")))];
    let balance = Balance::generators(members.clone()).unwrap();
    let error = block_on(balance.generate(&requests(0..2))).unwrap_err();
    assert!(matches!(error, Error::Refused { .. }));
    assert_eq!(members[0].inside.load(SeqCst), 0);
}

/// Takes three steps and may fail after the second.
#[derive(Debug)]
struct Steps(bool);

impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Steps")
    }
}

#[async_trait]
impl Generator for Steps {
    fn accepts(&self) -> &[ConditioningKind] {
        &[ConditioningKind::None]
    }

    async fn generate(&self, requests: &[GenerateRequest]) -> Result<Vec<Drawn>> {
        for index in 1..=if self.0 { 2 } else { 3 } {
            requests.iter().for_each(|request| request.progress.report(Step::new(index, 3)));
        }
        if self.0 {
            return Err(Error::timeout(self, LONG));
        }
        Ok(requests.iter().map(|request| image(request.seed).into()).collect())
    }
}

#[test]
fn a_step_is_told_once_whoever_takes_it() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let batch = [0, 1, 2, 3].map(|number| {
        let told = Arc::clone(&told);
        let progress = Progress::new(move |step| told.lock().unwrap().push((number, step.index)));
        request(number).with_progress(progress)
    });
    let balance = Balance::generators([Steps(true), Steps(false)]).unwrap();
    block_on(balance.generate(&batch)).unwrap();
    let mut told = told.lock().unwrap().clone();
    told.sort_by_key(|(number, _)| *number); // Stable: in the order in which each was told.
    let expected = (0..4).flat_map(|number| (1..=3).map(move |step| (number, step)));
    assert!(told.iter().copied().eq(expected), "{told:?}");
}

#[test]
fn one_caller_at_a_time_meets_the_same_members_in_every_run() {
    let run = || {
        let members = eight(1);
        let balance = Balance::generators(members.clone()).unwrap().with_first_pause(LONG);
        (0..50).for_each(|seed| drop(block_on(balance.generate_one(&request(seed))).unwrap()));
        members.iter().map(|member| member.drawn.lock().unwrap().clone()).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
    let round = Balance::generators([fine("a"), fine("b"), fine("c")]).unwrap();
    (0..7).for_each(|seed| drop(block_on(round.generate_one(&request(seed))).unwrap()));
    assert_eq!(round.members().iter().map(|one| one.answered).collect::<Vec<_>>(), [3, 2, 2]);
}

#[test]
fn embeddings_are_joined_with_what_they_took() {
    let members = [fine("a"), member("b", |_| Ok(Answer::OtherDim)), fine("c")];
    let balance = Balance::embedders(members).unwrap();
    let texts: Vec<String> = (0..10).map(|n| "x".repeat(n)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let embedded = block_on(balance.embed_texts(&texts)).unwrap();
    assert!(embedded.iter().cloned().eq(texts.iter().map(|text| embedding(text))));
    assert_eq!(embedded.usage, Some(Usage::tokens(10, 0)));
    let images: Vec<Image> = (1..6).map(|width| solid(width, 1, [0; 3])).collect();
    let embedded = block_on(balance.embed_images(&images)).unwrap();
    assert!(embedded.iter().cloned().eq((1..6).map(|width| embedding(&"x".repeat(width)))));
    let free = Balance::embedders([FakeEmbedder, FakeEmbedder]).unwrap();
    assert_eq!(block_on(free.embed_texts(&["red", "blue"])).unwrap().usage, None);
}

#[test]
fn members_must_fit_each_other() {
    let none = Balance::generators(Vec::<FakeGenerator>::new()).unwrap_err();
    assert_eq!(none.to_string(), "members of a Balance: expected at least 1, found 0");
    assert!(Balance::vlms(Vec::<FakeVlm>::new()).is_err());

    let wider = FakeGenerator::new().accepting(ConditioningKind::Tokens { space: "x".into() });
    for other in [FakeGenerator::text_only(), FakeGenerator::new().with_image_mark(None), wider] {
        let error = Balance::generators([FakeGenerator::new(), other]).unwrap_err();
        assert!(matches!(error, Error::Incompatible { .. }), "{error}");
    }
    let error = Balance::generators([
        FakeGenerator::new().with_image_mark(Some("<{n}>")),
        FakeGenerator::new(),
    ]);
    let told = "FakeGenerator does not fit FakeGenerator: expected image mark Some(\"<{n}>\"), \
                found image mark Some(\"<img><|image_{n}|></img>\")";
    assert_eq!(error.unwrap_err().to_string(), told);

    let boxed: [Arc<dyn Embedder>; 2] = [fine("a"), Arc::new(FakeEmbedder)];
    let error = Balance::embedders(boxed).unwrap_err();
    let told =
        "FakeEmbedder does not fit a: expected 2 values an embedding, found 3 values an embedding";
    assert_eq!(error.to_string(), told);

    let two = || Balance::generators([FakeGenerator::new(), FakeGenerator::new()]).unwrap();
    assert!(two().repeats());
    let one_does_not = [FakeGenerator::new(), FakeGenerator::new().never_repeating()];
    assert!(!Balance::generators(one_does_not).unwrap().repeats());
    assert!(two().with_limit(0).is_err() && two().with_limits([1, 0]).is_err());
    let error = two().with_limits([1]).unwrap_err().to_string();
    assert_eq!(error, "limits of a Balance: expected 2, one for each member, found 1");
    let limits = two().with_limits([1, 2]).unwrap().members();
    assert_eq!(limits.iter().map(|one| one.limit).collect::<Vec<_>>(), [Some(1), Some(2)]);
}

#[test]
fn it_is_named_after_its_members_and_an_embedder_as_one_of_them() {
    let (a, b) = (fine("a"), fine("b"));
    let generators = Balance::generators([Arc::clone(&a), Arc::clone(&b)]).unwrap();
    assert_eq!(generators.to_string(), "Balance(a, b)");
    let limited = Limit::new(Retry::new(generators, 2), 4).unwrap();
    assert_eq!(limited.to_string(), "Limit(Retry(Balance(a, b), 2), 4)");
    let embedders = Balance::embedders([Arc::clone(&a), Arc::clone(&b)]).unwrap();
    assert_eq!(embedders.to_string(), "Balance(a, b)");
    let same = Balance::embedders([Arc::clone(&a), a]).unwrap();
    assert_eq!((same.to_string(), format!("{same:#}")), ("a".into(), "a".into()));
    assert_eq!(same.members()[1].name, "a");
}

#[test]
fn vlms_are_asked_in_turn_and_a_refusal_is_an_answer() {
    let no = ChatReply::new("").with_refusal("I cannot judge people.");
    let vlms = [FakeVlm::new(["yes"]).then(Ok(no)), FakeVlm::new(["no"])];
    let balance = Balance::vlms(vlms).unwrap().with_first_pause(LONG);
    let ask = || block_on(balance.chat(&ChatRequest::new(Vec::new())));
    let answers: Vec<ChatReply> = (0..3).map(|_| ask().unwrap()).collect();
    assert_eq!([&answers[0].text, &answers[1].text], ["yes", "no"]);
    assert!(answers[2].refusal.is_some());
    assert!(ask().is_err(), "no reply is left");
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
