//! [`VqaScore`]: a picture and its prompt to the probability that a model says yes.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::judge::judged;
use super::{Fingerprint, Metric, Outcome, Score, Subject};
use crate::error::{at_least_one, require};
use crate::text::fill;
use crate::vlm::{
    ChatReply, ChatRequest, ExchangeLog, Logprob, Message, Questions, TokenLogprobs, Vlm, parse,
};
use crate::{Error, Result};

/// The question of VQAScore (Lin et al. 2024, `t2v_metrics`).
const QUESTION: &str = "Does this figure show \"{prompt}\"? Please answer yes or no.";
/// The most alternatives that OpenAI gives.
const ALTERNATIVES: u32 = 20;
const NO_LOGPROBS: &str = "it gave no log-probabilities; take the share of yes among several replies \
                           instead (`VqaScore::sampled`, in a run file `replies = 10`)";
/// With less than this for yes and no together, the model has not answered yes or no.
const LEAST_ANSWERED: f64 = 0.1;
/// With less than this for both, something else is likelier, and a note says so.
const MOSTLY_ANSWERED: f64 = 0.5;
/// Some services take no limit below this.
const MAX_TOKENS: u32 = 16;

/// The probability that a vision-language model answers yes to whether a picture shows its prompt.
///
/// | made by | number | column |
/// |---|---|---|
/// | [`new`](Self::new) | P(yes): the sum of the probabilities of `Yes`, `yes`, ` Yes` and the like as the first token of the reply | VQAScore |
/// | [`normalised`](Self::normalised) | P(yes) / (P(yes) + P(no)) | VQAScore (normalised) |
/// | [`sampled`](Self::sampled) | the share of yes among several replies at temperature 1 | yes share |
///
/// The first is that of Lin et al. 2024, who sum one spelling of yes over the whole vocabulary's softmax; a
/// service tells the 20 likeliest tokens or fewer, so what is below them counts as 0. Where yes and no
/// together have a probability below 0.1, the model has answered something else: that is a failure which
/// names the likeliest token, and no number; below 0.5 a [note](Score::notes) says so. The first two need
/// [log-probabilities](ChatRequest::logprobs), which reasoning models and some services do not give: then
/// there is an error, and the third must be asked for by name, for it is another number.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use futures::executor::block_on;
/// use imagerag::evaluation::metric::{Metric, Outcome, Subject, VqaScore};
/// use imagerag::testing::{FakeVlm, solid};
/// use imagerag::vlm::{ChatReply, Logprob, TokenLogprobs};
///
/// let top = [Logprob::new("Yes", 0.5_f64.ln()), Logprob::new("yes", 0.25_f64.ln()), Logprob::new("No", 0.2_f64.ln())];
/// let first = TokenLogprobs::new(top[0].clone()).with_top(top);
/// let vlm = FakeVlm::default().then(Ok(ChatReply::new("Yes").with_logprobs([first]))); // An `OpenAiVlm`, for instance.
/// let picture = Subject::new(solid(8, 8, [0, 140, 70]), "a quetzal");
/// let scores = block_on(VqaScore::new(vlm).score(&[picture]))?;
/// let Outcome::Value(probability) = scores[0].outcome else { panic!() };
/// assert!((probability - 0.75).abs() < 1e-9);
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct VqaScore {
    vlm: Arc<dyn Vlm>,
    question: String,
    number: Number,
    concurrency: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Number {
    Yes,
    YesOfBoth,
    Share(usize),
}

impl VqaScore {
    /// P(yes), of the first token of the reply.
    pub fn new(vlm: impl Vlm) -> Self {
        let question = QUESTION.to_owned();
        Self { vlm: Arc::new(vlm), question, number: Number::Yes, concurrency: 4 }
    }

    /// P(yes) / (P(yes) + P(no)), of the first token of the reply.
    pub fn normalised(vlm: impl Vlm) -> Self {
        Self { number: Number::YesOfBoth, ..Self::new(vlm) }
    }

    /// The share of yes among so many `replies` at temperature 1, each of which must be yes or no.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) for 0.
    pub fn sampled(vlm: impl Vlm, replies: usize) -> Result<Self> {
        at_least_one("replies that are counted", replies)?;
        Ok(Self { number: Number::Share(replies), ..Self::new(vlm) })
    }

    /// The same with another question, in English and for yes or no; `{prompt}` stands for the prompt.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) where it lacks `{prompt}`.
    pub fn with_question(mut self, question: impl Into<String>) -> Result<Self> {
        self.question = question.into();
        let fits = self.question.contains("{prompt}");
        require(fits, "question", "a text with {prompt}", format!("{:?}", self.question))?;
        Ok(self)
    }

    /// The same with so many pictures judged at a time; 4 by default.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) for 0.
    pub fn with_concurrency(mut self, pictures: usize) -> Result<Self> {
        at_least_one("pictures judged at a time", pictures)?;
        self.concurrency = pictures;
        Ok(self)
    }

    async fn judge(&self, subject: &Subject, log: &ExchangeLog) -> Result<Score> {
        let question = fill(&self.question, &[("{prompt}", &subject.prompt)]);
        let question = Message::user(question).with_images([subject.image.clone()]);
        let request = ChatRequest::from(question);
        if let Number::Share(replies) = self.number {
            return self.share(request.with_temperature(1.0), replies, log).await;
        }
        let request = request.with_max_tokens(MAX_TOKENS).with_logprobs(ALTERNATIVES);
        let reply = log.ask(&self.vlm, "yes or no, by log-probabilities", &request).await?;
        if reply.refusal.is_some() || parse::is_refusal(&reply) {
            return Ok(unanswered(&reply).into());
        }
        if reply.logprobs.is_empty() && !reply.text.trim().is_empty() {
            // The service gives none to any picture: this is no outcome of one.
            return Err(Error::backend(self.vlm.to_string(), NO_LOGPROBS));
        }
        Ok(match Answers::of(&reply.logprobs) {
            Ok(Answers { yes, no, note }) => {
                let value = match self.number {
                    Number::YesOfBoth => yes / (yes + no),
                    _ => yes,
                };
                Score::value(value).with_notes(note.into_iter().collect())
            }
            Err(found) => Outcome::Failed(found).into(),
        })
    }

    /// How many of `replies` say yes.
    async fn share(
        &self,
        request: ChatRequest,
        replies: usize,
        log: &ExchangeLog,
    ) -> Result<Score> {
        let questions = Questions::default();
        let read = |reply: &ChatReply| parse::yes_or_no(&questions, &self.question, reply);
        let mut yes = 0;
        for number in 1..=replies {
            let purpose = format!("yes or no, {number} of {replies}");
            let reply = log.ask(&self.vlm, &purpose, &request).await?;
            match read(&reply) {
                Some(answer) => yes += usize::from(answer),
                None => return Ok(unanswered(&reply).into()),
            }
        }
        Ok(Score::value(yes as f64 / replies as f64))
    }
}

/// What a picture has of which a reply is neither yes nor no.
fn unanswered(reply: &ChatReply) -> Outcome {
    let text: String = reply.text.chars().take(300).collect();
    match &reply.refusal {
        Some(reason) => Outcome::Refused(reason.clone()),
        None if parse::is_refusal(reply) => Outcome::Refused(text),
        None => Outcome::Failed(format!("expected yes or no, found {text:?}")),
    }
}

/// The probabilities of both answers.
struct Answers {
    yes: f64,
    no: f64,
    /// What the model said rather, where it did.
    note: Option<String>,
}

impl Answers {
    /// Those at the first token, or why there are none.
    fn of(tokens: &[TokenLogprobs]) -> Result<Self, String> {
        // Some models begin with a space or a line of its own.
        let first = tokens.iter().find(|token| !word(&token.token.token).is_empty());
        let first = first.ok_or("expected yes or no, found no token with a word")?;
        let mut all = first.top.clone();
        if !all.iter().any(|one| one.token == first.token.token) {
            all.push(first.token.clone());
        }
        if let Some(one) = all.iter().find(|one| one.logprob > 0.0) {
            let Logprob { token, logprob } = one;
            return Err(format!(
                "expected log-probabilities of at most 0, found {logprob} for {token:?}"
            ));
        }
        let sum = |answer: &str| -> f64 {
            let all = all.iter().filter(|one| word(&one.token) == answer);
            all.fold(0.0, |sum, one| sum + one.probability()).min(1.0)
        };
        let (yes, no) = (sum("yes"), sum("no"));
        let both = (yes + no).min(1.0);
        let tokens: Vec<String> = all.iter().map(|one| format!("{:?}", one.token)).collect();
        let tokens = tokens.join(", ");
        if both < LEAST_ANSWERED {
            let said = &first.token.token;
            return Err(format!(
                "the reply begins with {said:?}: expected yes or no with a probability of at least \
                 {LEAST_ANSWERED} among the likeliest first tokens, which give it {both:.4}, found {tokens}"
            ));
        }
        let note = (both < MOSTLY_ANSWERED).then(|| {
            format!(
                "yes and no have a probability of {both:.2}; the likeliest first tokens: {tokens}"
            )
        });
        Ok(Self { yes, no, note })
    }
}

/// A token without the space that it begins with, which some tokenizers write as a letter, and without
/// what is around the word, in lower case.
fn word(token: &str) -> String {
    let is_around =
        |c: char| matches!(c, '\u{120}' | '\u{2581}' | '\u{10a}') || !c.is_alphanumeric();
    token.trim_matches(is_around).to_lowercase()
}

impl fmt::Display for VqaScore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.number {
            Number::Yes => "VQAScore",
            Number::YesOfBoth => "VQAScore (normalised)",
            Number::Share(_) => "yes share",
        })
    }
}

#[async_trait]
impl Metric for VqaScore {
    fn fingerprint(&self) -> Fingerprint {
        let first = format!(
            "temperature 0, {ALTERNATIVES} alternatives, at least {LEAST_ANSWERED} for yes and no"
        );
        let (formula, settings) = match self.number {
            Number::Yes => ("P(yes), first token".to_owned(), first),
            Number::YesOfBoth => ("P(yes) / (P(yes) + P(no)), first token".to_owned(), first),
            Number::Share(replies) => {
                (format!("share of yes in {replies} replies"), "temperature 1".to_owned())
            }
        };
        Fingerprint::new(format!("{formula}; {:?}", self.question))
            .with_model(format!("{:#}", self.vlm))
            .with_settings(settings)
    }

    fn calls_per_score(&self) -> u64 {
        match self.number {
            Number::Share(replies) => replies as u64,
            _ => 1,
        }
    }

    async fn score(&self, subjects: &[Subject]) -> Result<Vec<Score>> {
        judged(
            subjects,
            self.concurrency,
            |subject, log| async move { self.judge(subject, &log).await },
        )
        .await
    }
}
