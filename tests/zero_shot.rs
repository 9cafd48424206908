//! The critic without a VLM: which concept of the prompt does an image not show?

use futures::executor::block_on;
use imagerag::critic::{CritiqueRequest, Query, Verdict, ZeroShotCritic};
use imagerag::reference::Caption;
use imagerag::testing::{FakeEmbedder, solid};
use imagerag::{Critic, Image};

fn critic() -> ZeroShotCritic<FakeEmbedder> {
    block_on(ZeroShotCritic::new(FakeEmbedder, &["red", "green", "blue"])).unwrap()
}

fn judge(prompt: &str, image: Option<Image>) -> Verdict {
    let mut request = CritiqueRequest::new(prompt, image);
    request.max_concepts = 3;
    block_on(critic().critique(&request)).unwrap().verdict
}

fn missing(concepts: &[&str]) -> Verdict {
    let caption = |concept: &&str| Caption::new(format!("a photo of a {concept}"), *concept);
    Verdict::Missing(concepts.iter().map(caption).collect())
}

#[test]
fn tells_what_an_image_shows() {
    let red = solid(8, 8, [250, 10, 10]);
    assert_eq!(judge("a Red house", Some(red.clone())), Verdict::Match);
    assert_eq!(judge("a blue house", Some(red.clone())), missing(&["blue"]));
    assert_eq!(judge("a redwood tree", Some(red)), Verdict::Match, "names no concept");
    assert_eq!(judge("green and blue", None), missing(&["green", "blue"]));
    assert_eq!(judge("a house", None), Verdict::Undetermined);
}

#[test]
fn a_concept_must_be_close_enough_where_that_is_asked_for() {
    let orange = solid(8, 8, [255, 130, 0]);
    let request = CritiqueRequest::new("a red house", Some(orange));
    let verdict = |critic: ZeroShotCritic<_>| block_on(critic.critique(&request)).unwrap().verdict;
    assert_eq!(verdict(critic()), Verdict::Match);
    assert_eq!(verdict(critic().with_threshold(0.95)), missing(&["red"]));
    assert_eq!(verdict(critic().with_margin(0.5)), missing(&["red"]));
}

#[test]
fn two_concepts_can_share_an_image() {
    let both = solid(8, 8, [250, 250, 10]);
    assert_eq!(judge("red and green", Some(both)), Verdict::Match);
}

#[test]
fn the_longest_name_counts() {
    let names = ["red", "red blue", "green"];
    let critic = block_on(ZeroShotCritic::new(FakeEmbedder, &names)).unwrap();
    let mut request = CritiqueRequest::new("a red blue bird", None);
    request.query = Query::Concept;
    let verdict = block_on(critic.critique(&request)).unwrap().verdict;
    assert_eq!(verdict, Verdict::Missing(vec![Caption::concept("red blue")]));
}

#[test]
fn lists_that_are_no_lists_are_refused() {
    for names in [&["red"][..], &["red", " "], &["red", "RED"]] {
        assert!(block_on(ZeroShotCritic::new(FakeEmbedder, names)).is_err());
    }
    let template = block_on(ZeroShotCritic::with_template(FakeEmbedder, &["a", "b"], "a photo"));
    assert!(template.is_err());
}
