//! The suite of [`Generator`].

use std::sync::mpsc::{Receiver, channel};

use futures::future::join;

use super::{Suite, alike, red_and_blue, reference};
use crate::Image;
use crate::conditioner::{
    ConditionImage, ConditionRequest, Conditioner, Conditioning, ConditioningKind, ImageTokens,
};
use crate::generator::{Drawn, GenerateRequest, Generator, MAX_PROMPT_CHARS, Progress};
use crate::testing::solid;

rules! {
    PROMPT_ALONE: "a prompt alone is enough, so `accepts` has ConditioningKind::None",
    NO_REQUEST: "no request gives no image",
    ONE_EACH: "one image per request",
    STEPS: "steps are reported each once, in order, from 1 to the number asked for, or not at all",
    SAME: "if `repeats`, the same request gives the same image, whatever else is in the batch or runs beside it",
    PROMPT: "another prompt gives another image",
    SEED: "if `repeats`, another seed gives another image",
    IN_RANGE: "a value out of range gives InvalidInput",
    ACCEPTED: "a conditioning that is not in `accepts` gives InvalidInput",
    REFERENCES: "other references give another image",
    FITS: "the conditioner produces what the generator accepts",
}

/// Checks a [`Generator`] with requests of its default size and two steps. It draws five images
/// (three, if it does not [repeat](Generator::repeats) them), and two more if the generator accepts [`ConditioningKind::Images`].
///
/// If it accepts tokens or condition images, use [`generator_with`]: only the conditioner that
/// belongs to the generator can make them.
///
/// ```
/// use imagerag::testing::{FakeGenerator, conformance};
///
/// futures::executor::block_on(conformance::generator(&FakeGenerator::new()));
/// ```
///
/// # Panics
/// When the generator breaks a rule, or cannot be reached.
pub async fn generator(part: &dyn Generator) {
    let suite = Suite::new("Generator", part);
    let kinds = part.accepts();
    suite.rule(PROMPT_ALONE, kinds.contains(&ConditioningKind::None), format_args!("{kinds:?}"));
    images(&suite, part).await;
    let none = suite.answer(part.generate(&[]).await);
    suite.count(NO_REQUEST, "images", 0, none.len());
    refusals(&suite, part).await;
    if kinds.contains(&ConditioningKind::Images) {
        let conditionings = red_and_blue().map(|image| Conditioning::Images(vec![image]));
        // Some models want a prompt to name each of its images.
        let mark = part.image_mark().unwrap_or_default().replace("{n}", "1");
        references(&suite, part, &format!("a thing {mark}"), conditionings).await;
    }
}

/// Checks a [`Generator`] as [`generator()`] does, and that it looks at the references that
/// `conditioner` prepares for it: a red and a blue one must give different images. It draws two
/// images more.
///
/// ```
/// use imagerag::conditioner::ConditioningKind;
/// use imagerag::testing::{FakeConditioner, FakeGenerator, conformance};
///
/// let space = ConditioningKind::Tokens { space: "colours".into() };
/// let generator = FakeGenerator::new().accepting(space);
/// let conditioner = FakeConditioner::new("colours", 1);
/// futures::executor::block_on(conformance::generator_with(&generator, &conditioner));
/// ```
///
/// # Panics
/// When the generator breaks a rule or does not accept what the conditioner produces, or one of
/// them fails or cannot be reached.
pub async fn generator_with(part: &dyn Generator, conditioner: &dyn Conditioner) {
    generator(part).await;
    let suite = Suite::new("Generator", part);
    let (kinds, kind) = (part.accepts(), conditioner.produces());
    let found = format!("{kind} of {conditioner} for {kinds:?}");
    suite.rule(FITS, kinds.contains(&kind), found);
    let prepare = async |image: Image| {
        let mut request = ConditionRequest::new("a thing", [reference(0, image)]);
        request.image_mark = part.image_mark().map(str::to_owned);
        suite.answer(conditioner.condition(&request).await)
    };
    let [red, blue] = red_and_blue();
    let [red, blue] = [prepare(red).await, prepare(blue).await];
    references(&suite, part, &red.prompt, [red.conditioning, blue.conditioning]).await;
}

