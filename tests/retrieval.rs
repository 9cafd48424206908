//! Retrievers over retrievers: re-ranking, fusion, thresholds.

#[allow(dead_code, reason = "shared with other tests")]
mod retrieval_support;

use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::FutureExt;
use futures::executor::block_on;
use imagerag::reference::{Caption, Reference, Source};
use imagerag::retriever::{
    Bm25, CaptionWriter, Fuse, Idf, Mmr, Ranking, Rerank, RerankRequest, Reranker, RetrieveRequest,
    Threshold, VlmReranker,
};
use imagerag::testing::{FakeEmbedder, FakeRetriever, FakeVlm, conformance, solid};
use imagerag::vlm::{ChatReply, ExchangeLog, Questions};
use imagerag::{Error, Result, Retriever};
use retrieval_support::{Redness, Shelf, picture, refusing};

/// A retriever or re-ranker that breaks its contract or fails.
#[derive(Clone, Copy, Debug)]
enum Broken {
    NoList,
    Fails,
    Scores(&'static [f32]),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Broken")
    }
}

#[async_trait]
impl Retriever for Broken {
    async fn retrieve(&self, _: &RetrieveRequest) -> Result<Vec<Vec<Reference>>> {
        match self {
            Self::Fails => Err(Error::Cancelled),
            _ => Ok(Vec::new()),
        }
    }
}

#[async_trait]
impl Reranker for Broken {
    async fn rank(&self, request: &RerankRequest) -> Result<Vec<Ranking>> {
        match self {
            Self::NoList => Ok(Vec::new()),
            Self::Fails => Err(Error::Cancelled),
            Self::Scores(scores) => {
                let ranking = Ranking { scores: scores.to_vec(), note: None };
                Ok(vec![ranking; request.lists.len()])
            }
        }
    }
}

/// Sources and scores of what is found for one caption.
fn found(retriever: &dyn Retriever, caption: &str, limit: usize) -> Vec<(String, f32)> {
    list(retriever, caption, limit)
        .into_iter()
        .map(|reference| (reference.provenance.source.to_string(), reference.provenance.score))
        .collect()
}

fn sources(retriever: &dyn Retriever, caption: &str, limit: usize) -> Vec<String> {
    found(retriever, caption, limit).into_iter().map(|(source, _)| source).collect()
}

fn list(retriever: &dyn Retriever, caption: &str, limit: usize) -> Vec<Reference> {
    block_on(retriever.retrieve(&RetrieveRequest::new([Caption::concept(caption)], limit)))
        .unwrap()
        .remove(0)
}

// Re-ranking.

const CAPTIONED: [(&str, f32, Option<&str>); 4] = [
    ("car", 0.31, Some("A red car on a road.")),
    ("tree", 0.30, Some("A tree")),
    ("bird", 0.29, Some("a quetzal, on a branch of a tree")),
    ("unknown", 0.28, None),
];

#[test]
fn bm25_puts_shared_words_first_and_keeps_what_was_said_before() {
    let rerank = Rerank::new(Shelf::new("Shelf", &CAPTIONED), Bm25::new(), 4).unwrap();
    assert_eq!(rerank.to_string(), "Rerank(Shelf, BM25)");
    let found = list(&rerank, "Quetzal on a branch!", 8);
    let order: Vec<_> = found.iter().map(|r| r.provenance.source.to_string()).collect();
    assert_eq!(order, ["bird", "tree", "car", "unknown"]);
    let best = &found[0].provenance;
    assert_eq!((best.rank, best.retriever.as_str()), (0, "Rerank(Shelf, BM25)"));
    let before = &best.found_by[0];
    assert_eq!((before.retriever.as_str(), before.score, before.rank), ("Shelf", 0.29, 2));
    // Nothing shared: what rank_bm25 gives, and the order inside.
    assert_eq!(found[3].provenance.score, 0.0);
    assert_eq!(sources(&rerank, "zeppelin", 8), ["car", "tree", "bird", "unknown"]);
}

