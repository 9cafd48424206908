//! Stage 5: references to a conditioned request (section 3.2).

use super::run::Run;
use super::{Hit, Mode, Record, Stage, missing};
use crate::conditioner::{
    ConditionRequest, Conditioned, Conditioner, Conditioning, ConditioningKind,
};
use crate::image::Image;
use crate::reference::{Caption, Provenance, Reference, Source};
use crate::{Error, Result};

impl Run<'_> {
    /// Prepares `prompt` and the images for it: the caller's own, which keep the numbers that the prompt
    /// has for them, then the last image where it is to be edited, then `retrieved`. Marks in captions are
    /// left out. Where there are no images there is nothing to prepare, and no stage begins.
    pub(super) async fn condition(
        &mut self,
        prompt: &str,
        retrieved: &[Reference],
    ) -> Result<Conditioned> {
        let mut references = self.request.own_references();
        if self.config().mode == Mode::EditDraft {
            references.extend(self.image().map(draft));
        }
        references.extend_from_slice(retrieved);
        if references.is_empty() {
            return Ok(Conditioned { prompt: prompt.to_owned(), conditioning: Conditioning::None });
        }
        let begun = self.begin(Stage::Condition);
        let references = self.marks().remove_from_captions(&references);
        let mut request = ConditionRequest::new(prompt, references);
        request.image_mark = self.pipeline.generator.image_mark().map(Into::into);
        let conditioned = match &self.pipeline.conditioner {
            Some(conditioner) => {
                if conditioner.produces() != ConditioningKind::Images {
                    request.prompt = self.in_words(prompt);
                }
                let conditioned = conditioner.condition(&request).await;
                conditioned.and_then(|conditioned| as_promised(conditioner, conditioned))
            }
            None => Err(missing("conditioner", "call .conditioner(…) on the builder")),
        };
        self.end(begun, conditioned, |conditioned| Record::Conditioned {
            prompt: conditioned.prompt.clone(),
            references: request.references.iter().map(|one| Hit::new(one, None)).collect(),
        })
    }
}

/// The image that is to be edited, as conditioners are given it.
fn draft(image: &Image) -> Reference {
    Reference {
        picture: image.clone().into(),
        caption: Caption::concept("the image to edit"),
        provenance: Provenance::new(Source::Draft, "pipeline", 1.0, 0),
    }
}

/// What `conditioner` made, where it is of the kind that it names and not empty.
fn as_promised(conditioner: &dyn Conditioner, made: Conditioned) -> Result<Conditioned> {
    let (expected, found) = (conditioner.produces(), made.conditioning.kind());
    let is_empty = matches!(&made.conditioning, Conditioning::Images(images) if images.is_empty());
    if found == expected && !is_empty {
        return Ok(made);
    }
    let found = if is_empty { "no image".to_owned() } else { found.to_string() };
    Err(Error::backend(conditioner.to_string(), format!("expected {expected}, found {found}")))
}
