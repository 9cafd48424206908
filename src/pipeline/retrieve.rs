//! Stage 4: captions to the references that are admitted (section 3.2).

use super::run::Run;
use super::{Hit, Record, Refusal, Stage};
use crate::retriever::{Caption, Reference};
use crate::{Error, Result};

impl Run<'_> {
    /// Looks for every caption and admits, caption by caption, the best references that are close
    /// enough and new, as many as there is room for.
    pub(super) async fn retrieve(&mut self, captions: &[Caption]) -> Result<Vec<Reference>> {
        let begun = self.begin(Stage::Retrieve);
        let found = self.candidates(captions).await;
        let mut hits = Vec::new();
        let admitted = found.map(|found| {
            let mut admitted: Vec<Reference> = Vec::new();
            for candidates in found {
                let mut taken = 0;
                for candidate in candidates {
                    let refused = self.refusal(&candidate, &admitted, taken);
                    hits.push(Hit::new(&candidate, refused));
                    if refused.is_none() {
                        taken += 1;
                        admitted.push(candidate);
                    }
                }
            }
            admitted
        });
        self.end(begun, admitted, |_| Record::Hits(hits))
    }

    async fn candidates(&self, captions: &[Caption]) -> Result<Vec<Vec<Reference>>> {
        let Some(retriever) = &self.pipeline.retriever else {
            return Err(Error::MissingPart {
                part: "retriever",
                hint: "call .retriever(…) on the builder",
            });
        };
        // Those that were tried already may come first again: look beyond them.
        let limit = self.config().candidates.saturating_add(self.tried.len());
        let found = retriever.retrieve(captions, limit).await?;
        if found.len() != captions.len() {
            return Err(Error::backend(
                retriever.to_string(),
                format!(
                    "expected {} lists for as many captions, found {}",
                    captions.len(),
                    found.len()
                ),
            ));
        }
        Ok(found)
    }

    /// Why `candidate` is not used; `taken` references of its caption are.
    fn refusal(
        &self,
        candidate: &Reference,
        admitted: &[Reference],
        taken: usize,
    ) -> Option<Refusal> {
        let config = self.config();
        let same = |other: &Reference| {
            other.provenance.source == candidate.provenance.source || other.image == candidate.image
        };
        let score = candidate.provenance.score;
        let own = self.request.references.iter().any(|(image, _)| *image == candidate.image);
        if score.is_nan() {
            return Some(Refusal::NoScore);
        }
        if let Some(threshold) = config.threshold.filter(|threshold| score < *threshold) {
            return Some(Refusal::BelowThreshold { threshold });
        }
        if own || admitted.iter().any(same) {
            return Some(Refusal::Duplicate);
        }
        if self.tried.iter().any(same) {
            return Some(Refusal::AlreadyTried);
        }
        let full = taken == config.references_per_caption || admitted.len() == self.room();
        full.then_some(Refusal::NoRoom)
    }
}
