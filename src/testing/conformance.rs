//! A suite for each trait: it calls the part and panics, with the rule in words, where the part
//! breaks its contract.

use crate::conditioner::ImageTokens;
use crate::conditioner::{
    ConditionImage, ConditionRequest, Conditioner, Conditioning, ConditioningKind,
};
use crate::critic::{Critic, CritiqueRequest, Query, Verdict};
use crate::embedder::{Embedder, Embedding};
use crate::generator::{GenerateRequest, Generator, Progress};
use crate::index::{IdSet, Neighbor, VectorIndex};
use crate::reference::{Caption, Provenance, Reference, Source};
use crate::retriever::{RerankRequest, Reranker, RetrieveRequest, Retriever};
use crate::testing::solid;
use crate::vlm::{ChatRequest, Message, Vlm};
use crate::{Error, Image};

use std::fmt::{Debug, Display};
use std::sync::mpsc::channel;

/// Fails unless a part names itself: its `Display` is its provenance.
fn names_itself(part: &(impl Display + ?Sized)) {
    assert!(!part.to_string().trim().is_empty(), "a part has a Display");
}

/// Checks a [`Generator`] with requests of its default size and two steps.
pub async fn generator(part: &dyn Generator) {
    names_itself(part);
    assert!(
        part.accepts().contains(&ConditioningKind::None),
        "{part}: every generator draws from a prompt alone"
    );
    let request = |prompt: &str, seed| {
        let request = GenerateRequest::new(prompt);
        GenerateRequest { steps: Some(2), seed, ..request }
    };
    let none = part.generate(&[]).await.map(|images| images.len());
    assert_eq!(none.ok(), Some(0), "{part}: no request gives no image");

    let (tell, told) = channel();
    let progress = Progress::new(move |step| {
        let _ = tell.send((step.index, step.total));
    });
    let first = GenerateRequest { progress, ..request("a red circle", 1) };
    let both = [first, request("a blue square", 2)];
    let images = expect(part, part.generate(&both).await);
    assert_eq!(images.len(), 2, "{part}: one image a request");
    assert_eq!(
        told.try_iter().collect::<Vec<_>>(),
        [(1, 2), (2, 2)],
        "{part}: every step is reported once, in order, numbered from 1"
    );
    let alone = expect(part, part.generate(&both[..1]).await);
    assert!(
        alike(&alone[0].image, &images[0].image),
        "{part}: the same request gives the same image, whatever else is in the batch"
    );
    assert!(!alike(&images[0].image, &images[1].image), "{part}: prompt and seed make the image");

    let circle = || request("a red circle", 1);
    let no_steps = GenerateRequest { steps: Some(0), ..circle() };
    let nan = GenerateRequest { guidance_scale: Some(f64::NAN), ..circle() };
    let stranger = |conditioning| GenerateRequest { conditioning, ..circle() };
    let tokens = ImageTokens::new("no such space", 1, 1, [0.0], [0.0]);
    let tokens = stranger(Conditioning::Tokens(expect(part, tokens)));
    let condition = ConditionImage::new("no such adapter", solid(16, 16, [255, 0, 0]));
    let condition = stranger(Conditioning::Condition(condition));
    for wrong in [no_steps, nan, tokens, condition] {
        let result = part.generate(std::slice::from_ref(&wrong)).await;
        refuses(part, &format!("{wrong:?}"), &result);
    }
}

/// Checks a [`Vlm`] that is ready to answer two questions.
pub async fn vlm(part: &dyn Vlm) {
    names_itself(part);
    let question = Message::user("Is this red? Only answer yes or no.");
    let question = question.with_images([solid(16, 8, [255, 0, 0])]);
    let first = expect(part, part.chat(&ChatRequest::new(vec![question.clone()])).await);
    assert!(
        !first.text.is_empty() || first.refusal.is_some(),
        "{part}: a reply has words or a refusal"
    );
    let conversation = vec![question, Message::assistant("yes"), Message::user("Are you sure?")];
    let second = expect(part, part.chat(&ChatRequest::new(conversation)).await);
    assert!(
        !second.text.is_empty() || second.refusal.is_some(),
        "{part}: a longer conversation is answered too"
    );
}