#[test]
fn only_the_candidates_are_reordered_whatever_the_limit() {
    let shelf = Shelf::new("Shelf", &CAPTIONED);
    let rerank = Rerank::new(shelf.clone(), Bm25::new(), 3).unwrap();
    assert_eq!(sources(&rerank, "quetzal branch", 8), ["bird", "car", "tree"]);
    assert_eq!(sources(&rerank, "quetzal branch", 1), ["bird"]);
    assert!(sources(&rerank, "quetzal branch", 0).is_empty());
    assert_eq!(shelf.asked(), [3, 3], "limit 0 asks nobody");
    let error = Rerank::new(shelf, Bm25::new(), 0).unwrap_err().chain().to_string();
    assert_eq!(error, "candidates to re-rank: expected at least 1, found 0");
}

#[test]
fn missing_captions_are_written_once_and_kept() {
    let vlm = FakeVlm::new(["a kea"]);
    let kept = Arc::new(Mutex::new(Vec::new()));
    let gallery = Arc::clone(&kept);
    let writer = CaptionWriter::new(vlm.clone()).kept_by(move |new| {
        gallery.lock().unwrap().extend_from_slice(new);
        Ok(())
    });
    let bm25 = Bm25::new().with_writer(writer);
    assert_eq!(bm25.to_string(), "BM25(captions by FakeVlm)");
    let lucene = bm25.clone().with_idf(Idf::Lucene);
    assert_eq!(lucene.to_string(), "BM25(Lucene, captions by FakeVlm)");
    let rerank = Rerank::new(Shelf::new("Shelf", &CAPTIONED), bm25, 4).unwrap();
    let captions = [Caption::concept("a kea"), Caption::concept("kea")];
    let lists = block_on(rerank.retrieve(&RetrieveRequest::new(&captions, 1))).unwrap();
    assert!(lists.iter().all(|l| l[0].provenance.source == Source::Uri("unknown".into())));
    block_on(rerank.retrieve(&RetrieveRequest::new(&captions, 1))).unwrap();
    assert_eq!(vlm.requests().len(), 1, "one image without a caption, described once");
    assert_eq!(vlm.requests()[0].messages[0].images, [picture("unknown")]);
    assert_eq!(*kept.lock().unwrap(), [(Source::Uri("unknown".into()), "a kea".to_owned())]);
}

#[test]
fn an_image_that_is_not_described_has_no_words_and_is_not_asked_about_again() {
    for reply in [ChatReply::new("I'm sorry, I can't help"), refusing("no"), ChatReply::new(" ")] {
        let vlm = FakeVlm::default().then(Ok(reply));
        let bm25 = Bm25::new().with_writer(CaptionWriter::new(vlm.clone()));
        let rerank = Rerank::new(Shelf::new("Shelf", &CAPTIONED), bm25, 4).unwrap();
        for _ in 0..2 {
            assert_eq!(sources(&rerank, "sorry quetzal", 1), ["bird"]);
        }
        assert_eq!(vlm.requests().len(), 1);
    }
}

#[test]
fn captions_that_were_paid_for_outlive_an_error() {
    let shelf = Shelf::plain("Shelf", &["a", "b", "c"]);
    let vlm =
        FakeVlm::new(["an ape"]).then(Err(Error::Cancelled)).then(Ok(ChatReply::new("a cat")));
    let writer = CaptionWriter::new(vlm.clone());
    let rerank = Rerank::new(shelf.clone(), Bm25::new().with_writer(writer), 3).unwrap();
    let captions = [Caption::concept("a cat")];
    assert!(matches!(
        block_on(rerank.retrieve(&RetrieveRequest::new(&captions, 1))),
        Err(Error::Cancelled)
    ));
    let vlm = vlm.then(Ok(ChatReply::new("a bee")));
    assert_eq!(sources(&rerank, "a cat", 1), ["c"]);
    assert_eq!(vlm.requests().len(), 4, "only the second is asked about again");

    let full = |_: &[(Source, String)]| Err(Error::backend("gallery", "disk full"));
    let writer = CaptionWriter::new(FakeVlm::new(["an ape", "a bee", "a cat"])).kept_by(full);
    let rerank = Rerank::new(shelf, Bm25::new().with_writer(writer), 3).unwrap();
    let error = block_on(rerank.retrieve(&RetrieveRequest::new(&captions, 1)))
        .unwrap_err()
        .chain()
        .to_string();
    assert_eq!(error, "gallery failed: disk full");
    assert_eq!(sources(&rerank, "a cat", 1), ["c"], "remembered all the same");
}

