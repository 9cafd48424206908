//! Several parts behind one `Balance`: what is split and joined, whom a caller meets, how it is named.

mod faults;
mod load;
mod member;

use std::fmt;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::executor::block_on;
use futures::future::join;
use imagerag::conditioner::ConditioningKind;
use imagerag::embedder::Batching;
use imagerag::generator::{Drawn, GenerateRequest, Progress, Step};
use imagerag::middleware::{Balance, Limit, Retry};
use imagerag::testing::{FakeEmbedder, FakeGenerator, FakeVlm, solid};
use imagerag::vlm::{ChatReply, ChatRequest};
use imagerag::{Embedder, Error, Generator, GeneratorExt, Image, Result, Usage, Vlm, async_trait};

use load::eight;
use member::*;

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
    assert_eq!(free.batching(), Batching::new(64, 2), "a batch for each");
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
