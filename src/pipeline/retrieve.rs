//! Stage 4: captions to the references that are admitted (section 3.2).

use super::run::Run;
use super::{Hit, Record, Refusal, Stage};
use crate::reference::{Caption, Reference};
use crate::retriever::one_list_each;
use crate::vlm::ExchangeLog;
use crate::{Error, Result};

impl Run<'_> {
    /// Looks for every caption and admits, caption by caption, the best references that are close
    /// enough, new, and stand every check that is set, as many as there is room for.
    pub(super) async fn retrieve(&mut self, captions: &[Caption]) -> Result<Vec<Reference>> {
        let begun = self.begin(Stage::Retrieve);
        let mut hits = Vec::new();
        let admitted = self.admit(captions, &mut hits, &begun.log).await;
        self.end(begun, admitted, |_| Record::Hits(hits))
    }

    async fn admit(
        &mut self,
        captions: &[Caption],
        hits: &mut Vec<Hit>,
        log: &ExchangeLog,
    ) -> Result<Vec<Reference>> {
        let mut admitted: Vec<Reference> = Vec::new();
        for candidates in log.during(self.candidates(captions)).await? {
            let mut taken = 0;
            for candidate in candidates {
                // The cheapest check first; what one refuses costs nothing more.
                let mut refused = self.refusal(&candidate, &admitted, taken);
                if refused.is_none() {
                    refused = self.known_already(&candidate).await?;
                }
                if refused.is_none() {
                    refused = self.not_shown(&candidate, log).await?;
                }
                let used = refused.is_none();
                hits.push(Hit::new(&candidate, refused));
                if used {
                    taken += 1;
                    admitted.push(candidate);
                }
            }
        }
        Ok(admitted)
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
        one_list_each(retriever, captions, retriever.retrieve(captions, limit).await?)
    }

    /// Why `candidate` is not used, whatever it shows; `taken` references of its caption are.
    fn refusal(
        &self,
        candidate: &Reference,
        admitted: &[Reference],
        taken: usize,
    ) -> Option<Refusal> {
        let config = self.config();
        let same = |other: &Reference| other.shows_the_same(candidate);
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
