//! A candidate to how much more of its caption it shows than the draft.

use super::Refusal;
use super::run::Run;
use crate::Result;
use crate::embedder::{Embedded, Embedder, Embedding, one};
use crate::image::Image;
use crate::reference::Reference;
use crate::vlm::ExchangeLog;

impl Run<'_> {
    /// Refuses `candidate` where it is not closer to its caption than the draft by the margin: it
    /// would teach the generator nothing. `None` without a margin, or without a draft.
    pub(super) async fn known_already(
        &mut self,
        candidate: &Reference,
        image: &Image,
        log: &ExchangeLog,
    ) -> Result<Option<Refusal>> {
        let Some(margin) = self.config().margin else { return Ok(None) };
        let Some(embedder) = &self.pipeline.margin_embedder else { return Ok(None) };
        let Some(draft) = self.draft_image().cloned() else { return Ok(None) };

        // 1. How close the draft is: draft and caption are embedded once a request.
        let text = &candidate.caption.text;
        let caption = match self.caption_embeddings.get(text) {
            Some(caption) => caption.clone(),
            None => {
                let caption = logged(embedder, embedder.embed_texts(&[text]).await?, log)?;
                self.caption_embeddings.insert(text.clone(), caption.clone());
                caption
            }
        };
        let draft = match &self.draft_embedding {
            Some(draft) => draft.clone(),
            None => logged(embedder, embedder.embed_images(&[draft]).await?, log)?,
        };
        let draft = self.draft_embedding.insert(draft).similarity(&caption);

        // 2. How close the reference is.
        let embedded = embedder.embed_images(std::slice::from_ref(image)).await?;
        let reference = logged(embedder, embedded, log)?.similarity(&caption);
        let refused = reference - draft < margin;
        Ok(refused.then_some(Refusal::KnownAlready { reference, draft, margin }))
    }
}

/// The one embedding; what it took is written down.
fn logged(embedder: &dyn Embedder, embedded: Embedded, log: &ExchangeLog) -> Result<Embedding> {
    log.record_usage("margin", embedder, embedded.usage);
    one(embedder, embedded)
}