#[test]
fn a_vlm_orders_what_it_sees() {
    let vlm = FakeVlm::new(["2,0"]);
    let shelf = Shelf::plain("Shelf", &["a", "b", "c", "d"]);
    let rerank = Rerank::new(shelf, VlmReranker::new(vlm.clone()), 3).unwrap();
    assert_eq!(rerank.to_string(), "Rerank(Shelf, FakeVlm)");
    let expected = [("c".to_owned(), 1.0), ("a".to_owned(), 0.5), ("b".to_owned(), 1.0 / 3.0)];
    assert_eq!(found(&rerank, "a cat", 8), expected);
    assert_eq!(sources(&rerank, "a cat", 1), ["c"], "asked once");
    let requests = vlm.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].temperature, 0.0);
    assert_eq!(requests[0].messages[0].images, ["a", "b", "c"].map(picture));
    assert!(requests[0].messages[0].text.contains("\"a cat\""));
}

#[test]
fn rerankers_ask_in_the_words_of_the_caller() {
    let questions = Questions::default()
        .with_rerank("Welches der {count} Bilder (0 bis {last}) zeigt „{caption}“?")
        .with_description("Beschreibe das Bild.")
        .with_refusals(["Das kann ich nicht"]);
    let shelf = Shelf::plain("Shelf", &["a", "b", "c"]);
    let vlm = FakeVlm::new(["Das kann ich nicht. 2", "2"]);
    let by_vlm = VlmReranker::new(vlm.clone());
    let reranker = by_vlm.clone().with_questions(questions.clone()).unwrap();
    let rerank = Rerank::new(shelf.clone(), reranker, 3).unwrap();
    assert_eq!(sources(&rerank, "eine Katze", 1), ["a"], "refused");
    let text = &vlm.requests()[0].messages[0].text;
    assert_eq!(text, "Welches der 3 Bilder (0 bis 2) zeigt „eine Katze“?");
    // The answer to another question is no answer to this one.
    let rerank = Rerank::new(shelf.clone(), by_vlm, 3).unwrap();
    assert_eq!(sources(&rerank, "eine Katze", 1), ["c"]);

    let vlm = FakeVlm::new(["ein Affe", "eine Biene", "eine Katze"]);
    let writer = CaptionWriter::new(vlm.clone()).with_questions(questions).unwrap();
    let rerank = Rerank::new(shelf, Bm25::new().with_writer(writer), 3).unwrap();
    assert_eq!(sources(&rerank, "eine Katze", 1), ["c"]);
    assert_eq!(vlm.requests()[0].messages[0].text, "Beschreibe das Bild.");

    let wrong = Questions::default().with_rerank("Which?");
    let error = VlmReranker::new(vlm.clone()).with_questions(wrong.clone()).unwrap_err();
    assert!(error.to_string().starts_with("question rerank: expected a text with {caption}"));
    assert!(CaptionWriter::new(vlm).with_questions(wrong).is_err());
}

#[test]
fn a_retrieval_that_nobody_polls_holds_up_no_other() {
    let shelf = Shelf::plain("Shelf", &["a", "b", "c"]);
    let vlm = FakeVlm::new(["2"]);
    let rerank = Rerank::new(shelf, VlmReranker::new(vlm.clone()), 3).unwrap();
    let request = || {
        let log = ExchangeLog::default();
        (RetrieveRequest::new([Caption::concept("a cat")], 1).with_log(log.clone()), log)
    };
    let ((first, first_log), (second, second_log)) = (request(), request());
    let mut parked = rerank.retrieve(&first);
    while vlm.requests().is_empty() {
        assert!(parked.as_mut().now_or_never().is_none());
    }
    let found = block_on(rerank.retrieve(&second)).unwrap();
    assert_eq!(block_on(parked).unwrap()[0][0].provenance.source, found[0][0].provenance.source);
    assert_eq!(vlm.requests().len(), 1, "asked once");
    assert_eq!(first_log.take().len() + second_log.take().len(), 1, "written down once");
}

