//! The example `remote_rag` beside a server of the tiny world: the loop over HTTP, without libtorch in the
//! client.

use std::process::Command;

use imagerag::Image;
use imagerag::pipeline::RagTrace;

use super::server::{Server, program};

#[test]
fn the_loop_runs_through_services_and_embeds_a_picture_once() {
    let server = Server::start(&["--tinyworld"], &[]);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("zorbit.png");
    let run = || {
        let mut command = Command::new(program("remote_rag"));
        command.args(["--tinyworld", &server.address, "--out", out.to_str().unwrap()]);
        let done = command.env_remove("OPENAI_API_KEY").output().unwrap();
        let told = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
        assert!(done.status.success(), "{told}");
        told
    };
    let told = run();
    assert!(told.contains("(240 added, 0 updated, 0 already there, 0 rejected)"), "{told}");
    assert!(told.contains("missing: zorbit") && told.contains("CC0-1.0"), "{told}");
    let [drawn, draft, _] =
        ["png", "draft.png", "sheet.png"].map(|end| Image::open(out.with_extension(end)).unwrap());
    assert_ne!(drawn, draft);
    let trace = std::fs::read_to_string(out.with_extension("trace.json")).unwrap();
    let trace: RagTrace = serde_json::from_str(&trace).unwrap();
    assert_eq!(trace.hits().filter(|hit| hit.refused.is_none()).count(), 1);
    assert_eq!(trace.usage().images, 2);

    // The same images again, and nothing embedded again.
    let told = run();
    assert!(told.contains("(0 added, 0 updated, 240 already there, 0 rejected)"), "{told}");
    assert_eq!(Image::open(&out).unwrap(), drawn);
}
