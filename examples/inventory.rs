//! Prints the names and shapes of the tensors that a loader asks for, without loading anything.
//!
//! ```text
//! $ cargo xtask cargo -- run --release --features tch --example inventory -- clip-text config.json
//! {
//! "text_model.embeddings.position_embedding.weight": [77, 768],
//! "text_model.embeddings.token_embedding.weight": [49408, 768],
//! …
//! ```

use std::io::Write;
use std::process::ExitCode;

use imagerag::models::{COMPONENTS, inventory};

/// What to say where the arguments do not fit.
fn usage() -> String {
    format!(
        "\
Usage: inventory COMPONENT CONFIG.json

Prints one JSON object on standard output: the names of all tensors that the loader of COMPONENT
asks a checkpoint for, with their shapes. Nothing is loaded.

  COMPONENT    one of {}
  CONFIG.json  the component's config.json; for ip-adapter-plus, that of the UNet it belongs to;
               for omini, the LoRA file itself, which is checked and listed",
        COMPONENTS.join(", ")
    )
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        println!("{}", usage());
        return ExitCode::SUCCESS;
    }
    let [component, config] = arguments.as_slice() else {
        let found = arguments.len();
        eprintln!(
            "error: expected a component and a config.json, found {found} arguments\n\n{}",
            usage()
        );
        return ExitCode::from(2);
    };
    match inventory(component, config) {
        // A reader that has seen enough, such as head, is no error.
        Ok(inventory) => {
            drop(writeln!(std::io::stdout(), "{inventory}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {}", error.chain());
            ExitCode::from(2)
        }
    }
}