#[test]
fn a_question_that_is_left_is_written_down() {
    let shelf = Shelf::plain("Shelf", &["a", "b", "c"]);
    let vlm = FakeVlm::new(["2", "2"]);
    let rerank = Rerank::new(shelf, VlmReranker::new(vlm.clone()), 3).unwrap();
    let log = ExchangeLog::default();
    let request = RetrieveRequest::new([Caption::concept("a cat")], 1).with_log(log.clone());
    let mut left = rerank.retrieve(&request);
    while vlm.requests().is_empty() {
        assert!(left.as_mut().now_or_never().is_none());
    }
    drop(left);
    let exchanges = log.take();
    assert_eq!((exchanges.len(), exchanges[0].problem.as_deref()), (1, Some("cancelled")));
    block_on(rerank.retrieve(&request)).unwrap();
    assert_eq!(vlm.requests().len(), 2, "asked anew");
}

#[test]
fn replies_that_give_no_order_leave_the_order_inside_and_say_so() {
    let shelf = Shelf::plain("Shelf", &["a", "b", "c"]);
    for (reply, said) in [
        (ChatReply::new("I can't help with that."), "gave no order: I can't help with that."),
        (refusing("not allowed"), "gave no order: not allowed"),
        (ChatReply::new("the cat"), "gave no order: the cat"),
        (ChatReply::new("17, 99"), "gave no order: 17, 99"),
        (ChatReply::new(""), "gave no order: "),
    ] {
        let vlm = VlmReranker::new(FakeVlm::default().then(Ok(reply)));
        let rerank = Rerank::new(shelf.clone(), vlm, 3).unwrap();
        let found = list(&rerank, "a cat", 3);
        let order: Vec<_> = found.iter().map(|r| r.provenance.source.to_string()).collect();
        assert_eq!(order, ["a", "b", "c"]);
        assert_eq!(found[0].provenance.note, Some(format!("FakeVlm {said}")));
    }
    let vlm = VlmReranker::new(FakeVlm::new(["1, 1, 7, 1"]));
    let found = list(&Rerank::new(shelf, vlm, 3).unwrap(), "a cat", 3);
    assert_eq!(found[0].provenance.note.as_deref(), Some("FakeVlm: 1, 1, 7, 1"));
    assert_eq!(found[0].provenance.source.to_string(), "b");
}

#[test]
fn one_candidate_is_no_question_and_errors_are_passed_on() {
    let vlm = FakeVlm::default();
    let rerank =
        Rerank::new(Shelf::plain("Shelf", &["a"]), VlmReranker::new(vlm.clone()), 3).unwrap();
    assert_eq!(found(&rerank, "a cat", 3), [("a".to_owned(), 1.0)]);
    let empty = Rerank::new(Shelf::plain("Shelf", &[]), VlmReranker::new(vlm.clone()), 3).unwrap();
    assert!(sources(&empty, "a cat", 3).is_empty());
    assert!(vlm.requests().is_empty());

    let two = Shelf::plain("Shelf", &["a", "b"]);
    let rerank = Rerank::new(two.clone(), VlmReranker::new(vlm), 3).unwrap();
    let error =
        block_on(rerank.retrieve(&RetrieveRequest::new([Caption::concept("a")], 1))).unwrap_err();
    assert!(matches!(error, Error::Backend { .. }), "an error is not remembered as an answer");
    for broken in [Broken::NoList, Broken::Scores(&[1.0]), Broken::Scores(&[f32::NAN, 0.0])] {
        let rerank = Rerank::new(two.clone(), broken, 3).unwrap();
        let error = block_on(rerank.retrieve(&RetrieveRequest::new([Caption::concept("a")], 1)))
            .unwrap_err();
        assert!(error.chain().to_string().starts_with("Broken failed: expected"), "{error}");
    }
    // Equal scores leave the order inside, −0 and 0 too.
    let rerank = Rerank::new(two.clone(), Broken::Scores(&[-0.0, 0.0]), 3).unwrap();
    assert_eq!(sources(&rerank, "a", 2), ["a", "b"]);
    for inner in [Broken::NoList, Broken::Fails] {
        let rerank = Rerank::new(inner, Bm25::new(), 3).unwrap();
        assert!(
            block_on(rerank.retrieve(&RetrieveRequest::new([Caption::concept("a")], 1))).is_err()
        );
    }
    let rerank = Rerank::new(two, Broken::Fails, 3).unwrap();
    assert!(matches!(
        block_on(rerank.retrieve(&RetrieveRequest::new([Caption::concept("a")], 1))),
        Err(Error::Cancelled)
    ));
}

