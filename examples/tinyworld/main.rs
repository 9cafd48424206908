//! The paper's experiment in miniature: the real pipeline on the tiny world, judged by a
//! classifier that takes no part in it.
//!
//! ```text
//! cargo xtask tinyworld [--json]
//! ```
//!
//! prints, per cent with standard errors, how often the judge recognises the species that was
//! asked for: in the drafts (the base model), with ImageRAG, with the ablations, and with random
//! references; then whether each bar of the experiment holds. Writes a contact sheet.

mod judge;
mod report;
mod runs;
#[path = "../support/sheet.rs"]
mod sheet;
#[path = "../support/world.rs"]
mod world;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use imagerag::critic::Query;
use imagerag::models::{DType, Device};
use imagerag::pipeline::{RagConfig, RagPipelineBuilder};
use indicatif::ProgressBar;
use judge::Judge;
use report::Report;
use runs::{Case, RandomReference, Remembered, Run};
use sheet::{Row, contact_sheet};
use world::World;

/// Runs the paper's experiment on the tiny world.
#[derive(Parser)]
struct Options {
    /// Prints JSON in place of the table.
    #[arg(long)]
    json: bool,
    /// Prompts for each species, 1 to 4.
    #[arg(long, default_value_t = 4)]
    prompts: usize,
    /// Seeds for each prompt, 1 to 4.
    #[arg(long, default_value_t = 4)]
    seeds: usize,
    /// Where the models compute: cpu, cuda or cuda:1.
    #[arg(long, default_value = "cpu")]
    device: Device,
    /// What they compute in: f32, f16 or bf16.
    #[arg(long, default_value = "f32")]
    dtype: DType,
    /// Where the contact sheet goes.
    #[arg(long, default_value = "imagerag-out/tinyworld.png")]
    sheet: PathBuf,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = Options::parse();
    let world = World::open()?;
    let parts = world.load(options.device, options.dtype)?;
    let judge = Judge::load(&world.folder.join("models/judge"))?;
    let concepts = runs::concepts_of_gallery(&world)?;
    let rare = Case::all(&world, &world.rare, options.prompts, options.seeds);
    let common = Case::all(&world, &world.common, options.prompts, options.seeds);

    // A draft depends on prompt and seed alone: the runs that are compared share it.
    let remembered = Arc::new(Remembered::new(Arc::clone(&parts.generator)));
    let shared = || parts.pipeline().generator(Arc::clone(&remembered));
    let random = RandomReference::new(parts.retriever.catalog().clone(), concepts.clone());
    let bar = ProgressBar::new((4 * rare.len() + common.len()) as u64);
    let run = |builder: RagPipelineBuilder, cases: &[Case]| -> Result<Vec<Run>, Box<dyn Error>> {
        let pipeline = builder.build()?;
        cases
            .iter()
            .map(|case| {
                let run = Run::new(&pipeline, &world, case);
                bar.inc(1);
                run
            })
            .collect()
    };

    let mut report = Report::default();
    let seconds = runs::seconds_per_loop(&parts.pipeline().build()?, &world, &rare)?;
    let imagerag = run(shared(), &rare)?;
    report.judged("rare, base model", &judge, &rare, imagerag.iter().map(Run::draft));
    report.judged("rare, ImageRAG", &judge, &rare, imagerag.iter().map(Run::image));
    for (name, builder) in [
        (
            "rare, retrieve by concept",
            shared().config(RagConfig::default().with_query(Query::Concept)),
        ),
        (
            "rare, retrieve by prompt",
            shared().config(RagConfig::default().with_query(Query::Prompt)),
        ),
        ("rare, random references", shared().retriever(random)),
    ] {
        let runs = run(builder, &rare)?;
        report.judged(name, &judge, &rare, runs.iter().map(Run::image));
    }
    let everyday = run(shared(), &common)?;
    report.judged("common, base model", &judge, &common, everyday.iter().map(Run::draft));
    report.judged("common, ImageRAG", &judge, &common, everyday.iter().map(Run::image));
    let first_hits = imagerag.iter().zip(&rare).filter_map(|(run, case)| {
        run.first_hit().map(|source| concepts.get(source) == Some(&case.species))
    });
    report.share("precision@1", first_hits);
    report.seconds(seconds);
    bar.finish_and_clear();

    if let Some(folder) = options.sheet.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // One row a species: a prompt and a seed of their own, whatever came of them.
    let each = (options.prompts * options.seeds).max(1);
    let rows: Vec<Row> = (0..world.rare.len())
        .map(|species| species * each + (species * 5) % each)
        .map(|n| imagerag[n].row(&rare[n]))
        .collect();
    contact_sheet("prompt", &["draft", "reference", "result"], &rows)?.save(&options.sheet)?;

    if options.json {
        println!("{}", report.to_json());
    } else {
        println!("{report}");
        println!("contact sheet: {}", options.sheet.display());
    }
    Ok(if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
