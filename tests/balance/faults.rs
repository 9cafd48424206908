//! Members that fail, lie or hang: who is taken out, who is asked instead, and what the caller is told.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use futures::FutureExt;
use futures::executor::block_on;
use imagerag::embedder::{Embedded, Embedding};
use imagerag::middleware::{Balance, MemberStatus, Retry};
use imagerag::reference::{Caption, Reference};
use imagerag::retriever::{Ranking, RerankRequest, RetrieveRequest};
use imagerag::testing::solid;
use imagerag::{
    Embedder, EmbedderExt, Error, Generator, GeneratorExt, Image, Reranker, Result, Retriever,
    async_trait,
};

use crate::member::*;

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
fn a_member_without_the_model_or_the_key_is_out_and_costs_no_call() {
    for words in ["model 'clip' is not loaded", "The model `m` does not exist", "API key not valid"]
    {
        let members = [member("a", move |_| Err(Error::service("a", 400, words))), fine("b")];
        let balance = Balance::generators(members.clone()).unwrap().with_first_pause(LONG);
        for seed in 0..6 {
            block_on(balance.generate_one(&request(seed))).unwrap();
        }
        assert_eq!((members[0].calls(), members[1].calls()), (1, 6), "{words}");
        assert!(balance.members()[0].last_error.as_ref().is_some_and(|told| told.contains(words)));
    }
}

#[test]
fn a_member_that_refuses_what_another_answers_is_out_after_its_second_refusal() {
    let members = [member("a", |_| Err(Error::service("a", 400, "computer says no"))), fine("b")];
    let balance = Balance::generators(members.clone()).unwrap().with_first_pause(LONG);
    let failed = (0..12).filter(|seed| block_on(balance.generate_one(&request(*seed))).is_err());
    assert_eq!(failed.count(), 1);
    assert_eq!(members[0].calls(), 2);
    assert!(balance.members()[0].out_for.is_some());
    // Where all refuse, the requests are bad, and nobody is out.
    let members = ["a", "b"].map(|name| {
        member(name, move |_| Err(Error::service(name, 422, "steps must be at most 50")))
    });
    let balance = Balance::generators(members.clone()).unwrap().with_limit(1).unwrap();
    for seed in 0..6 {
        let told = block_on(balance.generate_one(&request(seed))).unwrap_err();
        assert!(matches!(told, Error::Service { status: 422, .. }), "{told}");
    }
    assert!(balance.members().iter().all(|one| one.out_for.is_none() && one.failed == 0));
    assert!(members[0].calls() + members[1].calls() <= 12);
}

/// An embedder of another model than the others where it is told so.
#[derive(Debug)]
struct OfModel(&'static str, AtomicBool);

impl fmt::Display for OfModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[async_trait]
impl Embedder for OfModel {
    fn dim(&self) -> usize {
        2
    }

    async fn embed_texts(&self, texts: &[&str]) -> Result<Embedded> {
        let sign = if self.1.load(SeqCst) { -1.0 } else { 1.0 };
        texts.iter().map(|text| Embedding::new([text.len() as f32 + 1.0, sign * 9.0])).collect()
    }

    async fn embed_images(&self, images: &[Image]) -> Result<Embedded> {
        let texts: Vec<_> = images.iter().map(|image| "x".repeat(image.width() as usize)).collect();
        self.embed_texts(&texts.iter().map(String::as_str).collect::<Vec<_>>()).await
    }
}

#[test]
fn an_embedder_of_another_model_is_found_named_and_never_used() {
    let texts = ["red", "green", "blue", "a red car", "two"];
    let images: Vec<Image> = (1..9).map(|width| solid(width, 1, [0; 3])).collect();
    let of = |name, other| Arc::new(OfModel(name, AtomicBool::new(other)));
    for liar in 1..3 {
        let members = [of("a", false), of("b", liar == 1), of("c", liar == 2)];
        let alone = Arc::clone(&members[0]);
        let balance = Balance::embedders(members.clone()).unwrap().with_first_pause(LONG);
        // The first one answers first.
        let first = block_on(balance.embed_text("zebra")).unwrap();
        assert_eq!(first, block_on(alone.embed_text("zebra")).unwrap());
        for _ in 0..4 {
            assert_eq!(
                block_on(balance.embed_texts(&texts)).unwrap(),
                block_on(alone.embed_texts(&texts)).unwrap()
            );
            let right = block_on(alone.embed_images(&images)).unwrap();
            assert_eq!(block_on(balance.embed_images(&images)).unwrap(), right);
            let partly = block_on(balance.embed_images_partly(&images));
            let found: Vec<_> = partly.embeddings.into_iter().flatten().collect();
            assert_eq!((found, partly.error.is_none()), (right.embeddings, true));
        }
        for (n, status) in balance.members().into_iter().enumerate() {
            assert_eq!(status.out_for.is_some(), n == liar, "{status:?}");
            let told = status.last_error.unwrap_or_default();
            assert_eq!(
                told.contains("the embedding of a") && told.contains("another model"),
                n == liar
            );
        }
    }
    // Where all are of one model, they answer in turn, and none has failed.
    let members = [of("a", false), of("b", false)];
    let balance = Balance::embedders(members.clone()).unwrap().with_first_pause(LONG);
    (0..4).for_each(|_| drop(block_on(balance.embed_text("red")).unwrap()));
    assert!(balance.members().iter().all(|one| one.failed == 0 && one.answered == 2));
}
