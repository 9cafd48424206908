//! `--fake`: parts that draw colours and answer at once, for tests of clients.
//!
//! Words of a prompt say what happens to it: `known` is in the draft already, `[hold]` is never
//! finished, `[refuse]` is against a policy, `[fail]` makes the backend fail, `[panic]` has it
//! panic, `[note]` has it say something of its image.

use std::fmt;
use std::sync::Arc;

use imagerag::conditioner::{ConditioningKind, InPrompt, PromptTemplate};
use imagerag::generator::{Drawn, GenerateRequest};
use imagerag::reference::{Metadata, Reference};
use imagerag::retriever::RetrieveRequest;
use imagerag::testing::{FakeEmbedder, FakeGenerator, FakeRetriever, FakeVlm, solid};
use imagerag::vlm::ChatRequest;
use imagerag::{Error, Generator, RagPipeline, Result, Retriever, Usage, async_trait};

use super::served::Served;

pub(crate) fn open() -> Result<Served> {
    let generator = Arc::new(Told(FakeGenerator::new()));
    let shelf = [
        ("a quetzal on a branch", solid(48, 32, [0, 140, 70])),
        ("a quetzal <on> a \"wire\" & more", solid(32, 32, [0, 90, 140])),
    ];
    let pipeline = RagPipeline::builder()
        .generator(Arc::clone(&generator))
        .vlm(FakeVlm::answering(|request| Ok(answer(request))))
        .retriever(Licensed(FakeRetriever::new(shelf)))
        .conditioner(InPrompt::new(3)?)
        .build()?;
    let conditioner = InPrompt::new(3)?.with_template(PromptTemplate::Plain)?;
    Ok(Served {
        name: "fakes, which draw one colour each".to_owned(),
        example: "a photo of a quetzal".to_owned(),
        pipeline,
        generator,
        conditioner: Some(Arc::new(conditioner)),
        embedder: Some(Arc::new(FakeEmbedder)),
        steps: Some(4),
        guidance_scale: None,
    })
}

/// What the critic is told: drafts lack a quetzal, unless what they show is known.
fn answer(request: &ChatRequest) -> &'static str {
    let said = |message: &imagerag::vlm::Message| message.text.to_lowercase();
    let last = request.messages.last().map(said).unwrap_or_default();
    let is_known = request.messages.iter().any(|message| said(message).contains("known"));
    match () {
        () if last.contains("yes or no") && is_known => "yes",
        () if last.contains("yes or no") => "no",
        () if last.contains("caption") => "a quetzal on a branch",
        () => "a quetzal",
    }
}

/// A generator that does what its prompt says.
#[derive(Debug)]
struct Told(FakeGenerator);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[async_trait]
impl Generator for Told {
    fn accepts(&self) -> &[ConditioningKind] {
        self.0.accepts()
    }

    fn image_mark(&self) -> Option<&str> {
        self.0.image_mark()
    }

    async fn generate(&self, requests: &[GenerateRequest]) -> Result<Vec<Drawn>> {
        let is_told = |word: &str| requests.iter().any(|request| request.prompt.contains(word));
        if is_told("[refuse]") {
            return Err(Error::refused(self, "safety_violations=[test]"));
        }
        if is_told("[fail]") {
            return Err(Error::backend(self.to_string(), "told to fail"));
        }
        if is_told("[hold]") {
            std::future::pending::<()>().await;
        }
        assert!(!is_told("[panic]"), "told to panic");
        let drawn = self.0.generate(requests).await?;
        let told = |drawn: Drawn| match is_told("[note]") {
            true => drawn.with_note("told to note"),
            false => drawn,
        };
        Ok(drawn.into_iter().map(|drawn| told(drawn.with_usage(Usage::images(1)))).collect())
    }
}

/// A retriever that knows the licenses of what it finds.
#[derive(Debug)]
struct Licensed(FakeRetriever);

impl fmt::Display for Licensed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[async_trait]
impl Retriever for Licensed {
    async fn retrieve(&self, request: &RetrieveRequest) -> Result<Vec<Vec<Reference>>> {
        let mut found = self.0.retrieve(request).await?;
        for reference in found.iter_mut().flatten() {
            reference.provenance.metadata = Metadata {
                license: Some("CC0-1.0".to_owned()),
                author: Some("A. <Painter>".to_owned()),
                ..Metadata::default()
            };
        }
        Ok(found)
    }
}
