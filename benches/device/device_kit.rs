//! Parts of the device kit: a word on the command line to one line of JSON that says whether it passed.
//!
//! `cargo xtask device-check` builds and runs all of them; `docs/gpu.md` says what they check. `sdxl`, `flux` and
//! `omnigen` are the programs of `cargo xtask peers`, here so that the kit carries libtorch's bindings once.

mod memory_ends;
#[path = "../peers/peer_flux.rs"]
mod peer_flux;
#[path = "../peers/peer_omnigen.rs"]
#[allow(clippy::duplicate_mod, reason = "each of the peers' programs can be built alone")]
mod peer_omnigen;
#[path = "../peers/peer_sdxl.rs"]
#[allow(clippy::duplicate_mod, reason = "each of the peers' programs can be built alone")]
mod peer_sdxl;
mod probe;
mod progress;
mod tiny;
mod two_workers;
mod world;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use imagerag::models::{DType, Device};
use serde_json::{Value, json};

/// Checks one thing on one device.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    part: Part,
    /// cpu, cuda or cuda:1.
    #[arg(long, global = true, default_value = "cpu")]
    device: Device,
    /// f32, f16 or bf16.
    #[arg(long, global = true, default_value = "f32")]
    dtype: DType,
}

#[derive(Subcommand)]
enum Part {
    /// Libraries that are loaded; products, convolutions and attention against the CPU; copies.
    Probe,
    /// The tiny world through the whole pipeline, judged, beside the same on the CPU.
    World {
        /// How many species, 1 to 12.
        #[arg(long, default_value_t = 6)]
        species: usize,
    },
    /// An image that is too large for the memory that is left, and a small one after it.
    Oom,
    /// Steps are reported when they are done, and a cancelled job stops.
    Progress {
        /// Sides of the image in pixels.
        #[arg(long, default_value_t = 64)]
        size: u32,
    },
    /// Two generators that draw at the same time.
    TwoWorkers,
}

/// What a part found.
struct Found {
    passed: bool,
    /// Key figures, for one line.
    line: String,
    figures: Value,
}

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    // The peers' programs read their own arguments.
    let peer = match std::env::args().nth(1).as_deref() {
        Some("sdxl") => Some(peer_sdxl::main()),
        Some("flux") => Some(peer_flux::main()),
        Some("omnigen") => Some(peer_omnigen::main()),
        _ => None,
    };
    if let Some(ran) = peer {
        return ran.map_or_else(
            |error| {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            },
            |()| ExitCode::SUCCESS,
        );
    }
    let Options { part, device, dtype } = Options::parse();
    let found = match part {
        Part::Probe => probe::run(device),
        Part::World { species } => world::run(device, dtype, species),
        Part::Oom => memory_ends::run(device, dtype),
        Part::Progress { size } => progress::run(device, dtype, size),
        Part::TwoWorkers => two_workers::run(device, dtype),
    };
    let found = found.unwrap_or_else(|error| Found {
        passed: false,
        line: error.to_string(),
        figures: Value::Null,
    });
    let Found { passed, line, figures } = found;
    println!("{}", json!({ "passed": passed, "line": line, "figures": figures }));
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
