//! Stage 4: captions to the references that are admitted (section 3.2).

use std::collections::VecDeque;

use futures::future::join_all;

use super::run::Run;
use super::{Hit, Record, Refusal, Stage, missing};
use crate::reference::{Caption, Reference};
use crate::retriever::{RetrieveRequest, one_list_each};
use crate::vlm::ExchangeLog;
use crate::{Image, Result};

/// Pictures of one caption that cannot be read, after which no more are tried.
const MAX_UNREADABLE: usize = 64;
/// Pictures that are fetched side by side once one of a caption could not be read.
const AHEAD: usize = 4;

impl Run<'_> {
    /// Looks for every caption and admits, caption by caption, the best references that are close
    /// enough, new, and stand every check that is set, as many as there is room for.
    pub(super) async fn retrieve(&mut self, captions: &[Caption]) -> Result<Vec<Reference>> {
        let begun = self.begin(Stage::Retrieve);
        let admitted = self.admit(captions, &begun.log).await;
        let hits = if admitted.is_ok() { std::mem::take(&mut self.hits) } else { Vec::new() };
        self.end(begun, admitted, |_| Record::Hits(hits))
    }

    async fn admit(&mut self, captions: &[Caption], log: &ExchangeLog) -> Result<Vec<Reference>> {
        // Those that were tried already may come first again: look beyond them.
        let limit = self.config().candidates.saturating_add(self.tried.len());
        let mut admitted: Vec<Reference> = Vec::new();
        for (caption, list) in captions.iter().zip(self.candidates(captions, limit, log).await?) {
            let (mut taken, mut asked, mut seen, mut unread) = (0, limit, list.len(), 0);
            let mut candidates = VecDeque::from(list);
            loop {
                let mut fetched = VecDeque::new();
                while let Some(candidate) = candidates.pop_front() {
                    let image = fetched.pop_front().flatten();
                    let mut refused =
                        self.refusal(&candidate, image, &admitted, taken, log).await?;
                    if let Some(Refusal::Unreadable { problem }) = &refused {
                        unread += 1;
                        if unread == MAX_UNREADABLE {
                            let problem = problem.clone();
                            refused = Some(Refusal::TooManyUnreadable { count: unread, problem });
                            candidates.clear();
                        }
                        if fetched.is_empty() {
                            fetched = self.fetched(&candidates, &admitted, taken).await;
                        }
                    }
                    let used = refused.is_none();
                    self.hits.push(Hit::new(&candidate, refused));
                    if used {
                        taken += 1;
                        admitted.push(candidate);
                    }
                }
                // Pictures that are gone do not use up the candidates: the next best are behind.
                let enough = seen < asked || seen - unread >= limit || unread == MAX_UNREADABLE;
                if enough || self.is_full(&admitted, taken) {
                    break;
                }
                asked = asked.saturating_mul(4);
                let wider = self.candidates(std::slice::from_ref(caption), asked, log).await?;
                candidates = wider.into_iter().flatten().skip(seen).collect();
                seen += candidates.len();
            }
        }
        Ok(admitted)
    }

    /// What becomes of the pictures of the next candidates, in their order, where they may be
    /// missing: links die by the dozen, and each may take as long as its time-out.
    async fn fetched(
        &self,
        candidates: &VecDeque<Reference>,
        admitted: &[Reference],
        taken: usize,
    ) -> VecDeque<Option<Result<Image>>> {
        let fetch = async |candidate: &Reference| {
            let wanted = candidate.picture.skips_unreadable()
                && self.unseen(candidate, admitted, taken).is_none();
            if wanted { Some(candidate.image().await) } else { None }
        };
        join_all(candidates.iter().take(AHEAD).map(fetch)).await.into()
    }

    async fn candidates(
        &self,
        captions: &[Caption],
        limit: usize,
        log: &ExchangeLog,
    ) -> Result<Vec<Vec<Reference>>> {
        let retriever = self.pipeline.retriever.as_ref();
        let retriever =
            retriever.ok_or(missing("retriever", "call .retriever(…) on the builder"))?;
        let request = RetrieveRequest::new(captions, limit).with_log(log.clone());
        one_list_each(retriever, captions, retriever.retrieve(&request).await?)
    }

    /// Whether nothing more is used for a caption of which `taken` references are.
    fn is_full(&self, admitted: &[Reference], taken: usize) -> bool {
        taken == self.config().references_per_caption || admitted.len() == self.room()
    }

    /// Why `candidate` is not used. The cheapest check comes first; what one refuses costs nothing
    /// more, and is decoded only where its score, its source and the room left let it through, if
    /// its `image` is not there already.
    async fn refusal(
        &mut self,
        candidate: &Reference,
        image: Option<Result<Image>>,
        admitted: &[Reference],
        taken: usize,
        log: &ExchangeLog,
    ) -> Result<Option<Refusal>> {
        if let Some(refused) = self.unseen(candidate, admitted, taken) {
            return Ok(Some(refused));
        }
        let image = match image {
            Some(image) => image,
            None => candidate.image().await,
        };
        let image = match image {
            Err(error) if candidate.picture.skips_unreadable() => {
                return Ok(Some(Refusal::Unreadable { problem: error.chain().to_string() }));
            }
            image => image?,
        };
        // The same pixels under another name.
        if let Some(refused) = self.known(candidate, admitted) {
            return Ok(Some(refused));
        }
        let is_shown = self.pipeline.shows_images();
        if let Some(refused) = Refusal::of_aspect_ratio(&image).filter(|_| is_shown) {
            return Ok(Some(refused));
        }
        match self.known_already(candidate, &image, log).await? {
            None => self.not_shown(candidate, &image, log).await,
            refused => Ok(refused),
        }
    }

    /// Why `candidate` is not used, as far as is known without its pixels.
    fn unseen(
        &self,
        candidate: &Reference,
        admitted: &[Reference],
        taken: usize,
    ) -> Option<Refusal> {
        let score = candidate.provenance.score;
        if score.is_nan() {
            return Some(Refusal::NoScore);
        }
        if let Some(threshold) = self.config().threshold.filter(|threshold| score < *threshold) {
            return Some(Refusal::BelowThreshold { threshold });
        }
        if let Some(refused) = self.known(candidate, admitted) {
            return Some(refused);
        }
        if admitted.len() == self.room() {
            return Some(Refusal::NoRoom);
        }
        (taken == self.config().references_per_caption).then_some(Refusal::Surplus)
    }

    /// Why an image that is in use is not used again, as far as is known without decoding it.
    fn known(&self, candidate: &Reference, admitted: &[Reference]) -> Option<Refusal> {
        let same = |other: &Reference| other.shows_the_same(candidate);
        let pixels = candidate.picture.loaded();
        let own = self.request.references.iter().any(|(image, _)| Some(image) == pixels);
        if own || admitted.iter().any(same) {
            return Some(Refusal::Duplicate);
        }
        self.tried.iter().any(same).then_some(Refusal::AlreadyTried)
    }
}
