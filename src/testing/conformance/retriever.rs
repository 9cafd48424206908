//! The suite of [`Retriever`].

use super::Suite;
use crate::reference::{Caption, Filter, Metadata, Reference, Source};
use crate::retriever::{CatalogEntry, RetrieveRequest, Retriever};
use crate::{Error, Result};

rules! {
    NO_CAPTION: "no caption gives no list",
    ONE_EACH: "one list per caption, also for a limit of 0",
    LIMIT: "a list holds at most `limit` references",
    FOUND: "something is found for each caption of the suite",
    CAPTION: "a reference has the caption that it was found for",
    RANK: "ranks count from 0",
    TWICE: "no image twice for one caption",
    SCORE: "scores fall",
    SAME: "the same call gives the same lists",
    BEST: "a smaller limit gives the best of them",
    SOURCE: "every source is that of an image that is held",
    METADATA: "a reference has the license, author, origin and caption of its image",
    PICTURE: "a reference has the pixels of its image",
    FILTER: "a filter leaves out the images that it does not match, and no other",
}

/// Checks a [`Retriever`] with captions that it finds something for. It is asked for up to three
/// references of each.
///
/// If you know which images it holds, [`retriever_over`] checks what it says of them.
///
/// ```
/// use imagerag::reference::Caption;
/// use imagerag::testing::{FakeRetriever, conformance, solid};
///
/// let shelf = FakeRetriever::new([("a quetzal", solid(8, 8, [0, 140, 70]))]);
/// let captions = [Caption::concept("a quetzal")];
/// futures::executor::block_on(conformance::retriever(&shelf, &captions));
/// ```
///
/// # Panics
/// When there is no caption, the retriever breaks a rule, or it cannot be reached.
pub async fn retriever(part: &dyn Retriever, captions: &[Caption]) {
    let suite = Suite::new("Retriever", part);
    assert!(!captions.is_empty(), "the suite needs captions");
    let retrieve = async |captions: &[Caption], limit| {
        let lists = part.retrieve(&RetrieveRequest::new(captions, limit)).await;
        let lists = suite.answer(lists);
        let rule = if captions.is_empty() { NO_CAPTION } else { ONE_EACH };
        suite.count(rule, "lists", captions.len(), lists.len());
        for list in &lists {
            let found = format_args!("{} where limit is {limit}", list.len());
            suite.rule(LIMIT, list.len() <= limit, found);
        }
        lists
    };
    let found = retrieve(captions, 3).await;
    retrieve(&[], 3).await;
    retrieve(captions, 0).await;
    for (caption, list) in captions.iter().zip(&found) {
        suite.rule(FOUND, !list.is_empty(), format_args!("nothing for {:?}", caption.text));
        one_list(&suite, caption, list);
    }
    let again = retrieve(captions, 3).await;
    suite.rule(SAME, again == found, format_args!("{again:?} after {found:?}"));
    let one = retrieve(&captions[..1], 1).await;
    let (best, first) = (sources(&one[0]), &sources(&found[0])[..1]);
    suite.rule(BEST, best == first, format_args!("{best:?} for a limit of 1, and {first:?}"));
}

/// What holds for the references of a caption.
fn one_list(suite: &Suite, caption: &Caption, list: &[Reference]) {
    for (rank, reference) in list.iter().enumerate() {
        let found = &reference.caption;
        suite.rule(CAPTION, found == caption, format_args!("{found:?} for {caption:?}"));
        let (found, source) = (reference.provenance.rank, &reference.provenance.source);
        suite.rule(RANK, found == rank, format_args!("{found} at place {rank}"));
        let new = list[..rank].iter().all(|other| other.provenance.source != *source);
        suite.rule(TWICE, new, format_args!("{source} twice"));
    }
    let scores: Vec<f32> = list.iter().map(|reference| reference.provenance.score).collect();
    suite.rule(SCORE, scores.is_sorted_by(|a, b| a >= b), format_args!("{scores:?}"));
}

fn sources(list: &[Reference]) -> Vec<&Source> {
    list.iter().map(|reference| &reference.provenance.source).collect()
}

