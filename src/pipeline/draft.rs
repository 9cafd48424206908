//! Stage 1: prompt to draft.

use super::run::Run;
use super::{Record, Stage, TracedImage};
use crate::Result;
use crate::generator::{Drawn, GeneratorExt};

impl Run<'_> {
    /// Draws the prompt as it is, with the caller's own references where there are some.
    pub(super) async fn draft(&mut self) -> Result<()> {
        let own = self.request.own_references();
        let conditioned = match own.is_empty() {
            true => None,
            false => Some(self.condition(&[]).await?),
        };
        let begun = self.begin(Stage::Draft);
        let prompt = conditioned.as_ref().map_or(&self.request.prompt, |c| &c.prompt);
        let mut request = self.request.generate(prompt, self.progress());
        if let Some(conditioned) = conditioned {
            request.conditioning = conditioned.conditioning;
        }
        let drawn = self.pipeline.generator.generate_one(&request).await;
        let record = |drawn: &Drawn| Record::Image(TracedImage::new(&request, drawn));
        let image = self.end(begun, drawn, record)?.image;
        self.keep(image, own, true);
        Ok(())
    }
}
