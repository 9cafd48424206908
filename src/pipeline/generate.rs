//! Stage 6: a conditioned request to an image.

use super::run::Run;
use super::{Record, Stage, TracedImage};
use crate::conditioner::Conditioning;
use crate::generator::{GenerateRequest, Generator};
use crate::image::Image;
use crate::reference::Reference;
use crate::{Error, Result};

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
        let image = draw(&*self.pipeline.generator, &request).await;
        let image =
            self.end(begun, image, |image| Record::Image(TracedImage::new(&request, image)))?;
        self.tried.extend(references.iter().cloned());
        let all = self.request.own_references().into_iter().chain(references).collect();
        self.keep(image, all, false);
        Ok(())
    }
}

/// The one image of one request.
pub(super) async fn draw(generator: &dyn Generator, request: &GenerateRequest) -> Result<Image> {
    let images = generator.generate(std::slice::from_ref(request)).await?;
    let found = images.len();
    match <[Image; 1]>::try_from(images) {
        Ok([image]) => Ok(image),
        Err(_) => Err(Error::backend(
            generator.to_string(),
            format!("expected 1 image for 1 request, found {found}"),
        )),
    }
}
