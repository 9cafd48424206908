//! Stage 1: prompt to draft.

use super::run::Run;
use super::{Record, Stage, TracedImage};
use crate::Result;
use crate::generator::{Drawn, GeneratorExt};

impl Run<'_> {
    /// Takes the caller's draft, or draws the prompt as it is, with the caller's own references where
    /// there are some.
    pub(super) async fn draft(&mut self) -> Result<()> {
        if let Some(image) = &self.request.draft {
            let begun = self.begin(Stage::Draft);
            let (width, height) = (image.width(), image.height());
            let image = Ok(image.clone());
            let image = self.end(begun, image, |_| Record::OwnDraft { width, height })?;
            self.keep(image, Vec::new(), true);
            return Ok(());
        }
        let conditioned = self.condition(&self.request.prompt, &[]).await?;
        let begun = self.begin(Stage::Draft);
        let mut request = self.request.generate(&conditioned.prompt, self.progress());
        request.conditioning = conditioned.conditioning;
        let generator = &self.pipeline.generator;
        let drawn = generator.generate_one(&request).await;
        let record = |drawn: &Drawn| Record::Image(TracedImage::new(generator, &request, drawn));
        let image = self.end(begun, drawn, record)?.image;
        self.keep(image, self.request.own_references(), true);
        Ok(())
    }
}
