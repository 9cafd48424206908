//! [`ZeroShotCritic`]: finds the concepts that an image does not show with an [`Embedder`] and a
//! list of names, without a VLM.

use std::fmt;

use async_trait::async_trait;

use super::{Critic, Critique, CritiqueRequest, Query, Verdict};
use crate::Result;
use crate::embedder::{self, Embedder, Embedding, check_dim};
use crate::error::require;
use crate::forward::check_count;
use crate::image::Image;
use crate::reference::Caption;
use crate::text::words;
use crate::vlm::ExchangeLog;

/// Judges by zero-shot classification (Radford et al., 2021): the concepts that the prompt names
/// must be closer to the image than all other concepts of a list.
///
/// It only knows the concepts on its list, so it suits closed domains such as birds, aircraft or
/// the products of a shop.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use futures::executor::block_on;
/// use imagerag::critic::{Critic, CritiqueRequest, ZeroShotCritic};
/// use imagerag::testing::{FakeEmbedder, solid};
///
/// // CLIP would tell birds apart; the fake knows colors.
/// let birds = ["red bird", "green bird", "blue bird"];
/// let critic = block_on(ZeroShotCritic::new(FakeEmbedder, &birds))?.with_margin(0.05);
///
/// let draft = Some(solid(8, 8, [0, 200, 0]));
/// let judged = |prompt| block_on(critic.critique(&CritiqueRequest::new(prompt, draft.clone())));
/// assert_eq!(judged("a red bird at dawn")?.verdict.to_string(), "missing: red bird");
/// assert_eq!(judged("a green bird at dawn")?.verdict.to_string(), "it matches the prompt");
/// // The similarities, from which to choose a margin.
/// println!("{}", judged("a red bird at dawn")?);
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ZeroShotCritic<E> {
    embedder: E,
    concepts: Vec<Concept>,
    template: String,
    margin: f32,
    threshold: f32,
}

#[derive(Clone, Debug)]
struct Concept {
    name: String,
    /// The name's words in lower case, as they are looked for in prompts.
    words: Vec<String>,
    text: Embedding,
}

impl<E: Embedder> ZeroShotCritic<E> {
    /// A critic that knows `concepts`, described to the embedder as `a photo of a {concept}`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) when there are fewer than two concepts, one
    /// is blank, or two are the same; errors of the embedder.
    pub async fn new<S: AsRef<str> + Sync>(embedder: E, concepts: &[S]) -> Result<Self> {
        Self::with_template(embedder, concepts, "a photo of a {concept}").await
    }

