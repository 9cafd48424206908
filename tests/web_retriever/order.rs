//! In which order references come, with an embedder and without, and that none comes twice.

use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;
use imagerag::reference::{Caption, Filter, Reference};
use imagerag::retriever::{Fuse, RetrieveRequest, Retriever};
use imagerag::testing::{FakeEmbedder, conformance};

use crate::server::{Server, answer, png, results};
use crate::{find, names, openverse};

const BY: &str = "by 4.0";

fn colors() -> Server {
    let found = results(&[
        ("ORIGIN/gone.png", BY),
        ("ORIGIN/blue.png", BY),
        ("ORIGIN/green.png", BY),
        ("ORIGIN/red.png", BY),
        ("ORIGIN/red_copy.png", BY),
        ("ORIGIN/blue.png", BY),
    ]);
    let copy = vec![answer(200, png([200, 0, 0]))];
    Server::new([("/v1/images/", vec![found]), ("/red_copy.png", copy)])
}

#[test]
fn without_an_embedder_the_order_is_the_services() {
    let server = colors();
    let retriever = openverse(&server).build().unwrap();
    let list = find(&retriever, "a red car", 9).unwrap();
    assert_eq!(names(&list), ["gone.png", "blue.png", "green.png", "red.png", "red_copy.png"]);
    let scores: Vec<f32> = list.iter().map(|one| one.provenance.score).collect();
    assert_eq!(scores, [1.0, 1.0 / 2.0, 1.0 / 3.0, 1.0 / 4.0, 1.0 / 5.0]);
    assert!(list.iter().all(|one| one.picture.skips_unreadable()));
    assert_eq!(list[0].provenance.retriever, "Web(Openverse)");
    assert_eq!(names(&find(&retriever, "a red car", 2).unwrap()), ["gone.png", "blue.png"]);
    assert!(server.asked("/blue.png").is_empty());
}

#[test]
fn with_an_embedder_the_closest_comes_first_and_what_is_missing_last() {
    let server = colors();
    let retriever = openverse(&server).embedder(FakeEmbedder).build().unwrap();
    let list = find(&retriever, "a red car", 9).unwrap();
    let found = names(&list);
    assert_eq!((found.len(), found[0].as_str(), found[3].as_str()), (4, "red.png", "gone.png"));
    let scores: Vec<f32> = list.iter().map(|one| one.provenance.score).collect();
    assert!(scores.is_sorted_by(|one, other| one >= other) && scores[0] > scores[1], "{scores:?}");
    assert_eq!(scores[3], -1.0);
    let note = list[3].provenance.note.as_deref().unwrap();
    assert!(note.contains("404"), "{note}");
    let said = block_on(list[3].image()).unwrap_err().chain().to_string();
    assert!(said.contains("404") && said.contains("/gone.png"), "{said}");
    assert_eq!(server.asked("/gone.png").len(), 1, "it is not downloaded a second time");
    assert_eq!(block_on(list[0].image()).unwrap().pixels()[..3], [200, 0, 0]);
    // Bounds at their ends are no panics.
    let builder = openverse(&server).embedder(FakeEmbedder).max_bytes(usize::MAX);
    let builder = builder.max_pixels(u64::MAX).time_limit(Duration::MAX).search_age(Duration::MAX);
    let endless = builder.timeout(Duration::MAX).cache_bytes(u64::MAX).build().unwrap();
    assert_eq!(names(&find(&endless, "a red car", 9).unwrap()), found);
    // A smaller limit gives the same, cut.
    assert_eq!(names(&find(&retriever, "a red car", 2).unwrap()), found[..2]);
    assert!(retriever.to_string().starts_with("Web(Openverse, Fake"), "{retriever}");
}

#[test]
fn captions_are_searched_each_and_shared_pictures_downloaded_once() {
    let server = colors();
    let retriever = openverse(&server).embedder(FakeEmbedder).build().unwrap();
    let captions = ["a red car", "a blue car", "a green car"].map(Caption::concept);
    let request = RetrieveRequest::new(captions, 1);
    let lists = block_on(retriever.retrieve(&request)).unwrap();
    let best: Vec<_> = lists.iter().flat_map(|list| names(list)).collect();
    assert_eq!(best, ["red.png", "blue.png", "green.png"]);
    assert_eq!((server.asked("/v1/images/").len(), server.asked("/blue.png").len()), (3, 1));
    for (list, caption) in lists.iter().zip(&request.captions) {
        assert_eq!(&list[0].caption, caption);
    }
}

#[test]
fn time_for_all_downloads_is_bounded() {
    let found = results(&[("ORIGIN/slow.png", BY)]);
    let slow = vec![answer(200, "x").hanging()];
    let server = Server::new([("/v1/images/", vec![found]), ("/slow.png", slow)]);
    let limit = Duration::from_millis(300);
    let retriever = openverse(&server).embedder(FakeEmbedder).time_limit(limit).build().unwrap();
    let list = find(&retriever, "a red car", 2).unwrap();
    let said = list[0].provenance.note.as_deref().unwrap();
    assert!(said.contains("the candidates took longer than 300ms"), "{said}");
}

