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
        let Questions { missing_concepts, captions, description, rephrase, rerank, .. } =
            &self.questions;
        let texts = request.messages.iter().map(|message| message.text.as_str());
        let about = texts.collect::<Vec<_>>().join("\n");
        let text = |at: usize| request.messages.get(at).map_or("", |message| &message.text);
        let (first, last) = (text(0), text(request.messages.len().saturating_sub(1)));
        let asks =
            |template: &str| last.starts_with(template.split('{').next().unwrap_or(template));
        let pictures = request.messages.iter().flat_map(|message| &message.images);
        let sights: Vec<Sight> =
            pictures.map(|picture| self.look(picture)).collect::<Result<_>>()?;
        let Some(sight) = sights.last() else { return Ok("I see no picture.".to_owned()) };
        let background = named(&self.backgrounds, &about).into_iter().next().unwrap_or_default();
        let wanted =
            named(&self.species, if asks(rerank) || asks(rephrase) { last } else { &about });
        let missing: Vec<_> =
            named(&self.species, first).into_iter().filter(|name| *name != sight.strict).collect();
        Ok(if last == missing_concepts {
            listed(&missing, "a ")
        } else if last == captions {
            listed(&missing, "a photo of a ")
        } else if last == description {
            format!("a photo of a {}", sight.forced)
        } else if asks(rephrase) {
            let species = wanted.into_iter().next().unwrap_or_default();
            self.template.replace("{species}", species).replace("{background}", background)
        } else if asks(rerank) {
            // Those that show it, then the others, each in their order.
            let (good, bad): (Vec<usize>, Vec<usize>) =
                (0..sights.len()).partition(|n| wanted.contains(&sights[*n].forced.as_str()));
            let order: Vec<_> = good.into_iter().chain(bad).map(|n| n.to_string()).collect();
            order.join(", ")
        } else if about.contains("Score: N") {
            let marks = |holds: bool| if holds { 2 } else { 0 };
            let score = marks(wanted.contains(&sight.strict.as_str()))
                + marks(background.is_empty() || sight.background == background);
            format!("It shows a {} on {}. Score: {score}", sight.strict, sight.background)
        } else {
            if missing.is_empty() { "yes" } else { "no" }.to_owned()
        })
    }
}

/// Those of `names` that `text` has, in its order.
fn named<'a>(names: &'a [String], text: &str) -> Vec<&'a str> {
    let mut found: Vec<&str> = Vec::new();
    for word in text.split(|c: char| !c.is_alphanumeric()) {
        if let Some(name) = names.iter().find(|name| *name == word)
            && !found.contains(&name.as_str())
        {
            found.push(name);
        }
    }
    found
}

fn listed(names: &[&str], before: &str) -> String {
    let lines: Vec<String> = names.iter().map(|name| format!("{before}{name}")).collect();
    if lines.is_empty() { "none".to_owned() } else { lines.join("\n") }
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
