//! [`TracePage`]: a request to one HTML file that shows why it did what it did.

mod view;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::{RagError, RagOutcome, RagTrace};
use crate::atomic_file::write_bytes;
use crate::image::Image;
use crate::page::{self, Page, Thumbnail, thumbnail};
use crate::reference::Reference;
use crate::{Error, Price, Result};

#[cfg(feature = "evaluation")]
pub(crate) use view::ExchangeView;
pub(crate) use view::{HitView, TraceView};

/// The longest side of a picture on the page, in pixels.
const SIDE: u32 = 768;

/// What a part costs, by its `Display`.
type PriceOf<'a> = dyn Fn(&str) -> Price + 'a;

/// One HTML file that shows a request: draft, references with their sources and licenses, result; each
/// stage on a time line with the prompt that was sent, the questions to the vision-language model and
/// its answers, what was found and why it was refused; warnings, usage and cost, parts and settings. It
/// holds its pictures, of at most 768 pixels a side, and needs no network.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use futures::StreamExt;
/// use imagerag::Price;
/// use imagerag::pipeline::{Event, TracePage};
/// # use imagerag::conditioner::InPrompt;
/// # use imagerag::testing::{FakeGenerator, FakeRetriever, FakeVlm, solid};
///
/// # let pipeline = imagerag::RagPipeline::builder()
/// #     .generator(FakeGenerator::new())
/// #     .vlm(FakeVlm::new(["no", "a quetzal", "a photo of a quetzal"]))
/// #     .retriever(FakeRetriever::new([("a quetzal", solid(8, 8, [0, 140, 70]))]))
/// #     .conditioner(InPrompt::new(3)?)
/// #     .build()?;
/// # let path = std::env::temp_dir().join(format!("imagerag-trace-{}.html", std::process::id()));
/// # futures::executor::block_on(async {
/// let (mut images, mut events) = (Vec::new(), pipeline.stream("a quetzal at dawn"));
/// while let Some(event) = events.next().await {
///     match event {
///         Event::Image { round, image } => images.push((round, image)),
///         Event::Done(result) => {
///             let page = match result.as_ref() {
///                 Ok(outcome) => TracePage::from(outcome),
///                 Err(error) => TracePage::from(error),
///             };
///             let price = Price { per_million_prompt_tokens: 2.5, ..Price::default() };
///             page.with_images(images.drain(..)).with_prices(move |_| price).save(&path)?;
///         }
///         _ => {}
///     }
/// }
/// # std::fs::remove_file(&path).unwrap();
/// # Ok::<(), imagerag::Error>(())
/// # })?;
/// # Ok::<(), imagerag::Error>(())
/// ```
#[must_use]
pub struct TracePage<'a> {
    trace: &'a RagTrace,
    draft: Option<Image>,
    references: &'a [Reference],
    result: Option<Image>,
    images: Vec<(usize, Image)>,
    price: Option<Box<PriceOf<'a>>>,
}

impl<'a> From<&'a RagTrace> for TracePage<'a> {
    /// The page of a trace alone, such as one that was read from JSON: without pictures.
    fn from(trace: &'a RagTrace) -> Self {
        let (images, references) = (Vec::new(), &[][..]);
        Self { trace, draft: None, references, result: None, images, price: None }
    }
}

impl<'a> From<&'a RagOutcome> for TracePage<'a> {
    fn from(outcome: &'a RagOutcome) -> Self {
        Self {
            draft: outcome.draft.clone(),
            references: &outcome.references,
            result: Some(outcome.image.clone()),
            ..Self::from(&outcome.trace)
        }
    }
}

impl<'a> From<&'a RagError> for TracePage<'a> {
    /// The page of what was done before the error, with the best image so far.
    fn from(error: &'a RagError) -> Self {
        Self { result: error.best.clone(), ..Self::from(&*error.trace) }
    }
}

impl<'a> TracePage<'a> {
    /// The same with the images of its rounds, in the order of the
    /// [`Event::Image`](super::Event::Image)s. An outcome has only the draft and the best.
    pub fn with_images(mut self, images: impl IntoIterator<Item = (usize, Image)>) -> Self {
        self.images.extend(images);
        self
    }

    /// The same with what each part costs, by its `Display`.
    pub fn with_prices(mut self, price: impl Fn(&str) -> Price + 'a) -> Self {
        self.price = Some(Box::new(price));
        self
    }

    /// The page, as the text of an HTML file.
    ///
    /// # Errors
    /// [`Error::Backend`] when a picture cannot be encoded.
    pub fn to_html(&self) -> Result<String> {
        let view = self.view()?;
        let scripts = &[page::TRACE, page::TRACE_PAGE];
        let page = Page { title: &self.trace.prompt, style: "", scripts, data: &view };
        page.html().map_err(|error| Error::backend("trace page", error))
    }

    /// Writes the page to `path`. A file that was there is replaced once the page is whole.
    ///
    /// # Errors
    /// Those of [`to_html`](Self::to_html); [`Error::Io`] when the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        write_bytes(path.as_ref(), self.to_html()?.as_bytes())
    }

    fn view(&self) -> Result<View> {
        let mut pictures = Pictures::default();
        let mut keys = Vec::new();
        let mut references = Vec::new();
        for reference in self.references {
            let key = reference.picture.loaded().map(|image| pictures.add(image)).transpose()?;
            let Reference { caption, provenance, .. } = reference;
            references.push(HitView::of(&caption.text, provenance, key.clone()));
            keys.extend(key.map(|key| (&provenance.source, key)));
        }
        let picture = |source: &_| {
            keys.iter().find(|(known, _)| *known == source).map(|(_, key)| key.clone())
        };
        let mut trace = TraceView::new(self.trace, &picture, self.price.as_deref());
        let first = self.images.iter().find(|(round, _)| *round == 0).map(|(_, image)| image);
        let mut shown = |image: Option<&Image>| image.map(|image| pictures.add(image)).transpose();
        let draft = shown(self.draft.as_ref().or(first))?;
        let result = shown(self.result.as_ref())?;
        if self.images.is_empty() {
            trace.place(draft.clone(), result.clone());
        }
        let mut images = self.images.clone();
        for stage in trace.stages.iter_mut().filter(|stage| stage.draws) {
            if let Some(at) = images.iter().position(|(round, _)| *round == stage.round) {
                stage.picture = Some(pictures.add(&images.remove(at).1)?);
            }
        }
        let is_draft = draft.is_some() && draft == result;
        Ok(View { trace, draft, is_draft, references, result, pictures: pictures.by_key })
    }
}

impl fmt::Debug for TracePage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracePage").field("prompt", &self.trace.prompt).finish_non_exhaustive()
    }
}

/// What the page is made of.
#[derive(Serialize)]
struct View {
    trace: TraceView,
    draft: Option<String>,
    is_draft: bool,
    references: Vec<HitView>,
    result: Option<String>,
    pictures: BTreeMap<String, Thumbnail>,
}

/// Each picture once, by a hash of its pixels.
#[derive(Default)]
struct Pictures {
    by_key: BTreeMap<String, Thumbnail>,
}

impl Pictures {
    fn add(&mut self, image: &Image) -> Result<String> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&image.width().to_le_bytes());
        hasher.update(image.pixels());
        let key = hasher.finalize().to_hex()[..16].to_owned();
        if !self.by_key.contains_key(&key) {
            self.by_key.insert(key.clone(), thumbnail(image, SIDE)?);
        }
        Ok(key)
    }
}
