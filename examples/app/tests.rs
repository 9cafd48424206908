//! The application against the services on this machine: its parts keep their contracts, fifty
//! prompts at once are drawn, Ctrl-C loses nothing, costs are summed.

#[allow(dead_code, reason = "the application uses the rest")]
mod parts;
#[allow(dead_code, reason = "the application uses the rest")]
mod services;
#[path = "../support/stub.rs"]
mod stub;
#[allow(dead_code, reason = "the application uses the rest")]
mod world;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use imagerag::Usage;
use imagerag::pipeline::{RagTrace, Refusal, StopReason};
use imagerag::testing::conformance;
use parts::{HttpEmbedder, HttpGenerator, price};

#[tokio::test]
async fn the_generator_keeps_its_contract() {
    let address = services::start(Duration::ZERO).unwrap();
    conformance::generator(&HttpGenerator::new(&address)).await;
}

#[tokio::test]
async fn the_embedder_keeps_its_contract() {
    let address = services::start(Duration::ZERO).unwrap();
    conformance::embedder(&HttpEmbedder::connect(&address).await.unwrap()).await;
}

#[test]
fn fifty_prompts_at_once_are_drawn_and_their_costs_summed() {
    let folder = tempfile::tempdir().unwrap();
    let mut app = program(folder.path(), &["--concurrency", "50", "--latency", "2"]);
    let output = app.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout).unwrap();
    let traces = traces(folder.path());
    assert_eq!(traces.len(), world::SPECIES);
    for (number, trace) in &traces {
        let expected = match number {
            n if n % 5 == 0 => StopReason::Matched { round: 0 }, // The generator knows these.
            n if n % 10 == 2 => StopReason::Matched { round: 2 },
            _ => StopReason::Matched { round: 1 },
        };
        assert_eq!(trace.stop, Some(expected), "request {number}: {trace:?}");
        assert!(folder.path().join(format!("{number:02}.png")).exists());
    }
    // The verifier refuses what the embedder takes for the bird.
    let refused = traces[6].1.hits().filter_map(|hit| hit.refused.as_ref());
    assert!(refused.into_iter().any(|why| matches!(why, Refusal::NotShown { .. })));
    assert_sums(&told, &traces);
}

#[cfg(unix)]
#[test]
fn an_interrupt_keeps_the_trace_of_all_that_was_done_or_in_progress() {
    let folder = tempfile::tempdir().unwrap();
    let mut app = program(folder.path(), &["--concurrency", "20", "--latency", "40"]);
    let mut app = app.stdout(Stdio::piped()).spawn().unwrap();
    let mut told = String::new();
    let (mut done, mut is_told) = (0, false);
    for line in BufReader::new(app.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        done += usize::from(line.contains("] done  "));
        if done == 10 && !is_told {
            let id = app.id().to_string();
            assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
            is_told = true;
        }
        told = format!("{told}{line}\n");
    }
    assert_eq!(app.wait().unwrap().code(), Some(130), "{told}");
    let traces = traces(folder.path());
    let (ended, cut): (Vec<_>, Vec<_>) = traces.iter().partition(|(_, trace)| trace.stop.is_some());
    assert!(ended.len() >= 10 && !cut.is_empty(), "{} and {}", ended.len(), cut.len());
    assert!(traces.len() < world::SPECIES, "some requests had not begun");
    // Every request that had begun has its trace.
    assert!(traces.iter().enumerate().all(|(n, (number, _))| n == *number), "{told}");
    for (number, trace) in &cut {
        assert_eq!(trace.error.as_deref(), Some("cancelled"), "request {number}");
        assert!(trace.prompt.contains(&world::name(*number)), "request {number}");
    }
    // What was asked and drawn for them until then is in it, with the stage that was cut off.
    let drawn = |trace: &RagTrace| {
        trace.usage().images > 0 && trace.stages.iter().any(|stage| stage.record.is_none())
    };
    assert!(cut.iter().any(|(_, trace)| drawn(trace)), "{cut:?}");
    assert_sums(&told, &traces);
}

/// The application, which `cargo test` builds beside the tests, with `arguments`.
fn program(out: &Path, arguments: &[&str]) -> Command {
    let tests = std::env::current_exe().unwrap();
    let folder = tests.parent().and_then(Path::parent).unwrap().join("examples");
    let program = folder.join(format!("app{}", std::env::consts::EXE_SUFFIX));
    assert!(program.exists(), "run `cargo build --example app` with these features first");
    let mut command = Command::new(program);
    command.arg("--out").arg(out).args(arguments).env_remove("OPENAI_API_KEY");
    command
}

/// The traces in `folder`, by the numbers of their requests.
fn traces(folder: &Path) -> Vec<(usize, RagTrace)> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .collect();
    files.sort();
    let read = |path: &PathBuf| {
        let number = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        (number, serde_json::from_slice(&fs::read(path).unwrap()).unwrap())
    };
    files.iter().map(read).collect()
}

/// What the application says it used and paid is what the gallery took, at 12 tokens a picture, and
/// the traces add up to.
fn assert_sums(told: &str, traces: &[(usize, RagTrace)]) {
    let gallery = Usage::tokens(12 * world::pictures().unwrap().len() as u64, 0);
    assert!(told.contains(&format!("0 rejected, used {gallery}\n")), "{told}");
    let usage = gallery + traces.iter().map(|(_, trace)| trace.usage()).sum();
    assert!(usage.images >= 10 && usage.prompt_tokens > 0 && usage.completion_tokens > 0);
    assert!(told.contains(&format!("used       {usage}\n")), "{usage}: {told}");
    let cost = gallery.cost(&price(parts::EMBEDDER))
        + traces.iter().map(|(_, trace)| trace.cost(price)).sum::<f64>();
    let paid = told.split("cost       $").nth(1).unwrap();
    assert!((paid.trim().parse::<f64>().unwrap() - cost).abs() < 1e-3, "{cost}: {told}");
    assert!(cost > 0.04 * usage.images as f64, "{cost}");
}