/// A request that takes two steps.
fn request(prompt: &str, seed: u64) -> GenerateRequest {
    GenerateRequest::new(prompt).with_seed(seed).with_steps(2)
}

/// `request`, and the numbers and totals of its steps as they are reported.
fn heard(request: GenerateRequest) -> (GenerateRequest, Receiver<(usize, usize)>) {
    let (tell, told) = channel();
    let progress = Progress::new(move |step| {
        let _ = tell.send((step.index, step.total));
    });
    (request.with_progress(progress), told)
}

/// The images of `requests`, as many as these.
async fn draw(suite: &Suite, part: &dyn Generator, requests: &[GenerateRequest]) -> Vec<Image> {
    let drawn = suite.answer(part.generate(requests).await);
    suite.count(ONE_EACH, "images", requests.len(), drawn.len());
    drawn.into_iter().map(|Drawn { image, .. }| image).collect()
}

/// What makes an image, and what is told meanwhile.
async fn images(suite: &Suite, part: &dyn Generator) {
    let circle = request("a red circle", 1);
    let square = request("a blue square", 1);
    let (first, told_first) = heard(circle.clone());
    let (last, told_last) = heard(square.clone());
    let batch = [first, request("a red circle", 2), last];
    let together = draw(suite, part, &batch).await;
    for told in [told_first, told_last] {
        let told: Vec<_> = told.try_iter().collect();
        let holds = told.is_empty() || told == [(1, 2), (2, 2)];
        suite.rule(STEPS, holds, format_args!("{told:?} (step, total)"));
    }
    suite.rule(PROMPT, !alike(&together[0], &together[2]), "the same image for two prompts");
    if !part.repeats() {
        return;
    }
    suite.rule(SEED, !alike(&together[0], &together[1]), "the same image for seeds 1 and 2");
    let (circle, square) = ([circle], [square]);
    let beside = join(draw(suite, part, &circle), draw(suite, part, &square)).await;
    for (alone, n) in [(beside.0, 0), (beside.1, 2)] {
        let found = format_args!("another one for {:?} alone", batch[n].prompt);
        suite.rule(SAME, alike(&alone[0], &together[n]), found);
    }
}

/// What no generator draws.
async fn refusals(suite: &Suite, part: &dyn Generator) {
    type Change = fn(&mut GenerateRequest);
    let out_of_range: [(&str, Change); 6] = [
        ("0 steps", |request| request.steps = Some(0)),
        ("a guidance of NaN", |request| request.guidance_scale = Some(f64::NAN)),
        ("a guidance of -1", |request| request.guidance_scale = Some(-1.0)),
        ("a width of 0", |request| request.width = Some(0)),
        ("a height of 1,000,000 pixels", |request| request.height = Some(1_000_000)),
        ("a prompt that is too long", |request| request.prompt = "x".repeat(MAX_PROMPT_CHARS + 1)),
    ];
    for (what, change) in out_of_range {
        let mut wrong = request("a red circle", 1);
        change(&mut wrong);
        suite.refuses(IN_RANGE, what, &part.generate(&[wrong]).await);
    }
    let condition = ConditionImage::new("no such adapter", solid(16, 16, [255, 0, 0]));
    let mut strange = vec![Conditioning::Condition(condition)];
    strange.extend(ImageTokens::new("no such space", 1, 1, [0.0], [0.0]).map(Conditioning::Tokens));
    if !part.accepts().contains(&ConditioningKind::Images) {
        strange.push(Conditioning::Images(red_and_blue().into()));
    }
    for conditioning in strange {
        let what = conditioning.kind().to_string();
        let wrong = request("a red circle", 1).with_conditioning(conditioning);
        suite.refuses(ACCEPTED, &what, &part.generate(&[wrong]).await);
    }
}

/// That two images which differ in their references alone differ.
async fn references(
    suite: &Suite,
    part: &dyn Generator,
    prompt: &str,
    conditionings: [Conditioning; 2],
) {
    let requests = conditionings.map(|one| request(prompt, 1).with_conditioning(one));
    let images = draw(suite, part, &requests).await;
    let found = "the same image for a red and a blue reference";
    suite.rule(REFERENCES, !alike(&images[0], &images[1]), found);
}
