//! The suite of [`Conditioner`].

use super::{Suite, red_and_blue, reference};
use crate::conditioner::{ConditionRequest, Conditioned, Conditioner};
use crate::reference::Reference;
use crate::testing::solid;

rules! {
    CAPACITY: "there is room for a reference",
    KIND: "the conditioning is of the kind that `produces` names",
    IN_RANGE: "the numbers of the conditioning are in range",
    PROMPT: "the prompt is kept in that to generate with",
    HOW_MANY: "no reference, or more than `capacity`, gives InvalidInput",
    REFERENCES: "other references give another conditioning",
}

/// The most references that are fed: a conditioner may have room for any number.
const MOST: usize = 8;

/// Checks a [`Conditioner`] with one reference and with as many as it takes, up to 8, of 32 x 16
/// pixels each; with a red and a blue one of 64 x 64; and with none and too many.
///
/// ```
/// use imagerag::testing::{FakeConditioner, conformance};
///
/// futures::executor::block_on(conformance::conditioner(&FakeConditioner::new("colours", 2)));
/// ```
///
/// # Panics
/// When the conditioner breaks a rule, or cannot be reached.
pub async fn conditioner(part: &dyn Conditioner) {
    let suite = Suite::new("Conditioner", part);
    let prompt = "a prompt of its own, \u{1f980} and \u{4e09}";
    let capacity = part.capacity();
    suite.rule(CAPACITY, capacity >= 1, capacity);
    let picture = |n: usize| solid(32, 16, [40 * n as u8, 200, 90]);
    let too_many: Vec<Reference> =
        (0..=capacity.min(MOST)).map(|n| reference(n, picture(n % 6))).collect();
    let prepare = async |references: &[Reference]| -> Conditioned {
        suite.answer(part.condition(&ConditionRequest::new(prompt, references)).await)
    };
    for count in [1, capacity.min(MOST)] {
        let Conditioned { prompt: found, conditioning } = prepare(&too_many[..count]).await;
        let kind = conditioning.kind();
        suite.rule(KIND, kind == part.produces(), format_args!("{kind} for {}", part.produces()));
        if let Err(error) = conditioning.validate() {
            suite.rule(IN_RANGE, false, error.chain());
        }
        suite.rule(PROMPT, found.contains(prompt), format_args!("{found:?}"));
    }
    let [red, blue] = red_and_blue().map(|image| [reference(0, image)]);
    let same = prepare(&red).await.conditioning == prepare(&blue).await.conditioning;
    suite.rule(REFERENCES, !same, "the same for a red and a blue reference");

    let mut wrong = vec![Vec::new()];
    if capacity < MOST {
        wrong.push(too_many);
    }
    for references in wrong {
        let what = format!("{} references", references.len());
        let result = part.condition(&ConditionRequest::new(prompt, references)).await;
        suite.refuses(HOW_MANY, &what, &result);
    }
}
