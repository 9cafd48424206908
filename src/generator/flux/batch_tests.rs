//! Batches against the same requests one by one.

use super::omini_tests::{conditioned, flux, picture};
use super::tests::{fixture, request, schnell};
use super::*;
use crate::conditioner::ConditionLatents;
use crate::generator::GenerateRequest;
use crate::generator::checks::*;

/// Three requests that differ in prompt and seed.
fn three() -> [GenerateRequest; 3] {
    [(1, "a bird"), (2, "a house by the sea"), (3, "a bird")]
        .map(|(seed, prompt)| GenerateRequest { seed, steps: Some(3), ..request(prompt) })
}

/// The same with a negative prompt each.
fn guided() -> [GenerateRequest; 3] {
    let mut negative = ["grey", "blurred, text", "people"].into_iter();
    three().map(|one| GenerateRequest { negative_prompt: negative.next().map(Into::into), ..one })
}

#[test]
fn a_batch_of_prompts_equals_each_alone() {
    for offload in [Offload::None, Offload::Disk] {
        let builder = schnell().offload(offload).batch_pixels(1 << 18);
        assert_one_batch(&builder.clone().load().unwrap(), &three());
        assert_one_batch(&builder.true_cfg_scale(3.0).load().unwrap(), &guided());
    }
    // One that is told its guidance.
    let dev = Flux::builder(fixture("dev")).max_sequence_length(16).load().unwrap();
    assert_one_batch(&dev, &three());
}

#[test]
fn a_batch_with_conditions_equals_each_alone() {
    let flux =
        flux("schnell", &["schnell_full.safetensors"]).true_cfg_scale(3.0).batch_pixels(1 << 18);
    let flux = flux.load().unwrap();
    for (strength, independent, latents) in [
        (1.0, false, ConditionLatents::Sample),
        (0.4, false, ConditionLatents::Mean),
        (1.0, true, ConditionLatents::Sample),
        (1.7, true, ConditionLatents::Sample),
    ] {
        for mut requests in [three(), guided()] {
            let pictures = ["wide.png", "high.png", "wide_crop.png"];
            for (request, name) in requests.iter_mut().zip(pictures) {
                let conditioned = conditioned(&flux, |condition| {
                    condition.image = picture(name, Some((32, 24)));
                    (condition.strength, condition.independent) = (strength, independent);
                    condition.latents = latents;
                });
                request.conditioning = conditioned.conditioning;
            }
            assert_one_batch(&flux, &requests);
        }
    }
}