/// Two magentas that are nearly equal, a yellow, and a red that is further from white.
fn colours() -> FakeRetriever {
    FakeRetriever::new([
        ("thing one", solid(2, 2, [255, 0, 255])),
        ("thing two", solid(2, 2, [255, 0, 250])),
        ("thing three", solid(2, 2, [255, 240, 0])),
        ("thing four", solid(2, 2, [255, 0, 0])),
    ])
}

#[test]
fn mmr_puts_what_differs_before_what_is_alike() {
    let by = |relevance| {
        let rerank = Rerank::new(colours(), Mmr::new(FakeEmbedder, relevance).unwrap(), 4).unwrap();
        let sources = sources(&rerank, "white thing", 4);
        sources.iter().map(|s| s.replace("thing ", "")).collect::<Vec<_>>()
    };
    assert_eq!(by(1.0), ["one", "two", "three", "four"]);
    assert_eq!(by(0.5), ["one", "three", "four", "two"]);
    assert_eq!(by(0.0), ["one", "three", "four", "two"]);
    let mmr = Mmr::new(FakeEmbedder, 0.5).unwrap();
    assert_eq!(mmr.to_string(), "MMR(FakeEmbedder, 0.5)");
    let captions = [Caption::concept("white thing"), Caption::concept("a blue thing")];
    let lists = block_on(colours().retrieve(&RetrieveRequest::new(&captions, 4))).unwrap();
    block_on(conformance::reranker(&mmr, &lists));
    block_on(conformance::retriever(&Rerank::new(colours(), mmr, 4).unwrap(), &captions));
    for wrong in [f32::NAN, -0.1, 1.1] {
        let error = Mmr::new(FakeEmbedder, wrong).unwrap_err().chain().to_string();
        assert!(error.starts_with("relevance: expected 0 to 1"), "{error}");
    }
    let broken = Mmr::new(Redness { empty: true, ..Redness::default() }, 0.5).unwrap();
    let error = block_on(broken.rank(&RerankRequest::new(&captions, lists)))
        .unwrap_err()
        .chain()
        .to_string();
    assert_eq!(error, "Redness failed: expected 2 and 8 embeddings, found 2 and 0");
}

#[cfg(feature = "gallery")]
#[test]
fn a_gallery_keeps_the_captions_that_were_written() {
    use imagerag::EmbedderExt;
    use imagerag::gallery::{ContentHash, Gallery, GalleryRetriever, ImageRecord, Pixels};
    use imagerag::reference::Metadata;

    let folder = tempfile::tempdir().unwrap();
    let gallery =
        block_on(Gallery::open_or_create(folder.path().join("gallery"), &FakeEmbedder)).unwrap();
    for (name, rgb) in [("a", [200, 0, 0]), ("b", [0, 200, 0])] {
        let (image, path) = (solid(8, 8, rgb), folder.path().join(format!("{name}.png")));
        image.save(&path).unwrap();
        let record = ImageRecord {
            hash: ContentHash::of(&std::fs::read(&path).unwrap()),
            source: name.to_owned(),
            pixels: Pixels::File(path),
            metadata: Metadata::default(),
        };
        let embedding = block_on(FakeEmbedder.embed_image(&image)).unwrap();
        gallery.writer().unwrap().add(&[(record, embedding)]).unwrap();
    }
    let vlm = FakeVlm::new(["a quetzal", "a kea"]);
    let kept = gallery.clone();
    let keep = move |new: &[(Source, String)]| {
        let mut captions = Vec::new();
        for (source, caption) in new {
            let entry = kept.by_source(&source.to_string())?;
            captions.extend(entry.map(|entry| (entry.id, caption.as_str())));
        }
        kept.writer()?.set_captions(&captions)
    };
    let writer = CaptionWriter::new(vlm.clone()).kept_by(keep);
    let retriever = block_on(GalleryRetriever::new(FakeEmbedder, gallery)).unwrap();
    let rerank = Rerank::new(retriever, Bm25::new().with_writer(writer), 4).unwrap();
    assert_eq!(sources(&rerank, "green kea", 2).len(), 2);
    let stored: Vec<_> =
        list(&rerank, "green kea", 2).into_iter().map(|r| r.provenance.metadata.caption).collect();
    assert!(stored.contains(&Some("a quetzal".into())) && stored.contains(&Some("a kea".into())));
    assert_eq!(vlm.requests().len(), 2);
}

// Fusion.

