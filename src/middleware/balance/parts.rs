//! Makes a [`Balance`] the kinds of part that its members are, and checks that they give what was
//! asked for.

use async_trait::async_trait;
use futures::future::join_all;

use super::Balance;
use super::slot::Slot;
use super::vet::Input;
use crate::conditioner::ConditioningKind;
use crate::critic::{Critic, Critique, CritiqueRequest};
use crate::embedder::{
    Batching, Embedded, Embedder, Embedding, Gathered, PartlyEmbedded, check_dim,
};
use crate::forward::check_count;
use crate::generator::{Drawn, GenerateRequest, Generator};
use crate::image::Image;
use crate::reference::Reference;
use crate::retriever::{
    Ranking, RerankRequest, Reranker, RetrieveRequest, Retriever, one_list_each,
};
use crate::vlm::{ChatReply, ChatRequest, Vlm};
use crate::{Result, Usage};

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: Generator> Generator for Balance<P> {
    fn accepts(&self) -> &[ConditioningKind] {
        self.parts[0].accepts()
    }

    fn image_mark(&self) -> Option<&str> {
        self.parts[0].image_mark()
    }

    fn repeats(&self) -> bool {
        self.parts.iter().all(Generator::repeats)
    }

    async fn generate(&self, requests: &[GenerateRequest]) -> Result<Vec<Drawn>> {
        // A bad request must stop the whole call before a member begins with another share of it.
        for request in requests {
            request.validate()?;
            request.validate_conditioning(self.accepts())?;
        }
        let requests: Vec<_> = requests.iter().cloned().map(GenerateRequest::told_once).collect();
        let ask = async |member: usize, requests: &[GenerateRequest]| {
            let part = &self.parts[member];
            let drawn = part.generate(requests).await?;
            check_count(part, "images", requests.len(), drawn.len())?;
            Ok(drawn)
        };
        Ok(self.spread(&requests, ask).await?.into_iter().flatten().collect())
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: Embedder> Embedder for Balance<P> {
    fn dim(&self) -> usize {
        self.parts[0].dim()
    }

    async fn embed_texts(&self, texts: &[&str]) -> Result<Embedded> {
        let ask = async |member: usize, texts: &[&str]| {
            let part = &self.parts[member];
            let embedded = checked(part, texts.len(), part.embed_texts(texts).await?)?;
            self.vet(member, || Input::Text(texts[0].to_owned()), &embedded[0]).await?;
            Ok(embedded)
        };
        Ok(joined(self.spread(texts, ask).await?))
    }

    async fn embed_images(&self, images: &[Image]) -> Result<Embedded> {
        let ask = async |member: usize, images: &[Image]| {
            let part = &self.parts[member];
            let embedded = checked(part, images.len(), part.embed_images(images).await?)?;
            self.vet(member, || Input::Image(images[0].clone()), &embedded[0]).await?;
            Ok(embedded)
        };
        Ok(joined(self.spread(images, ask).await?))
    }

    /// What a member has answered before it failed is not asked for again.
    async fn embed_images_partly(&self, images: &[Image]) -> PartlyEmbedded {
        let shares = self.shares(images).into_iter();
        let shares = shares.map(|(slot, share)| self.share_partly(slot, share));
        let mut all = PartlyEmbedded::default();
        join_all(shares.collect::<Vec<_>>()).await.into_iter().for_each(|share| all.append(share));
        all
    }

    fn preprocess(&self, image: &Image) -> Image {
        self.parts[0].preprocess(image)
    }

    /// As many calls as all members take together, none with more images than suit the smallest.
    fn batching(&self) -> Batching {
        let all = || self.parts.iter().map(Embedder::batching);
        let calls = all().fold(0_usize, |sum, one| sum.saturating_add(one.calls));
        let least = |most: usize, one: Batching| most.min(one.images);
        Batching::new(all().fold(usize::MAX, least), calls)
    }
}

impl<P: Embedder> Balance<P> {
    /// What became of each of the images in `share`, for which members are asked, that of `slot` first.
    async fn share_partly(&self, slot: Option<Slot>, share: &[Image]) -> PartlyEmbedded {
        let gathered = Gathered::new(share.len());
        let ask = async |member: usize| {
            let part = &self.parts[member];
            let answer = gathered.answer(part, share).await?;
            if let Some((at, embedding)) = answer.first() {
                self.vet(member, || Input::Image(share[at].clone()), embedding).await?;
            }
            gathered.take(part, answer)
        };
        let outcome = self.call(share.len(), slot, ask).await;
        gathered.end(outcome)
    }

    /// Checks that a member, which has made `embedding` of `input`, is of the model of the others.
    async fn vet(
        &self,
        member: usize,
        input: impl Fn() -> Input + Send + Sync,
        embedding: &Embedding,
    ) -> Result<()> {
        match &self.vetting {
            Some(vetting) => vetting.check(member, &self.parts[member], input, embedding).await,
            None => Ok(()),
        }
    }
}

/// What `embedder` gave for so many `inputs`, if it is what it should be.
fn checked(embedder: &impl Embedder, inputs: usize, embedded: Embedded) -> Result<Embedded> {
    check_count(embedder, "embeddings", inputs, embedded.len())?;
    check_dim(embedder, &embedded)?;
    Ok(embedded)
}

/// The embeddings of all `shares`, in order, with what they took together.
fn joined(shares: Vec<Embedded>) -> Embedded {
    let usage = shares.iter().filter_map(|share| share.usage).reduce(|sum: Usage, next| sum + next);
    let embeddings = shares.into_iter().flatten().collect();
    Embedded { embeddings, usage }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: Vlm> Vlm for Balance<P> {
    async fn chat(&self, request: &ChatRequest) -> Result<ChatReply> {
        self.call(1, None, |member| self.parts[member].chat(request)).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: Critic> Critic for Balance<P> {
    async fn critique(&self, request: &CritiqueRequest) -> Result<Critique> {
        self.call(1, None, |member| self.parts[member].critique(request)).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: Retriever> Retriever for Balance<P> {
    async fn retrieve(&self, request: &RetrieveRequest) -> Result<Vec<Vec<Reference>>> {
        let ask = async |member: usize| {
            let part = &self.parts[member];
            one_list_each(part, &request.captions, part.retrieve(request).await?)
        };
        self.call(1, None, ask).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: Reranker> Reranker for Balance<P> {
    async fn rank(&self, request: &RerankRequest) -> Result<Vec<Ranking>> {
        let ask = async |member: usize| {
            let part = &self.parts[member];
            let rankings = part.rank(request).await?;
            check_count(part, "rankings", request.lists.len(), rankings.len())?;
            Ok(rankings)
        };
        self.call(1, None, ask).await
    }
}