/// Checks a [`Critic`] with a prompt that it can judge, and an image that does not show it.
pub async fn critic(part: &dyn Critic, prompt: &str, wrong: &Image) {
    names_itself(part);
    for query in [Query::Caption, Query::Concept, Query::Prompt] {
        for image in [Some(wrong.clone()), None] {
            let judges = image.is_some();
            let mut request = CritiqueRequest::new(prompt, image);
            request.query = query;
            match expect(part, part.critique(&request).await).verdict {
                Verdict::Match => assert!(judges, "{part}: without an image nothing can match"),
                Verdict::Undetermined => {}
                Verdict::Missing(captions) => {
                    assert_eq!(captions.len(), 1, "{part}: 1 to max_concepts captions");
                    for caption in captions {
                        assert!(!caption.text.trim().is_empty(), "{part}: no caption is blank");
                        assert!(!caption.concept.trim().is_empty(), "{part}: no concept is blank");
                    }
                }
            }
        }
    }
}

/// Checks a [`Retriever`] with captions that it finds something for.
pub async fn retriever(part: &dyn Retriever, captions: &[Caption]) {
    names_itself(part);
    assert!(!captions.is_empty(), "the suite needs captions");
    let none = expect(part, part.retrieve(&RetrieveRequest::new([], 3)).await);
    assert!(none.is_empty(), "{part}: no caption gives no list");
    let empty = expect(part, part.retrieve(&RetrieveRequest::new(captions, 0)).await);
    assert_eq!(empty.len(), captions.len(), "{part}: one list a caption, also for limit 0");
    assert!(empty.iter().all(Vec::is_empty), "{part}: limit 0 gives empty lists");

    let found = expect(part, part.retrieve(&RetrieveRequest::new(captions, 3)).await);
    assert_eq!(found.len(), captions.len(), "{part}: one list a caption");
    for (caption, list) in captions.iter().zip(&found) {
        assert!(!list.is_empty() && list.len() <= 3, "{part}: 1 to 3 references for {caption:?}");
        for (rank, reference) in list.iter().enumerate() {
            assert_eq!(&reference.caption, caption, "{part}: a reference keeps its caption");
            assert_eq!(reference.provenance.rank, rank, "{part}: ranks count from 0");
            assert!(
                !list[..rank].iter().any(|r| r.provenance.source == reference.provenance.source),
                "{part}: no image twice for one caption"
            );
        }
        assert!(
            list.is_sorted_by(|a, b| a.provenance.score >= b.provenance.score),
            "{part}: the best first"
        );
    }
    let again = expect(part, part.retrieve(&RetrieveRequest::new(captions, 3)).await);
    assert_eq!(again, found, "{part}: the same call gives the same lists");
    let one = expect(part, part.retrieve(&RetrieveRequest::new(&captions[..1], 1)).await);
    let source = |list: &[Reference]| list.first().map(|r| r.provenance.source.clone());
    let (best, first) = (source(&one[0]), source(&found[0]));
    assert_eq!(best, first, "{part}: a smaller limit gives the best of them");
}

/// Checks a [`Reranker`] with lists of candidates, each for one caption.
pub async fn reranker(part: &dyn Reranker, lists: &[Vec<Reference>]) {
    names_itself(part);
    assert!(lists.iter().any(|list| list.len() > 1), "the suite needs candidates");
    let none = expect(part, part.rank(&RerankRequest::new([], Vec::new())).await);
    assert!(none.is_empty(), "{part}: no list gives no ranking");
    let caption = |list: &Vec<Reference>| match list.first() {
        Some(first) => first.caption.clone(),
        None => Caption::concept("nothing"),
    };
    let lists = [lists, &[Vec::new()]].concat();
    let captions: Vec<Caption> = lists.iter().map(caption).collect();
    let request = RerankRequest::new(captions, lists);
    let lists = &request.lists;
    let rankings = expect(part, part.rank(&request).await);
    assert_eq!(rankings.len(), lists.len(), "{part}: one ranking a list");
    for (list, ranking) in lists.iter().zip(&rankings) {
        assert_eq!(ranking.scores.len(), list.len(), "{part}: one score a candidate");
        assert!(ranking.scores.iter().all(|score| score.is_finite()), "{part}: finite scores");
    }
    let again = expect(part, part.rank(&request).await);
    assert_eq!(again, rankings, "{part}: the same call gives the same rankings");
}

