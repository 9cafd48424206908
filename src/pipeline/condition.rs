//! Stage 5: references to a conditioned request (section 3.2).

use super::run::Run;
use super::{Hit, Record, Stage, missing};
use crate::conditioner::{ConditionRequest, Conditioned, Conditioner, Conditioning};
use crate::reference::Reference;
use crate::{Error, Result};

impl Run<'_> {
    /// Prepares the caller's own references and then `retrieved` for the generator.
    pub(super) async fn condition(&mut self, retrieved: &[Reference]) -> Result<Conditioned> {
        let begun = self.begin(Stage::Condition);
        let mut references = self.request.own_references();
        references.extend_from_slice(retrieved);
        let mut request = ConditionRequest::new(&self.request.prompt, references);
        request.image_mark = self.pipeline.generator.image_mark().map(Into::into);
        let conditioned = match &self.pipeline.conditioner {
            Some(conditioner) => {
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
