//! Stage 6: a conditioned request to an image.

use super::run::Run;
use super::{Mode, Record, Stage, TracedImage};
use crate::Result;
use crate::conditioner::Conditioned;
use crate::generator::{Drawn, GeneratorExt};
use crate::reference::Reference;

impl Run<'_> {
    /// Draws what was `conditioned` with the `retrieved` references.
    pub(super) async fn generate(
        &mut self,
        conditioned: Conditioned,
        retrieved: Vec<Reference>,
    ) -> Result<()> {
        let begun = self.begin(Stage::Generate);
        let mut request = self.request.generate(&conditioned.prompt, self.progress());
        request.conditioning = conditioned.conditioning;
        let generator = &self.pipeline.generator;
        let drawn = generator.generate_one(&request).await;
        let record = |drawn: &Drawn| Record::Image(TracedImage::new(generator, &request, drawn));
        let image = self.end(begun, drawn, record)?.image;
        self.tried.extend(retrieved.iter().cloned());
        let mut references = self.request.own_references();
        if self.config().mode == Mode::EditDraft {
            // What the image was edited from is in it too.
            let before = self.references().iter().filter(|one| !references.contains(one));
            references = references.iter().chain(before).cloned().collect();
        }
        references.extend(retrieved);
        self.keep(image, references, false);
        Ok(())
    }
}
