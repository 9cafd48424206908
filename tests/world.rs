//! The whole method on real networks: the tiny world through the real pipeline.

#[path = "../examples/support/world.rs"]
mod world;

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use futures::executor::block_on;
use futures::{FutureExt, StreamExt};
use imagerag::models::{DType, Device};
use imagerag::pipeline::{Event, Mode, RagConfig, Record, StopReason};
use imagerag::reference::Caption;
use imagerag::testing::{FakeVlm, conformance};
use imagerag::{RagOutcome, RagPipeline};
use world::{Parts, World};

/// The world, loaded once for all tests.
fn world() -> &'static (World, Parts) {
    static WORLD: OnceLock<(World, Parts)> = OnceLock::new();
    WORLD.get_or_init(|| {
        let world = World::open().unwrap();
        let parts = world.load(Device::Cpu, DType::F32).unwrap();
        (world, parts)
    })
}

/// A rare species on a background of its own.
fn prompt(number: usize) -> String {
    let (world, _) = world();
    let background = &world.backgrounds[number % world.backgrounds.len()];
    let template = &world.prompts[number % world.prompts.len()];
    template.replace("{species}", &world.rare[number]).replace("{background}", background)
}

fn run(pipeline: &RagPipeline, number: usize, seed: u64) -> RagOutcome {
    block_on(pipeline.run(world().0.request(&prompt(number), seed))).unwrap()
}

#[test]
fn a_rare_species_is_missed_retrieved_and_drawn_with_its_reference() {
    let (world, parts) = world();
    let pipeline = parts.pipeline().build().unwrap();
    let outcome = run(&pipeline, 0, 0);
    assert_eq!(outcome.stop, StopReason::RoundLimit);
    let reference = &outcome.references[0];
    assert_eq!(reference.caption.concept, world.rare[0]);
    assert_eq!(reference.provenance.metadata.license.as_deref(), Some("CC0-1.0"));
    let shown = reference.provenance.metadata.caption.as_deref().unwrap_or_default();
    assert!(shown.contains(&world.rare[0]), "{shown}");
    assert!((-1.0..=1.0).contains(&reference.provenance.score));
    assert_ne!(outcome.draft.as_ref(), Some(&outcome.image));
    // The same seed gives the same image.
    assert_eq!(run(&pipeline, 0, 0).image, outcome.image);
    assert_ne!(run(&pipeline, 0, 2).image, outcome.image);
}

#[test]
fn a_vlm_leads_the_same_parts() {
    let (world, parts) = world();
    let species = &world.rare[3];
    let vlm =
        FakeVlm::new(["no".to_owned(), format!("a {species}"), format!("a photo of a {species}")]);
    let pipeline = parts.pipeline().vlm(vlm).build().unwrap();
    let outcome = run(&pipeline, 3, 0);
    assert_eq!(outcome.references[0].caption.text, format!("a photo of a {species}"));
    let shown = outcome.references[0].provenance.metadata.caption.as_deref().unwrap_or_default();
    assert!(shown.contains(species.as_str()), "{shown}");
}

#[test]
fn every_concept_at_once_needs_no_draft() {
    let pipeline = world()
        .1
        .pipeline()
        .config(RagConfig::default().with_mode(Mode::AllConcepts))
        .build()
        .unwrap();
    let outcome = run(&pipeline, 5, 0);
    assert!(outcome.draft.is_none());
    assert_eq!(outcome.references.len(), 1);
}

#[test]
fn a_threshold_above_every_score_leaves_the_draft() {
    let pipeline =
        world().1.pipeline().config(RagConfig::default().with_threshold(1.5)).build().unwrap();
    let outcome = run(&pipeline, 2, 0);
    assert_eq!(outcome.stop, StopReason::NoUsefulReference);
    assert_eq!(outcome.draft.as_ref(), Some(&outcome.image));
}

#[test]
fn many_prompts_share_the_models() {
    let (world, parts) = world();
    let pipeline = parts.pipeline().build().unwrap();
    let alone = run(&pipeline, 1, 4).image;
    let requests = (0..3).map(|number| world.request(&prompt(number), 4));
    let results: Vec<_> = block_on(pipeline.run_many(requests, 3).collect());
    assert_eq!(results.len(), 3);
    for (number, result) in results {
        let image = result.unwrap().image;
        assert!(number != 1 || image == alone, "nothing runs into anything else");
    }
}

#[test]
fn a_stream_shows_previews_and_dropping_it_stops_the_model() {
    let (world, parts) = world();
    let pipeline = parts.pipeline().build().unwrap();
    let request = world.request(&prompt(4), 0).with_steps(500).with_previews_every(2);
    let mut stream = pipeline.stream(request);
    let preview = loop {
        match block_on(stream.next()).unwrap() {
            Event::Step { step, .. } if step.preview.is_some() => break step.preview.unwrap(),
            Event::Done(_) => panic!("ended before a preview"),
            _ => {}
        }
    };
    assert_eq!((preview.width(), preview.height()), (32, 32));
    drop(stream);
    // The model is free again long before 500 steps could have ended.
    let began = Instant::now();
    let next = run(&pipeline, 4, 0);
    let drawn = next.trace.stages.iter().filter(|s| matches!(s.record, Some(Record::Image(_))));
    let work: Duration = drawn.map(|stage| stage.elapsed).sum();
    assert!(began.elapsed() < work * 5 + Duration::from_secs(2), "{:?}", began.elapsed());
}

#[test]
fn the_parts_keep_their_contracts() {
    let (world, parts) = world();
    block_on(conformance::generator_with(&parts.generator, &parts.conditioner));
    block_on(conformance::conditioner(&parts.conditioner));
    let captions = [0, 1].map(|n| Caption::concept(&world.rare[n]));
    block_on(conformance::retriever(&parts.retriever, &captions));
    let wrong = parts.pipeline().build().unwrap().run("a white background").now_or_never();
    assert!(wrong.is_none(), "drawing takes time");
    let image = run(&parts.pipeline().build().unwrap(), 6, 0).draft.unwrap();
    block_on(conformance::critic(&parts.critic, &prompt(6), &image));
}
