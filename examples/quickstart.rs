//! The whole loop on a rare concept of the tiny world, offline.
//!
//! ```text
//! cargo xtask quickstart
//! ```
//!
//! prints what the draft is missing, what was retrieved and why, and writes the draft, the
//! reference, the result and a contact sheet of all three.

#[path = "support/command.rs"]
mod command;
#[path = "support/progress.rs"]
mod progress;
#[path = "support/sheet.rs"]
mod sheet;
#[path = "support/world.rs"]
mod world;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use imagerag::models::{DType, Device};
use sheet::{Row, contact_sheet, enlarged};
use world::World;

use command::tell;

/// Runs the loop on the tiny world.
#[derive(Parser)]
struct Options {
    /// What to draw: a species of the world on one of its backgrounds.
    #[arg(long)]
    prompt: Option<String>,
    /// Seed of the starting noise.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where the models compute: cpu, cuda or cuda:1.
    #[arg(long, default_value = "cpu")]
    device: Device,
    /// What they compute in: f32, f16 or bf16.
    #[arg(long, default_value = "f32")]
    dtype: DType,
    /// Where the pictures go.
    #[arg(long, default_value = "imagerag-out")]
    out: PathBuf,
}

fn main() -> ExitCode {
    command::end(run(Options::parse()))
}

fn run(options: Options) -> Result<(), Box<dyn Error>> {
    let sheet = options.out.join("sheet.png");
    command::prepare(&sheet)?;
    let began = Instant::now();
    let world = World::open()?;
    let parts = world.load(options.device, options.dtype)?;
    let pipeline = parts.pipeline().build()?;
    tell!("loaded     every model and the gallery in {:.1?}", began.elapsed());

    let prompt = options.prompt.unwrap_or_else(|| {
        let (species, background) = (&world.rare[0], &world.backgrounds[3]);
        world.prompts[0].replace("{species}", species).replace("{background}", background)
    });
    tell!("prompt     {prompt}");
    let outcome = progress::run(&pipeline, world.request(&prompt, options.seed), &mut Vec::new())?;
    tell!("stopped    {}", outcome.stop);

    let reference = outcome.references.first().and_then(|found| found.picture.loaded()).cloned();
    let pictures = [
        ("draft", outcome.draft.clone()),
        ("reference", reference),
        ("result", Some(outcome.image.clone())),
    ];
    for (name, picture) in &pictures {
        if let Some(picture) = picture {
            let path = options.out.join(format!("{name}.png"));
            enlarged(picture, 256).save(&path)?;
            tell!("wrote      {}", path.display());
        }
    }
    let row = Row { caption: prompt, pictures: pictures.map(|(_, picture)| picture).into() };
    contact_sheet("prompt", &["draft", "reference", "result"], &[row])?.save(&sheet)?;
    tell!("wrote      {}", sheet.display());
    let trace = options.out.join("trace.json");
    std::fs::write(&trace, outcome.trace.to_json())?;
    tell!("wrote      {}", trace.display());
    Ok(())
}
