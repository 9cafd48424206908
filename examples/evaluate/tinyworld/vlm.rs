//! The tiny world's classifier to a vision-language model: it answers the questions of the loop and of
//! judges about the species and backgrounds that it knows.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use image::RgbImage;
use image::imageops::{FilterType, resize};
use imagerag::vlm::{ChatReply, ChatRequest, Questions, Vlm};
use imagerag::{Image, Result, Usage, async_trait};

use super::judge::{Judge, Sight};

/// Side of the pictures that the classifier takes, in pixels.
const SIDE: u32 = 32;

pub(crate) struct JudgeVlm {
    judge: Mutex<Judge>,
    species: Vec<String>,
    backgrounds: Vec<String>,
    /// What a prompt is rephrased to.
    template: String,
    questions: Questions,
}

impl JudgeVlm {
    pub(crate) fn new(
        judge: Judge,
        species: Vec<String>,
        backgrounds: Vec<String>,
        template: String,
    ) -> Self {
        let questions = Questions::default();
        Self { judge: Mutex::new(judge), species, backgrounds, template, questions }
    }

    pub(crate) fn look(&self, picture: &Image) -> Result<Sight> {
        let pixels = resize(&RgbImage::from(picture), SIDE, SIDE, FilterType::Triangle);
        let picture = Image::try_from(pixels)?;
        Ok(self.judge.lock().unwrap_or_else(PoisonError::into_inner).look(&picture))
    }

    fn answer(&self, request: &ChatRequest) -> Result<String> {
        let Questions {
            missing_concepts,
            captions,
            description,
            rephrase,
            rerank,
            verification,
            ..
        } = &self.questions;
        let texts = request.messages.iter().map(|message| message.text.as_str());
        let about = texts.clone().collect::<Vec<_>>().join("\n");
        let last = texts.last().unwrap_or_default();
        let named = |names: &[String]| names.iter().find(|name| has_word(&about, name)).cloned();
        let species = named(&self.species).unwrap_or_default();
        let background = named(&self.backgrounds).unwrap_or_default();
        let shown: Vec<&Image> =
            request.messages.iter().flat_map(|message| &message.images).collect();
        let asks =
            |template: &str| last.starts_with(template.split('{').next().unwrap_or(template));
        if last == missing_concepts {
            return Ok(format!("a {species}"));
        }
        if last == captions {
            return Ok(format!("a photo of a {species}"));
        }
        let sights: Vec<Sight> =
            shown.into_iter().map(|picture| self.look(picture)).collect::<Result<_>>()?;
        let Some(sight) = sights.last() else { return Ok("I see no picture.".to_owned()) };
        if last == description {
            return Ok(format!("a photo of a {}", sight.forced));
        }
        if asks(rephrase) {
            let prompt = self.template.replace("{species}", &species);
            return Ok(prompt.replace("{background}", &background));
        }
        if asks(rerank) {
            // Those that show it, then the others, each in their order.
            let (good, bad): (Vec<usize>, Vec<usize>) =
                (0..sights.len()).partition(|n| sights[*n].forced == species);
            let order: Vec<_> = good.into_iter().chain(bad).map(|n| n.to_string()).collect();
            return Ok(order.join(", "));
        }
        if about.contains("Score: N") {
            let marks = |holds: bool| if holds { 2 } else { 0 };
            let score = marks(sight.strict == species)
                + marks(background.is_empty() || sight.background == background);
            return Ok(format!(
                "It shows a {} on {}. Score: {score}",
                sight.strict, sight.background
            ));
        }
        let _ = verification; // Asked for yes or no as the decision is.
        Ok(if sight.strict == species { "yes" } else { "no" }.to_owned())
    }
}

/// Whether `text` has `word` as a word of its own.
fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric()).any(|one| one == word)
}

#[async_trait]
impl Vlm for JudgeVlm {
    async fn chat(&self, request: &ChatRequest) -> Result<ChatReply> {
        let read: usize = request.messages.iter().map(|message| message.text.len() / 4).sum();
        let answer = self.answer(request)?;
        let written = answer.len().div_ceil(4) as u64;
        Ok(ChatReply::new(answer).with_usage(Usage::tokens(read as u64, written)))
    }
}

impl fmt::Display for JudgeVlm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tiny judge")
    }
}

impl fmt::Debug for JudgeVlm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JudgeVlm")
    }
}