/// Checks a [`Retriever`] over `known` images, such as that of a
#[cfg_attr(feature = "gallery", doc = "[`Gallery`](crate::gallery::Gallery),")]
#[cfg_attr(not(feature = "gallery"), doc = "`Gallery`,")]
/// as [`retriever()`] does; further, that what it finds is among them, with their sources, metadata
/// and pixels, and that it keeps filters.
///
/// `known` are all images that it holds, with the sources and the metadata that it must return; a
/// width, a height or JSON that is `None` may be filled in. `retriever` makes it with a filter: by
/// each license, author, caption and width in `known`. The list of such a retriever must be the
/// whole list less what the filter does not match. Filters that `retriever` refuses with
/// [`Error::InvalidInput`] are passed over.
///
#[cfg_attr(feature = "gallery", doc = "```")]
#[cfg_attr(not(feature = "gallery"), doc = "```ignore")]
/// # use imagerag::testing::{FakeEmbedder, conformance, solid};
/// use imagerag::gallery::ingest::{Content, Ingest, Item};
/// use imagerag::gallery::{Gallery, GalleryRetriever};
/// use imagerag::reference::Caption;
/// use imagerag::retriever::CatalogEntry;
///
/// # let folder = std::env::temp_dir().join(format!("imagerag-doc-known-{}", std::process::id()));
/// # futures::executor::block_on(async {
/// // 1. What the gallery holds.
/// let image = solid(8, 8, [200, 0, 0]);
/// let mut red = CatalogEntry::new("red.png", image.clone());
/// red.metadata.license = Some("CC0-1.0".into());
/// let item = Item::new("red.png", Content::Image(image)).with_metadata(red.metadata.clone());
/// let gallery = Gallery::open_or_create(&folder, &FakeEmbedder).await?;
/// Ingest::into(&gallery).with_embedder(FakeEmbedder).run([Ok(item)], |_| {}).await?;
///
/// // 2. A retriever for each filter.
/// let retriever = GalleryRetriever::new(FakeEmbedder, gallery).await?;
/// let filtered = |filter| Ok(retriever.clone().with_filter(filter));
/// conformance::retriever_over(&[red], filtered, &[Caption::concept("a red thing")]).await;
/// # std::fs::remove_dir_all(&folder).unwrap();
/// # Ok::<(), imagerag::Error>(()) }).unwrap();
/// ```
///
/// # Panics
/// As [`retriever()`]; when `known` is empty.
pub async fn retriever_over<R: Retriever>(
    known: &[CatalogEntry],
    retriever: impl Fn(Filter) -> Result<R> + Send + Sync,
    captions: &[Caption],
) {
    assert!(!known.is_empty(), "the suite needs images");
    let part = retriever(Filter::all()).unwrap_or_else(|error| panic!("{}", error.chain()));
    self::retriever(&part, captions).await;
    let suite = Suite::new("Retriever", &part);
    let all = RetrieveRequest::new(captions, known.len() + 1);
    let whole = suite.answer(part.retrieve(&all).await);
    for reference in whole.iter().flatten() {
        one_image(&suite, known, reference).await;
    }

    for filter in filters(known) {
        let filtered = match retriever(filter.clone()) {
            Err(Error::InvalidInput { .. }) => continue, // One that the retriever cannot express.
            filtered => suite.answer(filtered),
        };
        let lists = suite.answer(filtered.retrieve(&all).await);
        for (whole, list) in whole.iter().zip(&lists) {
            let matching = |one: &&Reference| filter.matches(&one.provenance.metadata);
            let expected: Vec<_> =
                whole.iter().filter(matching).map(|one| &one.provenance.source).collect();
            let found = sources(list);
            let words = format_args!("{found:?} for {filter}, in place of {expected:?}");
            suite.rule(FILTER, found == expected, words);
        }
    }
}

/// A filter that matches none of `known`, and one for each thing that is known of one of them.
fn filters(known: &[CatalogEntry]) -> Vec<Filter> {
    let of = |Metadata { license, author, caption, width, .. }: &Metadata| {
        [
            license.as_ref().map(|license| Filter::all().licenses([license])),
            author.as_ref().map(|author| Filter::all().authors([author])),
            caption.as_ref().map(|caption| Filter::all().caption(caption)),
            width.map(|width| Filter::all().width(width..=width)),
        ]
    };
    let each = known.iter().flat_map(|entry| of(&entry.metadata)).flatten();
    std::iter::once(Filter::all().licenses(["no such license"])).chain(each).collect()
}

/// What holds for a reference to one of `known`.
async fn one_image(suite: &Suite, known: &[CatalogEntry], reference: &Reference) {
    let source = &reference.provenance.source;
    let entry = known.iter().find(|entry| entry.source == *source);
    let Some(entry) = entry else {
        return suite.rule(SOURCE, false, format_args!("{source}"));
    };
    let (expected, found) = (&entry.metadata, &reference.provenance.metadata);
    let words = |m: &Metadata| {
        [&m.license, &m.author, &m.origin, &m.caption].map(|word: &Option<String>| word.clone())
    };
    let holds = words(expected) == words(found)
        && (expected.width.is_none() || expected.width == found.width)
        && (expected.height.is_none() || expected.height == found.height)
        && (expected.json.is_none() || expected.json == found.json);
    let both = format!("{found:?} of {source}, in place of {expected:?}");
    suite.rule(METADATA, holds, both);
    let picture = suite.answer(entry.picture().load().await);
    let same = suite.answer(reference.image().await) == picture;
    suite.rule(PICTURE, same, format_args!("others of {source}"));
}
