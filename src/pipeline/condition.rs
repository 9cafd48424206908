//! Stage 5: references to a conditioned request (section 3.2).

use super::run::Run;
use super::{Hit, Record, Stage, missing};
use crate::Result;
use crate::conditioner::{ConditionRequest, Conditioned};
use crate::reference::Reference;

impl Run<'_> {
    /// Prepares the caller's own references and then `retrieved` for the generator.
    pub(super) async fn condition(&mut self, retrieved: &[Reference]) -> Result<Conditioned> {
        let begun = self.begin(Stage::Condition);
        let mut references = self.request.own_references();
        references.extend_from_slice(retrieved);
        let mut request = ConditionRequest::new(&self.request.prompt, references);
        request.image_mark = self.pipeline.generator.image_mark().map(Into::into);
        let conditioned = match &self.pipeline.conditioner {
            Some(conditioner) => conditioner.condition(&request).await,
            None => Err(missing("conditioner", "call .conditioner(…) on the builder")),
        };
        self.end(begun, conditioned, |conditioned| Record::Conditioned {
            prompt: conditioned.prompt.clone(),
            references: request.references.iter().map(|one| Hit::new(one, None)).collect(),
        })
    }
}
