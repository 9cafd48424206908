//! Finds or provides the native libraries, then runs cargo with them.

mod apt;
mod browser;
mod ci;
mod commands;
mod crates;
mod cuda;
mod device_kit;
mod faiss;
mod fuzz;
mod imports;
mod libtorch;
mod loader;
mod manifest;
mod milvus;
mod milvus_server;
mod native;
mod openai_client;
mod outside;
mod peers;
mod pypi;
mod python;
mod readme;
mod remote_rag;
mod shell;
mod typos;

use std::path::Path;
use std::process::ExitCode;

/// A command: its name, what follows it, what it does, and how.
struct Command {
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
    details: &'static str,
    run: fn(&[String]) -> shell::Result<()>,
}

const COMMANDS: [Command; 14] = [
    Command {
        name: "quickstart",
        arguments: "[ARGS…]",
        about: "Draws a rare concept of the tiny world: draft, critique, reference, image.",
        details: "Sets up what is missing, builds, and runs the example `quickstart` with ARGS.\n\
                  A second run needs no set-up and takes seconds.",
        run: commands::quickstart,
    },
    Command {
        name: "test",
        arguments: "[-- ARGS…]",
        about: "Runs every test.",
        details: "Sets up what is missing, then runs the tests with default features and no libtorch,\n\
                  and all tests with every backend, beside a Milvus server and with\n\
                  OpenAI's Python client. With ARGS, `cargo test` runs once,\n\
                  on every backend, with ARGS: `cargo xtask test -- --lib models::clip`.",
        run: commands::test,
    },
    Command {
        name: "tinyworld",
        arguments: "[--json] [ARGS…]",
        about: "Measures the method on the tiny world.",
        details: "Sets up what is missing and runs the example `tinyworld` with ARGS.",
        run: commands::tinyworld,
    },
    Command {
        name: "remote-rag",
        arguments: "[ARGS…]",
        about: "Runs the loop over HTTP: a client without libtorch, beside a server of the tiny world.",
        details: "Starts the example `serve` on this machine and runs the example `remote_rag` against it.\n\
                  ARGS go to remote_rag: cargo xtask remote-rag --prompt \"a velkit on a sky background\"",
        run: remote_rag::run,
    },
    Command {
        name: "env",
        arguments: "",
        about: "Prints what to `eval` so that plain cargo works.",
        details: "eval \"$(cargo xtask env)\" && cargo test --features tch",
        run: commands::env,
    },
    Command {
        name: "cargo",
        arguments: "-- ARGS…",
        about: "Runs cargo with the environment that `env` prints.",
        details: "cargo xtask cargo -- run --release --features tch --example sdxl_ip_adapter -- --help\n\
                  Where the features name `faiss`, what builds FAISS is set up too; for `faiss-gpu`, CUDA's\n\
                  compiler from PyPI, unless CUDA_PATH is the folder of a toolkit. CUDAARCHS says for which GPUs.",
        run: commands::cargo,
    },
    Command {
        name: "ci",
        arguments: "[CHECK…]",
        about: "Formatting, spelling, imports, licenses, lints, documentation, each feature alone, the README, a crate outside.",
        details: "Everything that is checked beside the tests, without libtorch and FAISS. No program is linked\n\
                  but the tests of `tests/outside`, with default features. docs/CONTRIBUTING.md lists the checks: `cargo xtask ci format imports`.\n\
                  `.ci/run` runs this and `cargo xtask test`.",
        run: ci::run,
    },
    Command {
        name: "peers",
        arguments: "[sdxl|flux|omnigen|retrieval|embed] [--device cuda:0] [--dtype bf16] [ARGS…]",
        about: "Runs the same generation in a peer and here, or search in faiss-cpu and here; prints ratios.",
        details: "Uses $PYTHON, python3 or python if they have what benches/peers/requirements.txt lists,\n\
                  else installs that under the target folder. ARGS go to benches/peers/compare.py.\n\
                  `peers retrieval` does the same with requirements-retrieval.txt and retrieval.py:\n\
                  cargo xtask peers retrieval --quick --json figures.json\n\
                  `peers embed` takes pictures into a gallery, beside transformers, with embed.py.",
        run: peers::run,
    },
    Command {
        name: "device-check",
        arguments: "[--cpu] [PART…]",
        about: "Checks and measures everything on this machine's GPU, beside diffusers.",
        details: "Makes the device kit in the target folder and runs it: what works, how fast, with how much memory.\n\
                  docs/gpu.md says what each part does. The peers run where Python has their packages, which\n\
                  `cargo xtask peers omnigen` installs. --cpu runs every part at toy size on the CPU.",
        run: device_kit::check,
    },
    Command {
        name: "device-kit",
        arguments: "DIR [--faiss] [--no-checkout]",
        about: "Packs the same for another machine, without Rust or a network there.",
        details: "DIR/run.sh [--cpu] [PART…] runs it; it needs Python 3.10 with torch 2.11.0 and an NVIDIA driver.\n\
                  --faiss adds the search on a GPU (an hour to build, sm_90 by CUDAARCHS=90-real).\n\
                  --no-checkout leaves out fixtures and the tiny world: for a DIR that stays in its checkout.\n\
                  --dev packs what `cargo xtask test` has built, unoptimised, to try the kit itself.",
        run: device_kit::run,
    },
    Command {
        name: "fixtures",
        arguments: "[NAME…]",
        about: "Makes the recorded inputs and outputs of the golden tests again.",
        details: "Runs tests/fixtures/make_NAME.py, or all of them, with the same Python as `peers`.",
        run: peers::fixtures,
    },
    Command {
        name: "fuzz",
        arguments: "[TARGET…] [--seconds N]",
        about: "Fuzzes what reads files and replies of others, with coverage.",
        details: "Runs each target of tests/fuzz, or those that are named, for N seconds (600), beginning with the\n\
                  inputs of tests/fuzz/corpus. It ends at a panic, at a run of more than 10 seconds and at 1 GiB\n\
                  of memory, and leaves the input in the target folder: fuzz/failures/TARGET. Stable Rust will do.",
        run: fuzz::run,
    },
    Command {
        name: "milvus",
        arguments: "[ARGS…]",
        about: "Runs the Milvus server that the tests use.",
        details: "cargo xtask milvus server --data-dir target/milvus --port 19530",
        run: milvus::run,
    },
    Command {
        name: "help",
        arguments: "",
        about: "Prints this.",
        details: "cargo xtask COMMAND --help says more about a command.",
        run: |_| {
            print!("{}", overview());
            Ok(())
        },
    },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> shell::Result<()> {
    let name = match arguments.first().map(String::as_str) {
        None | Some("--help" | "-h") => "help",
        Some(name) => name,
    };
    let command = COMMANDS
        .iter()
        .find(|command| command.name == name)
        .ok_or_else(|| format!("no command `{name}`\n\n{}", overview()))?;
    let rest = arguments.get(1..).unwrap_or_default();
    if rest.first().is_some_and(|word| word == "--help" || word == "-h") {
        print!("{}", help(command));
        return Ok(());
    }
    (command.run)(rest)
}

fn overview() -> String {
    let rows =
        COMMANDS.iter().map(|command| format!("    {:<14}{}\n", command.name, command.about));
    format!("cargo xtask COMMAND [ARGS…]\n\n{}", rows.collect::<String>())
}

fn help(command: &Command) -> String {
    let usage = format!("cargo xtask {} {}", command.name, command.arguments);
    format!("{}\n\n{}\n{}\n", usage.trim_end(), command.about, command.details)
}

/// The workspace's folder.
fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_the_overview_and_explains_itself() {
        let overview = overview();
        for command in &COMMANDS {
            assert!(overview.contains(&format!("    {:<14}{}", command.name, command.about)));
            assert!(help(command).starts_with(&format!("cargo xtask {}", command.name)));
            assert!(!command.details.is_empty());
        }
    }

    #[test]
    fn an_unknown_command_is_named() {
        let error = dispatch(&["tset".into()]).unwrap_err();
        assert!(error.starts_with("no command `tset`"), "{error}");
    }

    #[test]
    fn the_root_holds_the_crate() {
        assert!(root().join("src/lib.rs").is_file());
    }
}