/// Checks a [`Conditioner`].
pub async fn conditioner(part: &dyn Conditioner) {
    names_itself(part);
    let reference = |n: usize| Reference {
        picture: solid(32, 16, [40 * n as u8, 200, 90]).into(),
        caption: Caption::new(format!("a photo of thing {n}"), format!("thing {n}")),
        provenance: Provenance::new(Source::Uri(n.to_string()), "suite", 0.5, 0),
    };
    let request =
        |prompt: &str, references: &[Reference]| ConditionRequest::new(prompt, references);
    let capacity = part.capacity();
    assert!(capacity >= 1, "{part}: there is room for a reference");
    let too_many: Vec<Reference> = (0..=capacity.min(8)).map(reference).collect();
    for count in [1, capacity.min(8)] {
        let conditioned =
            expect(part, part.condition(&request("a prompt of its own", &too_many[..count])).await);
        let kind = conditioned.conditioning.kind();
        assert_eq!(kind, part.produces(), "{part}: gives the kind that it names");
        expect(part, conditioned.conditioning.validate());
        assert!(
            conditioned.prompt.contains("a prompt of its own"),
            "{part}: the prompt is kept, found {:?}",
            conditioned.prompt
        );
    }
    let mut wrong = vec![Vec::new()];
    if capacity < 8 {
        wrong.push(too_many);
    }
    for references in wrong {
        let result = part.condition(&request("a prompt", &references)).await;
        refuses(part, &format!("{} references", references.len()), &result);
    }
}

/// Checks an [`Embedder`].
pub async fn embedder(part: &dyn Embedder) {
    names_itself(part);
    let long = "a very long caption ".repeat(100);
    let texts = ["a red circle", "", "\u{1f980} \u{4e09}", &long];
    let images = [solid(7, 3, [255, 0, 0]), solid(40, 90, [0, 0, 255])];
    assert!(expect(part, part.embed_texts(&[]).await).is_empty(), "{part}: no text, no embedding");
    assert!(expect(part, part.embed_images(&[]).await).is_empty(), "{part}: the same for images");
    let embedded = expect(part, part.embed_texts(&texts).await);
    let embedded_images = expect(part, part.embed_images(&images).await);
    assert_eq!(embedded.len(), texts.len(), "{part}: one embedding a text");
    assert_eq!(embedded_images.len(), images.len(), "{part}: one embedding an image");
    for embedding in embedded.iter().chain(&embedded_images) {
        assert_eq!(embedding.dim(), part.dim(), "{part}: every embedding has dim() values");
    }
    let alone = expect(part, part.embed_texts(&texts[..1]).await);
    assert!(
        alone[0].similarity(&embedded[0]) > 0.999_99,
        "{part}: the same text gives the same embedding, whatever else is in the batch"
    );
    let alone = expect(part, part.embed_images(&images[1..]).await);
    assert!(alone[0].similarity(&embedded_images[1]) > 0.999_99, "{part}: the same for images");
    assert!(
        embedded_images[0].similarity(&embedded_images[1]) < 0.999_99,
        "{part}: images that differ have embeddings that differ"
    );
    let prepared = images.each_ref().map(|image| part.preprocess(image));
    for (a, b) in expect(part, part.embed_images(&prepared).await).iter().zip(&embedded_images) {
        assert!(a.similarity(b) > 0.999_99, "{part}: what it prepares has the image's embedding");
    }
}

/// Checks a [`VectorIndex`] that holds `vectors` in this order, against exhaustive search. `recall`
/// is the least share of true neighbors that it must find, in [0, 1]; 1 for an exact index.
pub async fn vector_index(part: &dyn VectorIndex, vectors: &[Embedding], recall: f64) {
    names_itself(part);
    assert!(!vectors.is_empty(), "the suite needs vectors");
    assert_eq!(expect(part, part.count().await), vectors.len(), "{part}: holds every vector");
    assert_eq!(part.dim(), vectors[0].dim(), "{part}: knows its dimension");
    let limit = 10.min(vectors.len());
    let queries = &vectors[..vectors.len().min(50)];
    let found = expect(part, part.search(queries, limit).await);
    assert_eq!(found.len(), queries.len(), "{part}: one list a query");
    for (query, list) in queries.iter().zip(&found) {
        for neighbor in list {
            let Some(vector) = vectors.get(neighbor.id as usize) else {
                panic!("{part}: id {} of {} vectors", neighbor.id, vectors.len())
            };
            if recall == 1.0 {
                let exact = query.similarity(vector);
                assert!((neighbor.score - exact).abs() < 1e-4, "{part}: scores are cosines");
            }
        }
    }
    let share =
        true_share(part, (queries, &found), limit, vectors, &IdSet::all(vectors.len() as u64));
    assert!(share >= recall, "{part}: recall {share:.3} is below {recall}");
    let nothing = expect(part, part.search(queries, 0).await);
    assert!(nothing.iter().all(Vec::is_empty), "{part}: limit 0 gives empty lists");
    let all = expect(part, part.search(&queries[..1], vectors.len() + 5).await);
    assert!(all[0].len() <= vectors.len(), "{part}: no vector is made up");
    assert!(expect(part, part.search(&[], limit).await).is_empty(), "{part}: no query, no list");
    let again = expect(part, part.search(queries, limit).await);
    assert_eq!(again, found, "{part}: the same call gives the same lists");
    vector_index_among(part, vectors, recall).await;
    let stranger = [expect(part, Embedding::new(vec![1.0; part.dim() + 1]))];
    let among = part.search_among(&stranger, 1, &IdSet::all(1)).await;
    for result in [part.search(&stranger, 1).await, among] {
        refuses(part, "a query of another dimension", &result);
    }
}

