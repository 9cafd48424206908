//! [`CaptionWriter`]: has a VLM write the captions that images lack, each once.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use futures::future::join_all;

use super::RerankRequest;
use super::remembered::Remembered;
use crate::Result;
use crate::reference::{Reference, Source};
use crate::vlm::{ExchangeLog, Message, Questions, Vlm, parse};

/// Has a VLM describe images. It caches the captions of the latest 100,000 images, by their
/// sources; clones share the cache.
///
/// An image that the model declines to describe, or whose caption was cut off, gets none, and is not asked about again. The
/// same holds for an unreadable picture that is marked with
/// [`Picture::skipping_unreadable`](crate::reference::Picture::skipping_unreadable).
#[derive(Clone)]
pub struct CaptionWriter {
    vlm: Arc<dyn Vlm>,
    questions: Arc<Questions>,
    /// `None` where the model gave none.
    written: Remembered<Source, Option<String>>,
    keep: Option<Arc<Keep>>,
}

/// Captions by their images' sources.
type Captions = HashMap<Source, String>;
type Keep = dyn Fn(&[(Source, String)]) -> Result<()> + Send + Sync;

impl CaptionWriter {
    /// Captions by `vlm`. All missing captions are asked for at the same time; put a
    /// [`Limit`](crate::middleware::Limit) around `vlm` if its service allows only few calls.
    pub fn new(vlm: impl Vlm) -> Self {
        let (vlm, questions) = (Arc::new(vlm), Arc::default());
        Self { vlm, questions, written: Remembered::new(), keep: None }
    }

    /// Another sentence than the default [`description`](Questions#structfield.description), or
    /// that of another language. The cache begins anew.
    ///
    /// # Errors
    /// As [`Questions::validate`].
    pub fn with_questions(mut self, questions: Questions) -> Result<Self> {
        questions.validate()?;
        self.questions = Arc::new(questions);
        self.written = Remembered::new();
        Ok(self)
    }

    /// Calls `keep` with the new captions of each retrieval and the sources of their images. If it
    /// stores them, for example in a gallery, they need not be written again by another process.
    ///
    /// An error of `keep` ends the retrieval; the captions are cached nevertheless.
    #[cfg_attr(feature = "gallery", doc = "```")]
    #[cfg_attr(not(feature = "gallery"), doc = "```ignore")]
    /// # use imagerag::{Vlm, gallery::Gallery, retriever::CaptionWriter};
    /// # fn writer(gallery: Gallery, vlm: impl Vlm) -> CaptionWriter {
    /// CaptionWriter::new(vlm).kept_by(move |new| {
    ///     let mut captions = Vec::new();
    ///     for (source, caption) in new {
    ///         let entry = gallery.by_source(&source.to_string())?;
    ///         captions.extend(entry.map(|entry| (entry.id, caption.as_str())));
    ///     }
    ///     gallery.writer()?.set_captions(&captions)
    /// })
    /// # }
    /// ```
    #[must_use]
    pub fn kept_by(
        mut self,
        keep: impl Fn(&[(Source, String)]) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.keep = Some(Arc::new(keep));
        self
    }

    /// What was written, now or before, for those candidates without a stored caption.
    ///
    /// # Errors
    /// Those of the model and of `keep`, after every other caption of the call is remembered.
    pub(super) async fn captions(&self, request: &RerankRequest) -> Result<Captions> {
        let candidates = request.lists.iter().flatten();
        let bare: BTreeMap<&Source, &Reference> = candidates
            .filter(|candidate| candidate.provenance.metadata.caption.is_none())
            .map(|candidate| (&candidate.provenance.source, candidate))
            .collect();
        let asked = bare.iter().map(|(source, candidate)| {
            let ask = |log| {
                let (vlm, questions) = (Arc::clone(&self.vlm), Arc::clone(&self.questions));
                describe(vlm, questions, (*candidate).clone(), log)
            };
            self.written.get((*source).clone(), &request.log, ask)
        });
        let (mut captions, mut new, mut failed) = (HashMap::new(), Vec::new(), Ok(()));
        for (source, answer) in bare.keys().zip(join_all(asked).await) {
            match answer {
                Ok((Some(caption), is_new)) => {
                    new.extend(is_new.then(|| ((*source).clone(), caption.clone())));
                    captions.insert((*source).clone(), caption);
                }
                Ok((None, _)) => {}
                Err(error) => failed = failed.and(Err(error)),
            }
        }
        if let Some(keep) = self.keep.as_ref().filter(|_| !new.is_empty()) {
            failed = failed.and(keep(&new));
        }
        failed.map(|()| captions)
    }
}

/// What the model writes about one image; `None` where it declines or is cut off.
async fn describe(
    vlm: Arc<dyn Vlm>,
    questions: Arc<Questions>,
    candidate: Reference,
    log: ExchangeLog,
) -> Result<Option<String>> {
    let Some(image) = candidate.readable_image().await? else { return Ok(None) };
    let question = Message::user(questions.description.as_str()).with_images([image]);
    let reply = log.ask(&vlm, "caption", &question.into()).await?;
    Ok(parse::text(&questions, &reply))
}

impl fmt::Display for CaptionWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("captions by ")?;
        fmt::Display::fmt(&self.vlm, f)?; // `{:#}` is for the part inside too.
        if f.alternate() {
            write!(f, ", questions {}", self.questions.hash())?;
        }
        Ok(())
    }
}

impl fmt::Debug for CaptionWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keeps = self.keep.is_some();
        f.debug_struct("CaptionWriter").field("vlm", &self.vlm).field("keeps", &keeps).finish()
    }
}
