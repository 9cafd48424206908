//! The tiny world through the whole pipeline on a device: the right references, and images in
//! which the judge sees what was asked for, as on the CPU.

#[path = "../../examples/support/world.rs"]
mod embedded;
#[path = "../../examples/tinyworld/judge.rs"]
#[allow(dead_code, reason = "the strict label is for the experiment")]
mod judge;

use embedded::World;
use futures::executor::block_on;
use imagerag::Image;
use imagerag::models::{DType, Device};
use judge::Judge;
use serde_json::json;

use crate::{Found, Result};

/// What a device made of a species.
struct Case {
    /// The reference shows the species.
    referenced: bool,
    /// The judge sees the species on its background.
    seen: bool,
    image: Image,
}

pub(crate) fn run(device: Device, dtype: DType, species: usize) -> Result<Found> {
    let world = World::open()?;
    let judge = Judge::load(&world.folder.join("models/judge"))?;
    let species = species.clamp(1, world.rare.len());
    let found = draw(&world, &judge, device, dtype, species)?;
    let cpu = draw(&world, &judge, Device::Cpu, dtype, species)?; // Noise of 16 bits is other noise.
    let references = found.iter().filter(|case| case.referenced).count();
    let [seen, seen_on_cpu] = [&found, &cpu].map(|of| of.iter().filter(|case| case.seen).count());
    let apart: Vec<f64> = found.iter().zip(&cpu).map(|(a, b)| apart(&a.image, &b.image)).collect();
    let mean = apart.iter().sum::<f64>() / species as f64;
    Ok(Found {
        // Rounding may turn one image into another, as another seed would.
        passed: references == species && seen + 1 >= seen_on_cpu,
        line: format!(
            "{references} of {species} references right; the judge sees {seen} of {species} ({seen_on_cpu} on the CPU); \
             pixels differ from the CPU's by {mean:.2} of 255"
        ),
        figures: json!({ "species": species, "references_right": references, "seen": seen,
            "seen_on_cpu": seen_on_cpu, "mean_difference": mean }),
    })
}

fn draw(
    world: &World,
    judge: &Judge,
    device: Device,
    dtype: DType,
    species: usize,
) -> Result<Vec<Case>> {
    let parts = world.load(device, dtype)?;
    let pipeline = parts.pipeline().build()?;
    let mut cases = Vec::new();
    for (number, species) in world.rare.iter().take(species).enumerate() {
        let background = &world.backgrounds[number % world.backgrounds.len()];
        let prompt =
            world.prompts[0].replace("{species}", species).replace("{background}", background);
        let outcome = block_on(pipeline.run(world.request(&prompt, 0)))?;
        let shows =
            |caption: Option<&str>| caption.is_some_and(|text| text.contains(species.as_str()));
        let reference = outcome.references.first();
        let sight = judge.look(&outcome.image);
        cases.push(Case {
            referenced: reference
                .is_some_and(|found| shows(found.provenance.metadata.caption.as_deref())),
            seen: sight.forced == *species && sight.background == *background,
            image: outcome.image,
        });
    }
    Ok(cases)
}

/// The mean difference of two images' values, 0 to 255.
fn apart(a: &Image, b: &Image) -> f64 {
    let sum: u64 = a.pixels().iter().zip(b.pixels()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / a.pixels().len() as f64
}
