//! Stage 6: a conditioned request to an image.

use super::run::Run;
use super::{Record, Stage, TracedImage};
use crate::Result;
use crate::conditioner::Conditioning;
use crate::generator::{Drawn, GeneratorExt};
use crate::reference::Reference;

impl Run<'_> {
    /// Draws `prompt` with the references that `conditioning` holds.
    pub(super) async fn generate(
        &mut self,
        prompt: &str,
        conditioning: Option<Conditioning>,
        references: Vec<Reference>,
    ) -> Result<()> {
        let begun = self.begin(Stage::Generate);
        let mut request = self.request.generate(prompt, self.progress());
        request.conditioning = conditioning.unwrap_or_default();
        let drawn = self.pipeline.generator.generate_one(&request).await;
        let record = |drawn: &Drawn| Record::Image(TracedImage::new(&request, drawn));
        let image = self.end(begun, drawn, record)?.image;
        self.tried.extend(references.iter().cloned());
        let all = self.request.own_references().into_iter().chain(references).collect();
        self.keep(image, all, false);
        Ok(())
    }
}