/// The part of [`vector_index`] about searching among some of the vectors.
async fn vector_index_among(part: &dyn VectorIndex, vectors: &[Embedding], recall: f64) {
    let queries = &vectors[..vectors.len().min(10)];
    let count = vectors.len() as u64;
    let none = expect(part, part.search_among(queries, 3, &IdSet::new()).await);
    assert_eq!(none, vec![Vec::new(); queries.len()], "{part}: among none nothing is found");
    let third: IdSet = (0..count).step_by(3).collect();
    let few: IdSet = [0, count / 2, count - 1, count + 7, u64::MAX].into_iter().collect();
    for ids in [third, few, IdSet::all(count)] {
        let none = expect(part, part.search_among(queries, 0, &ids).await);
        assert!(none.iter().all(Vec::is_empty), "{part}: limit 0 gives empty lists");
        let limit = 10.min(ids.iter().filter(|&id| id < count).count());
        let found = expect(part, part.search_among(queries, limit, &ids).await);
        let share = true_share(part, (queries, &found), limit, vectors, &ids);
        assert!(share >= recall, "{part}: recall {share:.3} among {ids:?} is below {recall}");
    }
}

/// The share of the true `limit` neighbors of `queries` among those of `vectors` whose ids are in
/// `ids` that the lists hold. Fails where one of them is not in order, or holds another id.
fn true_share(
    part: &dyn VectorIndex,
    (queries, lists): (&[Embedding], &[Vec<Neighbor>]),
    limit: usize,
    vectors: &[Embedding],
    ids: &IdSet,
) -> f64 {
    let mut hits = 0;
    for (query, list) in queries.iter().zip(lists) {
        assert!(list.len() <= limit, "{part}: at most limit neighbors");
        assert!(
            list.is_sorted_by(|a, b| a.score > b.score || (a.score == b.score && a.id < b.id)),
            "{part}: falling scores, ties by rising id: {list:?}"
        );
        assert!(list.iter().all(|n| ids.contains(n.id)), "{part}: only ids of the set");
        let similarity = |id: u64| query.similarity(&vectors[id as usize]);
        let members = ids.iter().filter(|&id| id < vectors.len() as u64);
        let mut scores: Vec<f32> = members.map(similarity).collect();
        scores.sort_by(|a, b| b.total_cmp(a));
        let worst = scores[limit - 1] - 1e-4;
        hits += list.iter().filter(|n| similarity(n.id) >= worst).count();
    }
    hits as f64 / (limit * queries.len()) as f64
}

/// Fails unless `result`, of an input that is called `what`, is [`Error::InvalidInput`].
fn refuses<T: Debug>(part: &(impl Display + ?Sized), what: &str, result: &crate::Result<T>) {
    let refused = matches!(result, Err(Error::InvalidInput { .. }));
    assert!(refused, "{part}: InvalidInput for {what}, found {result:?}");
}

fn expect<T>(part: &(impl Display + ?Sized), result: crate::Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("{part}: {error}"))
}

/// Whether two images differ by no more than rounding: 1 of 255.
fn alike(a: &Image, b: &Image) -> bool {
    (a.width(), a.height()) == (b.width(), b.height())
        && a.pixels().iter().zip(b.pixels()).all(|(x, y)| x.abs_diff(*y) <= 1)
}
