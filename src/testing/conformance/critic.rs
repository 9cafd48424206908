//! The suite of [`Critic`].

use super::asked::Asked;
use super::{Suite, red_and_blue};
use crate::Image;
use crate::critic::{Critic, CritiqueRequest, Query, Verdict};
use crate::vlm::Vlm;

rules! {
    NO_MATCH: "without an image nothing matches",
    HOW_MANY: "Missing holds 1 to `max_concepts` captions",
    BLANK: "neither text nor concept of a caption is blank",
    LOGGED: "every question to a model is in the log of the request",
    ASKS: "the critic asks the model that it was made with",
    LOGGED_FAILURE: "a question that fails is in the log of the request",
}

/// How many concepts are asked for, and with how many images of the caller's own.
const ASKED_FOR: [(usize, usize); 2] = [(1, 0), (3, 2)];

/// Checks a [`Critic`] with a prompt that it can judge, and an image that does not show it. It
/// judges twelve times: for each [`Query`], with and without the image, with and without images of
/// the caller's own.
///
/// A critic that asks a VLM is better checked with [`critic_over`].
///
/// ```
/// use imagerag::testing::{FakeCritic, conformance, solid};
///
/// let critic = FakeCritic::new().missing(["a quetzal"]);
/// let black = solid(8, 8, [0, 0, 0]);
/// futures::executor::block_on(conformance::critic(&critic, "a quetzal", &black));
/// ```
///
/// # Panics
/// When the critic breaks a rule, or cannot be reached.
pub async fn critic(part: &dyn Critic, prompt: &str, wrong: &Image) {
    judgements(&Suite::new("Critic", part), part, None, prompt, wrong).await;
}

/// Checks a [`Critic`] that asks a VLM as [`critic()`] does, and that its questions are in the log.
/// `critic` makes it over the VLM that it is given, which asks `vlm` and counts.
///
/// ```
/// use imagerag::critic::GuidedCot;
/// use imagerag::testing::{FakeVlm, conformance, solid};
///
/// let replies = ["no", "a quetzal", "a photo of a quetzal"].repeat(12);
/// let black = solid(8, 8, [0, 0, 0]);
/// let suite =
///     conformance::critic_over(FakeVlm::new(replies), |vlm| GuidedCot::new(vlm), "a quetzal", &black);
/// futures::executor::block_on(suite);
/// ```
///
/// # Panics
/// When the critic breaks a rule, or the model cannot be reached.
pub async fn critic_over<C: Critic>(
    vlm: impl Vlm,
    critic: impl FnOnce(Box<dyn Vlm>) -> C + Send,
    prompt: &str,
    wrong: &Image,
) {
    let asked = Asked::new(vlm);
    let part = critic(Box::new(asked.clone()));
    let suite = Suite::new("Critic", &part);
    judgements(&suite, &part, Some(&asked), prompt, wrong).await;

    asked.fail();
    let request = CritiqueRequest::new(prompt, Some(wrong.clone()));
    let _ = part.critique(&request).await; // What becomes of the critique is its own affair.
    asked.check(&suite, LOGGED_FAILURE, &request.log);
}

async fn judgements(
    suite: &Suite,
    part: &dyn Critic,
    asked: Option<&Asked>,
    prompt: &str,
    wrong: &Image,
) {
    let mut questions = 0;
    for query in [Query::Caption, Query::Concept, Query::Prompt] {
        for image in [Some(wrong), None] {
            for (max_concepts, own) in ASKED_FOR {
                let mut request = CritiqueRequest::new(prompt, image.cloned());
                request.references = red_and_blue().into_iter().take(own).collect();
                (request.query, request.max_concepts) = (query, max_concepts);
                let critique = part.critique(&request).await;
                if let Some(asked) = asked {
                    questions += asked.check(suite, LOGGED, &request.log);
                }
                judgement(suite, &request, suite.answer(critique).verdict);
            }
        }
    }
    suite.rule(ASKS, asked.is_none() || questions > 0, "no question");
}

fn judgement(suite: &Suite, request: &CritiqueRequest, verdict: Verdict) {
    let captions = match verdict {
        Verdict::Match => return suite.rule(NO_MATCH, request.image.is_some(), "Match"),
        Verdict::Undetermined => return,
        Verdict::Missing(captions) => captions,
    };
    let (count, most) = (captions.len(), request.max_concepts);
    let found = format_args!("{count} where max_concepts is {most}");
    suite.rule(HOW_MANY, (1..=most).contains(&count), found);
    for caption in captions {
        let blank = caption.text.trim().is_empty() || caption.concept.trim().is_empty();
        suite.rule(BLANK, !blank, format_args!("{caption:?}"));
    }
}
