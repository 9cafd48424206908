//! Batches against the same requests one by one.

use super::tests::{fixture, space, tokens};
use super::*;
use crate::Image;
use crate::conditioner::Conditioning;
use crate::generator::GenerateRequest;
use crate::generator::checks::*;

/// One that draws batches in every type.
fn wide() -> SdxlBuilder {
    super::tests::wide().batch_pixels(1 << 18)
}

/// Three requests that differ in prompt, negative prompt and seed.
fn three() -> [GenerateRequest; 3] {
    let each = [
        (1, "a bird", "grey"),
        (2, "a house by the sea", "blurred, text"),
        (3, "a bird", "people"),
    ];
    each.map(|(seed, prompt, negative)| {
        let (steps, negative_prompt) = (Some(3), Some(negative.into()));
        GenerateRequest { seed, steps, negative_prompt, ..GenerateRequest::new(prompt) }
    })
}

#[test]
fn a_batch_of_prompts_equals_each_alone() {
    for scheduler in [SchedulerKind::Euler, SchedulerKind::Ddim, SchedulerKind::DpmSolver] {
        let sdxl = wide().scheduler(scheduler).load().unwrap();
        assert_one_batch(&sdxl, &three());
    }
    let sdxl = wide().load().unwrap();
    // Without a negative prompt, which is zeros, and without guidance.
    assert_one_batch(&sdxl, &three().map(|one| GenerateRequest { negative_prompt: None, ..one }));
    let off = three().map(|one| GenerateRequest { guidance_scale: Some(1.0), ..one });
    assert_one_batch(&sdxl, &off);
}

#[test]
fn a_batch_with_references_equals_each_alone() {
    let sdxl = wide().ip_adapter(fixture("adapter.safetensors")).load().unwrap();
    let mut requests = three();
    for (i, request) in requests.iter_mut().enumerate() {
        let picture = Image::open(fixture(&format!("reference_{}.png", i % 2))).unwrap();
        let mut tokens = tokens(&space(&sdxl), &[picture]);
        (tokens.strength.scale, tokens.strength.end) = (0.8, 0.7);
        request.conditioning = Conditioning::Tokens(tokens);
    }
    assert_one_batch(&sdxl, &requests);
    let off = requests.map(|one| GenerateRequest { guidance_scale: Some(1.0), ..one });
    assert_one_batch(&sdxl, &off);
}