fn fused(by_rank: bool, retrievers: &[Shelf], depth: usize) -> Fuse {
    let parts = retrievers.iter().map(|r| Arc::new(r.clone()) as Arc<dyn Retriever>);
    if by_rank {
        Fuse::by_rank(parts, depth).unwrap()
    } else {
        Fuse::by_score(parts, depth).unwrap()
    }
}

#[test]
fn ranks_are_fused_and_everyone_who_found_an_image_is_named() {
    let clip = Shelf::plain("CLIP", &["a", "b", "c", "d"]);
    let siglip = Shelf::plain("SigLIP", &["c", "copy of b", "e", "f"]);
    let fuse = fused(true, &[clip.clone(), siglip], 3);
    assert_eq!(fuse.to_string(), "Fuse(CLIP, SigLIP, by rank)");
    let rrf = |places: &[f32]| places.iter().map(|place| 1.0 / (60.0 + place)).sum::<f32>();
    let found = list(&fuse, "x", 8);
    let scores: Vec<_> =
        found.iter().map(|r| (r.provenance.source.to_string(), r.provenance.score)).collect();
    let expected =
        [("c", rrf(&[3.0, 1.0])), ("b", rrf(&[2.0, 2.0])), ("a", rrf(&[1.0])), ("e", rrf(&[3.0]))];
    assert_eq!(scores.len(), expected.len());
    for ((source, score), (name, expected)) in scores.iter().zip(expected) {
        assert_eq!(source, name);
        assert!((score - expected).abs() < 1e-7, "{source}: {score} is not {expected}");
    }
    let by: Vec<_> =
        found[1].provenance.found_by.iter().map(|f| (f.retriever.as_str(), f.rank)).collect();
    assert_eq!(by, [("CLIP", 1), ("SigLIP", 1)]);
    assert_eq!(found[2].provenance.found_by.len(), 1);
    assert_eq!(found[3].provenance.rank, 3);
    assert_eq!(sources(&fuse, "x", 1), ["c"]);
    assert_eq!(clip.asked(), [3, 3], "the depth, whatever the limit");
    assert!(sources(&fuse, "x", 0).is_empty());
}

#[test]
fn scores_are_fused_list_by_list() {
    let cosine = Shelf::new("A", &[("a", 0.30, None), ("b", 0.25, None), ("c", 0.20, None)]);
    let bm25 = Shelf::new("B", &[("c", 12.0, None), ("b", 6.0, None), ("d", 2.0, None)]);
    let close = |found: Vec<(String, f32)>, expected: &[(&str, f32)]| {
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for ((source, score), (name, share)) in found.iter().zip(expected) {
            assert!(source == name && (score - share).abs() < 1e-5, "{found:?}");
        }
    };
    let both = fused(false, &[cosine.clone(), bm25.clone()], 3);
    assert_eq!(both.to_string(), "Fuse(A, B, by score)");
    close(found(&both, "x", 8), &[("a", 0.5), ("c", 0.5), ("b", 0.45), ("d", 0.0)]);
    let weighted = both.with_weights([3.0, 1.0]).unwrap();
    close(found(&weighted, "x", 2), &[("a", 0.75), ("b", 0.475)]);
    // Lists of one, and of equal or senseless scores.
    let one = Shelf::new("B", &[("z", -7.0, None)]);
    close(found(&fused(false, std::slice::from_ref(&one), 3), "x", 8), &[("z", 1.0)]);
    let equal = Shelf::new("B", &[("y", 0.1, None), ("z", 0.1, None)]);
    close(found(&fused(false, &[equal], 3), "x", 8), &[("y", 1.0), ("z", 1.0)]);
    let nan = Shelf::new("B", &[("x", 2.0, None), ("y", 1.0, None), ("z", f32::NAN, None)]);
    close(found(&fused(false, &[nan], 3), "x", 8), &[("x", 1.0), ("y", 0.0), ("z", 0.0)]);
    let wide = Shelf::new("B", &[("x", f32::MAX, None), ("y", 0.0, None), ("z", f32::MIN, None)]);
    close(found(&fused(false, &[wide], 3), "x", 8), &[("x", 1.0), ("y", 0.5), ("z", 0.0)]);
    let none = Shelf::plain("C", &[]);
    close(found(&fused(false, &[one, none], 3), "x", 8), &[("z", 0.5)]);
}

