//! A candidate to how much more of its caption it shows than the draft.

use super::Refusal;
use super::run::Run;
use crate::Result;
use crate::embedder::EmbedderExt;
use crate::image::Image;
use crate::reference::Reference;

impl Run<'_> {
    /// Refuses `candidate` where it is not closer to its caption than the draft by the margin: it
    /// would teach the generator nothing. `None` without a margin, or without a draft.
    pub(super) async fn known_already(
        &mut self,
        candidate: &Reference,
        image: &Image,
    ) -> Result<Option<Refusal>> {
        let Some(margin) = self.config().margin else { return Ok(None) };
        let Some(embedder) = &self.pipeline.margin_embedder else { return Ok(None) };
        let Some(draft) = self.draft_image().cloned() else { return Ok(None) };

        // 1. How close the draft is: draft and caption are embedded once a request.
        let text = &candidate.caption.text;
        let caption = match self.caption_embeddings.get(text) {
            Some(caption) => caption.clone(),
            None => {
                let caption = embedder.embed_text(text).await?;
                self.caption_embeddings.insert(text.clone(), caption.clone());
                caption
            }
        };
        let draft = match &self.draft_embedding {
            Some(draft) => draft.clone(),
            None => embedder.embed_image(&draft).await?,
        };
        let draft = self.draft_embedding.insert(draft).similarity(&caption);

        // 2. How close the reference is.
        let reference = embedder.embed_image(image).await?.similarity(&caption);
        let refused = reference - draft < margin;
        Ok(refused.then_some(Refusal::KnownAlready { reference, draft, margin }))
    }
}