#[test]
fn as_many_requests_are_on_their_way_as_are_allowed() {
    let names: Vec<String> = (0..12).map(|n| format!("ORIGIN/{n}.png")).collect();
    let pictures: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), BY)).collect();
    let server = Server::new([("/v1/images/", vec![results(&pictures)])]);
    let builder = openverse(&server).embedder(FakeEmbedder).max_retries(0);
    let retriever = builder.concurrency(2).build().unwrap();
    let captions: Vec<Caption> = (0..6).map(|n| Caption::concept(format!("car {n}"))).collect();
    let lists = block_on(retriever.retrieve(&RetrieveRequest::new(captions, 12))).unwrap();
    assert_eq!(lists.iter().map(Vec::len).collect::<Vec<_>>(), [12; 6]);
    assert!((1..=2).contains(&server.most_at_once()), "{}", server.most_at_once());
}

#[test]
fn nothing_found_is_an_empty_list_and_no_question_to_the_embedder() {
    let server = Server::new([("/v1/images/", vec![results(&[])])]);
    let retriever = openverse(&server).embedder(FakeEmbedder).build().unwrap();
    let captions = ["a", "b"].map(Caption::concept);
    let lists = block_on(retriever.retrieve(&RetrieveRequest::new(captions.clone(), 3))).unwrap();
    assert_eq!(lists, [vec![], vec![]]);
    let asked = server.asked("/v1/images/").len();
    let lists = block_on(retriever.retrieve(&RetrieveRequest::new(captions, 0))).unwrap();
    assert_eq!((lists.len(), server.asked("/v1/images/").len()), (2, asked));
}

#[test]
fn it_keeps_the_contract_of_retrievers() {
    let server = colors();
    let captions = ["a red car", "a blue car"].map(Caption::concept);
    let builder = || openverse(&server).filter(Filter::all().licenses(["CC-BY-4.0"]));
    block_on(conformance::retriever(&builder().build().unwrap(), &captions));
    let ranked = builder().embedder(FakeEmbedder).build().unwrap();
    block_on(conformance::retriever(&ranked, &captions));
    // Two services are two retrievers.
    let both: [Arc<dyn Retriever>; 2] = [Arc::new(builder().build().unwrap()), Arc::new(ranked)];
    let both = Fuse::by_rank(both, 3).unwrap();
    block_on(conformance::retriever(&both, &captions));
}

/// What is found of a picture that is under the `first` license at one address and under the `second` at
/// another, which has the same bytes.
fn copied(first: &str, second: &str, same_address: bool, filter: Filter) -> Vec<Reference> {
    let other = if same_address { "ORIGIN/red.png" } else { "ORIGIN/red_copy.png" };
    let found = results(&[("ORIGIN/red.png", first), (other, second), ("ORIGIN/blue.png", BY)]);
    let copy = vec![answer(200, png([200, 0, 0]))];
    let server = Server::new([("/v1/images/", vec![found]), ("/red_copy.png", copy)]);
    let builder = openverse(&server).filter(filter);
    if same_address {
        return find(&builder.build().unwrap(), "a red car", 9).unwrap();
    }
    find(&builder.embedder(FakeEmbedder).build().unwrap(), "a red car", 9).unwrap()
}

#[test]
fn a_picture_under_licenses_that_contradict_each_other_has_none_and_a_note() {
    let both = || Filter::all().licenses(["CC0-1.0", "CC-BY-NC-ND-4.0", "CC-BY-4.0"]);
    for same_address in [false, true] {
        for (first, second) in [("cc0 1.0", "by-nc-nd 4.0"), ("by-nc-nd 4.0", "cc0 1.0")] {
            let list = copied(first, second, same_address, Filter::all());
            assert_eq!(names(&list), ["red.png", "blue.png"]);
            let about = &list[0].provenance;
            assert_eq!(about.metadata.license, None, "{first} and {second}");
            let note = about.note.as_deref().unwrap();
            assert!(note.contains("CC0-1.0 at http://127.0.0.1"), "{note}");
            assert!(note.contains("CC-BY-NC-ND-4.0 at http://127.0.0.1"), "{note}");
            let blue = &list[1].provenance;
            assert_eq!((blue.metadata.license.as_deref(), &blue.note), (Some("CC-BY-4.0"), &None));
            // A filter of licenses refuses what has none, even where it allows both.
            let list = copied(first, second, same_address, both());
            assert_eq!((names(&list), list[0].provenance.rank), (vec!["blue.png".to_owned()], 0));
        }
        // One that is the same, or unknown, contradicts none.
        for second in ["cc0 1.0", ""] {
            let list = copied("cc0 1.0", second, same_address, both());
            let about = &list[0].provenance;
            assert_eq!(about.metadata.license.as_deref(), Some("CC0-1.0"));
            assert_eq!((names(&list)[0].as_str(), &about.note), ("red.png", &None));
        }
    }
}