#[test]
fn the_same_image_twice_in_one_list_counts_once() {
    let shelf = Shelf::plain("A", &["a", "copy of a", "b"]);
    let other = Shelf::plain("B", &["b", "copy of a", "a"]);
    let rrf = |place: f32| 1.0 / (60.0 + place);
    let found = found(&fused(true, &[shelf, other], 3), "x", 8);
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].0.as_str(), found[1].0.as_str()), ("a", "b"));
    assert!((found[0].1 - rrf(1.0) - rrf(2.0)).abs() < 1e-7, "{found:?}");
}

/// Finds the image `a`, under a license.
#[derive(Debug)]
struct Licensed(Shelf, Option<&'static str>);

impl fmt::Display for Licensed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[async_trait]
impl Retriever for Licensed {
    async fn retrieve(&self, request: &RetrieveRequest) -> Result<Vec<Vec<Reference>>> {
        let mut lists = self.0.retrieve(request).await?;
        for found in lists.iter_mut().flatten() {
            found.provenance.metadata.license = self.1.map(str::to_owned);
        }
        Ok(lists)
    }
}

#[test]
fn an_image_whose_licenses_contradict_each_other_has_none() {
    for (licenses, expected) in [
        ([Some("CC0-1.0"), Some("CC0-1.0")], Some("CC0-1.0")),
        ([Some("CC0-1.0"), None], Some("CC0-1.0")),
        ([Some("CC0-1.0"), Some("CC-BY-4.0")], None),
    ] {
        let parts = ["A", "B"].into_iter().zip(licenses).map(|(name, license)| {
            Arc::new(Licensed(Shelf::plain(name, &["a"]), license)) as Arc<dyn Retriever>
        });
        let fuse = Fuse::by_rank(parts, 3).unwrap();
        let request = RetrieveRequest::new([Caption::concept("x")], 1);
        let found = block_on(fuse.retrieve(&request)).unwrap().remove(0).remove(0).provenance;
        assert_eq!(found.metadata.license.as_deref(), expected);
        let told = "it has no license, because several are said: CC0-1.0 by A, CC-BY-4.0 by B";
        assert_eq!(found.note.as_deref(), expected.is_none().then_some(told));
    }
}

#[test]
fn nothing_to_fuse_and_weights_that_are_none_are_refused() {
    let error = Fuse::by_rank([], 3).unwrap_err().chain().to_string();
    assert_eq!(error, "retrievers: expected at least 1, found 0");
    let part = || Arc::new(Shelf::plain("A", &["a"])) as Arc<dyn Retriever>;
    let error = Fuse::by_score([part()], 0).unwrap_err().chain().to_string();
    assert_eq!(error, "depth: expected at least 1, found 0");
    for weights in
        [vec![], vec![1.0, 1.0], vec![0.0], vec![-1.0], vec![f32::NAN], vec![f32::MAX; 2]]
    {
        let error = Fuse::by_rank([part()], 3).unwrap().with_weights(weights).unwrap_err();
        assert!(
            error.chain().to_string().starts_with("weights: expected 1 finite numbers"),
            "{error}"
        );
    }
}

#[test]
fn a_retriever_that_fails_fails_all_unless_that_is_tolerated() {
    let parts = || -> [Arc<dyn Retriever>; 3] {
        [Arc::new(Broken::Fails), Arc::new(Shelf::plain("A", &["a"])), Arc::new(Broken::NoList)]
    };
    let strict = Fuse::by_rank(parts(), 3).unwrap();
    let captions = [Caption::concept("x")];
    assert!(matches!(
        block_on(strict.retrieve(&RetrieveRequest::new(&captions, 1))),
        Err(Error::Cancelled)
    ));
    let tolerant = strict.tolerating_failures();
    let found = list(&tolerant, "x", 3);
    assert_eq!(found.len(), 1);
    let note = found[0].provenance.note.as_deref().unwrap();
    assert!(note.starts_with("Broken failed: cancelled; Broken failed: Broken failed"), "{note}");
    // What a re-ranker inside noted is kept.
    let vlm = VlmReranker::new(FakeVlm::new(["1"]));
    let inside = Rerank::new(Shelf::plain("B", &["b", "a"]), vlm, 2).unwrap();
    let both: [Arc<dyn Retriever>; 2] = [Arc::new(Shelf::plain("A", &["a"])), Arc::new(inside)];
    let found = list(&Fuse::by_rank(both, 3).unwrap(), "x", 3);
    assert_eq!(found[0].provenance.note.as_deref(), Some("FakeVlm: 1"));
    let by = found[0].provenance.found_by.iter().map(|f| f.retriever.as_str());
    assert_eq!(by.collect::<Vec<_>>(), ["A", "B", "Rerank(B, FakeVlm)"]);

    let alone = Fuse::by_rank([Arc::new(Broken::Fails) as Arc<dyn Retriever>], 3).unwrap();
    let result =
        block_on(alone.tolerating_failures().retrieve(&RetrieveRequest::new(&captions, 1)));
    assert!(matches!(result, Err(Error::Cancelled)));
}

#[test]
fn retrievers_are_asked_at_the_same_time() {
    /// Answers only after the other one was asked too.
    #[derive(Debug)]
    struct Meets(Arc<futures::lock::Mutex<usize>>);
    impl fmt::Display for Meets {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Meets")
        }
    }
    #[async_trait]
    impl Retriever for Meets {
        async fn retrieve(&self, request: &RetrieveRequest) -> Result<Vec<Vec<Reference>>> {
            *self.0.lock().await += 1;
            for _ in 0..100 {
                if *self.0.lock().await == 2 {
                    return Ok(vec![Vec::new(); request.captions.len()]);
                }
                yield_once().await;
            }
            Err(Error::Cancelled)
        }
    }
    let met = Arc::default();
    let parts = [0, 1].map(|_| Arc::new(Meets(Arc::clone(&met))) as Arc<dyn Retriever>);
    let fuse = Fuse::by_rank(parts, 1).unwrap();
    assert!(block_on(fuse.retrieve(&RetrieveRequest::new([Caption::concept("x")], 1))).is_ok());
}

