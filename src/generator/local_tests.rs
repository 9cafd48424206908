//! Requests to batches, and what becomes of a batch that memory does not hold or whose caller leaves.

use futures::executor::block_on;

use super::checks::*;
use super::one_layer::OneLayer;
use super::{GenerateRequest, Generator, Progress};
use std::sync::{Arc, Mutex};

fn request(seed: u64) -> GenerateRequest {
    GenerateRequest { seed, ..GenerateRequest::new(format!("prompt {seed}")) }
}

#[test]
fn requests_that_agree_are_one_batch() {
    let (generator, batches) = OneLayer::load(99);
    let change = |seed, change: fn(&mut GenerateRequest)| changed(request(seed), change);
    let requests = [
        request(1),
        change(2, |request| request.steps = Some(2)),
        request(3),
        change(4, |request| request.width = Some(32)),
        change(5, |request| request.guidance_scale = Some(2.0)),
        change(6, |request| request.negative_prompt = Some("grey".into())),
        change(7, |request| (request.width, request.steps) = (Some(24), Some(4))),
        change(8, |request| (request.width, request.height) = (Some(1024), Some(512))),
        change(9, |request| (request.width, request.height) = (Some(1024), Some(512))),
    ];
    draw_together(&generator, &requests);
    // Of the last two, each is as large as a batch may be here.
    let together = std::mem::take(&mut *batches.lock().unwrap());
    assert_eq!(together[..together.len() - requests.len()], [3, 1, 1, 1, 1, 1, 1]);
    assert_one_batch(&generator, &[request(1), request(2), request(3)]);
}

#[test]
fn a_broken_request_fails_all_before_work_begins() {
    let (generator, batches) = OneLayer::load(99);
    let broken = GenerateRequest { width: Some(25), ..request(2) };
    let error = block_on(generator.generate(&[request(1), broken, request(3)])).unwrap_err();
    assert_invalid_input(&error, "width: expected a multiple of 8, found 25");
    assert_eq!(*batches.lock().unwrap(), [] as [usize; 0]);
}

#[test]
fn a_batch_that_memory_does_not_hold_is_halved_and_told_of_no_step_twice() {
    let (generator, batches) = OneLayer::load(2);
    let told = Arc::new(Mutex::new(vec![Vec::new(); 5]));
    let watched = |seed: u64| {
        let told = Arc::clone(&told);
        let progress =
            Progress::new(move |step| told.lock().unwrap()[seed as usize].push(step.index));
        GenerateRequest { progress, ..request(seed) }
    };
    let together = images(&generator, &(0..5).map(watched).collect::<Vec<_>>());
    assert_eq!(*told.lock().unwrap(), vec![vec![1, 2, 3, 4]; 5]);
    let requests: Vec<_> = (0..5).map(request).collect();
    assert_eq!(images(&generator, &requests), together);
    // What did not fit is not tried again.
    assert_eq!(std::mem::take(&mut *batches.lock().unwrap()), [5, 3, 2, 1, 2, 2, 2, 1]);
    for (request, image) in requests.into_iter().zip(&together) {
        assert_same(image, &draw(&generator, request).unwrap());
    }

    let (none, _) = OneLayer::load(0);
    let error = block_on(none.generate(&[request(1), request(2)])).unwrap_err();
    assert!(matches!(error, crate::Error::OutOfMemory { .. }), "{error}");
}

#[test]
fn a_batch_whose_caller_leaves_stops_between_steps() {
    let (generator, _) = OneLayer::load(99);
    let long = || GenerateRequest { steps: Some(9_000), ..request(1) };
    assert_stops_between_steps(&generator, vec![long(), long(), long()], request(2));
}