    /// The same with another description; `{concept}` stands for the name.
    ///
    /// # Errors
    /// As [`new`](Self::new), and when `template` lacks `{concept}`.
    pub async fn with_template<S: AsRef<str> + Sync>(
        embedder: E,
        concepts: &[S],
        template: &str,
    ) -> Result<Self> {
        let is_template = template.contains("{concept}");
        require(is_template, "template", "a text with {concept}", template)?;
        let names: Vec<&str> = concepts.iter().map(|name| name.as_ref().trim()).collect();
        let all_words: Vec<Vec<String>> = names.iter().map(|name| words(name)).collect();
        require(names.len() > 1, "concepts", "at least 2 names", names.len())?;
        for (n, words) in all_words.iter().enumerate() {
            require(!words.is_empty(), "concept", "a name", format!("{:?}", names[n]))?;
            require(!all_words[..n].contains(words), "concept", "each name once", names[n])?;
        }
        let texts: Vec<String> =
            names.iter().map(|name| template.replace("{concept}", name)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let embeddings = embedder.embed_texts(&texts).await?;
        check_count(&embedder, "embeddings", texts.len(), embeddings.len())?;
        check_dim(&embedder, &embeddings)?;
        let each = names.into_iter().zip(all_words).zip(embeddings);
        let concepts = each
            .map(|((name, words), text)| Concept { name: name.to_owned(), words, text })
            .collect();
        Ok(Self { embedder, concepts, template: template.to_owned(), margin: 0.0, threshold: -1.0 })
    }

    /// By how much a concept of the prompt must be closer to the image than every other concept on
    /// the list, as a difference of cosine similarities. 0 by default; negative values are lenient.
    #[must_use]
    pub const fn with_margin(mut self, margin: f32) -> Self {
        self.margin = margin;
        self
    }

    /// The cosine similarity, in [-1, 1], that a concept must at least have to count as shown. By
    /// default -1, which is no threshold. A good value depends on the embedder: the reason of each
    /// critique has the similarities.
    #[must_use]
    pub const fn with_threshold(mut self, similarity: f32) -> Self {
        self.threshold = similarity;
        self
    }

    /// The concepts that `prompt` names, in the order in which it does. The longest name wins where
    /// several begin at the same word.
    fn named_in(&self, prompt: &str) -> Vec<&Concept> {
        let prompt = words(prompt);
        let mut named: Vec<&Concept> = Vec::new();
        let mut at = 0;
        while at < prompt.len() {
            let longest = self
                .concepts
                .iter()
                .filter(|concept| prompt[at..].starts_with(&concept.words))
                .max_by_key(|concept| concept.words.len());
            match longest {
                Some(concept) => {
                    if !named.iter().any(|known| known.name == concept.name) {
                        named.push(concept);
                    }
                    at += concept.words.len();
                }
                None => at += 1,
            }
        }
        named
    }

    /// The concepts among `named` that `image` does not show, and why.
    async fn missing<'a>(
        &self,
        named: Vec<&'a Concept>,
        image: &Image,
        log: &ExchangeLog,
    ) -> Result<(Vec<&'a Concept>, String)> {
        let embedded = self.embedder.embed_images(std::slice::from_ref(image)).await?;
        log.record_usage("critique", &self.embedder, embedded.usage);
        let image = &embedder::one(&self.embedder, embedded)?;
        let rival = self
            .concepts
            .iter()
            .filter(|concept| !named.iter().any(|known| known.name == concept.name))
            .map(|concept| (concept.text.similarity(image), concept.name.as_str()))
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .unwrap_or((-1.0, "nothing else"));
        let mut reasons = Vec::new();
        let mut missing = Vec::new();
        for concept in named {
            let similarity = concept.text.similarity(image);
            let shown = similarity >= self.threshold.max(rival.0 + self.margin);
            let (rivals, other) = rival;
            reasons.push(format!("{} {similarity:.3} against {other} {rivals:.3}", concept.name));
            if !shown {
                missing.push(concept);
            }
        }
        Ok((missing, reasons.join("; ")))
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<E: Embedder> Critic for ZeroShotCritic<E> {
    async fn critique(&self, request: &CritiqueRequest) -> Result<Critique> {
        let named = self.named_in(&request.prompt);
        if named.is_empty() {
            let reason = format!("the prompt names none of {} concepts", self.concepts.len());
            let verdict = match request.image {
                Some(_) => Verdict::Match,
                None => Verdict::Undetermined,
            };
            return Ok(Critique { verdict, reason: Some(reason) });
        }
        let (mut missing, reason) = match &request.image {
            Some(image) => self.missing(named, image, &request.log).await?,
            None => (named, "every concept that the prompt names".to_owned()),
        };
        missing.truncate(request.max_concepts);
        let caption = |concept: &Concept| match request.query {
            Query::Prompt => Caption::new(&request.prompt, &concept.name),
            Query::Concept => Caption::concept(&concept.name),
            Query::Caption => {
                Caption::new(self.template.replace("{concept}", &concept.name), &concept.name)
            }
        };
        let verdict = match missing.is_empty() {
            true => Verdict::Match,
            false => Verdict::Missing(missing.into_iter().map(caption).collect()),
        };
        Ok(Critique { verdict, reason: Some(reason) })
    }
}

impl<E: Embedder> fmt::Display for ZeroShotCritic<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ZeroShot(")?;
        fmt::Display::fmt(&self.embedder, f)?; // `{:#}` is for the part inside too.
        write!(f, ", {} concepts", self.concepts.len())?;
        if f.alternate() {
            let names: Vec<&str> = self.concepts.iter().map(|one| one.name.as_str()).collect();
            let Self { template, margin, threshold, .. } = self;
            write!(
                f,
                " {names:?}, template {template:?}, margin {margin:?}, threshold {threshold:?}"
            )?;
        }
        f.write_str(")")
    }
}