/// Lets other futures of the same task run.
async fn yield_once() {
    let mut yielded = false;
    futures::future::poll_fn(|context| {
        context.waker().wake_by_ref();
        match std::mem::replace(&mut yielded, true) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
}

#[test]
fn a_threshold_keeps_what_is_close_enough() {
    let nan = [("a", 0.3, None), ("b", 0.2, None), ("c", f32::NAN, None)];
    let threshold = Threshold::new(Shelf::new("Shelf", &nan), 0.25).unwrap();
    assert_eq!(threshold.to_string(), "Threshold(Shelf, 0.25)");
    assert_eq!(sources(&threshold, "x", 8), ["a"]);
    for wrong in [f32::NAN, f32::INFINITY] {
        assert!(Threshold::new(Broken::Fails, wrong).is_err());
    }
}

#[test]
fn wrappers_keep_the_contract_of_a_retriever() {
    let clip: Arc<dyn Retriever> = Arc::new(Shelf::new("CLIP", &CAPTIONED));
    let shelf = ["a quetzal", "a red car", "a tree"].map(|label| (label, solid(2, 2, [7; 3])));
    let words: Arc<dyn Retriever> = Arc::new(FakeRetriever::new(shelf));
    let captions = [Caption::concept("a quetzal"), Caption::concept("a red tree")];
    let both = || [Arc::clone(&clip), Arc::clone(&words)];
    let by_rank = Fuse::by_rank(both(), 3).unwrap();
    let by_score = Fuse::by_score(both(), 3).unwrap().with_weights([0.3, 0.7]).unwrap();
    let bm25 = Rerank::new(by_rank.clone(), Bm25::new(), 6).unwrap();
    let vlm = VlmReranker::new(FakeVlm::new(["3,1,2", "2", "1", "0"]));
    let vlm = Rerank::new(by_score.clone(), vlm, 6).unwrap();
    let threshold = Threshold::new(Arc::clone(&clip), 0.2).unwrap();
    for part in [&by_rank as &dyn Retriever, &by_score, &bm25, &vlm, &threshold] {
        block_on(conformance::retriever(part, &captions));
    }
    let lists = block_on(clip.retrieve(&RetrieveRequest::new(&captions, 4))).unwrap();
    block_on(conformance::reranker(&Bm25::new(), &lists));
    let boxed: Box<dyn Reranker> = Box::new(VlmReranker::new(FakeVlm::new(["1", "2"])));
    block_on(conformance::reranker(&boxed, &lists));
}
