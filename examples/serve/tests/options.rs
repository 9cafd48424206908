//! Options that make no sense, which are told before anything is loaded, asked or embedded.

use std::process::{Command, Stdio};

use super::server::{Server, program};

/// What a program says when it ends with an error, and that it does.
fn refused(name: &str, options: &[&str]) -> String {
    let mut command = Command::new(program(name));
    let output =
        command.args(options).env_remove("JINA_API_KEY").stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{options:?}: {said}");
    said
}

#[test]
fn options_that_would_be_ignored_or_cannot_work_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().to_str().unwrap();
    let nowhere = &format!("{empty}/nowhere");
    std::fs::write(folder.path().join("notes.txt"), "no picture").unwrap();
    // Nothing listens at this address: whoever asks it first says so.
    let at = [
        "--services",
        "--embeddings-url",
        "http://127.0.0.1:9",
        "--images-url",
        "http://127.0.0.1:9",
    ];
    let with = |more: &[&'static str]| [&at[..], more].concat();
    let threshold = |text| with(&["--concepts", "a,b", "--concept-threshold", text]);
    let serve: Vec<(Vec<&str>, Vec<&str>)> = vec![
        (vec!["--fake", "--device", "cuda"], vec!["--fake", "--device"]),
        (vec!["--services", "--dtype", "f16"], vec!["--services", "--dtype"]),
        (vec!["--fake", "--pictures", "/tmp"], vec!["--fake", "--pictures"]),
        (vec!["--tinyworld", "--vlm-model", "x"], vec!["--tinyworld", "--vlm-model"]),
        (vec!["--fake", "--cors", "not a url"], vec!["--cors", "SCHEME://HOST"]),
        (vec!["--fake", "--cors", "https://a.example/"], vec!["--cors", "without a path"]),
        (vec!["--fake", "--public-url", "x y"], vec!["--public-url", "http://HOST"]),
        (vec!["--fake", "--public-url", "a.example"], vec!["--public-url", "http://HOST"]),
        (vec!["--fake", "--max-body", "4", "--max-bodies", "3"], vec!["--max-bodies", "found 3"]),
        (threshold("1.5"), vec!["--concept-threshold", "[-1, 1]"]),
        (threshold("-1.5"), vec!["--concept-threshold", "[-1, 1]"]),
        (threshold("NaN"), vec!["--concept-threshold", "[-1, 1]"]),
        (with(&["--concepts", "a"]), vec!["--concepts", "at least 2", "found 1"]),
        (with(&["--concepts", "a, "]), vec!["--concepts", "expected names, found ` `"]),
        (with(&["--concepts", "a cat,dog,A Cat"]), vec!["--concepts", "`A Cat` again"]),
        (with(&[]), vec!["--pictures", "--gallery"]),
        ([&at[..], &["--pictures", nowhere]].concat(), vec!["--pictures", "nowhere"]),
        ([&at[..], &["--pictures", empty]].concat(), vec!["--pictures", empty, "found none"]),
        ([&at[..], &["--gallery", nowhere]].concat(), vec!["--gallery", "nowhere"]),
    ];
    for (options, words) in serve {
        let said = refused("serve", &options);
        assert!(words.iter().all(|word| said.contains(word)), "{options:?}: {said}");
        assert!(said.lines().count() < 8, "{said}");
    }
    let url = "http://127.0.0.1:9";
    for (options, word) in [
        (vec!["--tinyworld", url, "--pictures", "/tmp"], "--pictures"),
        (vec!["--tinyworld", url, "--concepts", "a,b"], "--concepts"),
        (vec!["--tinyworld", url, "--images-model", "x"], "--images-model"),
        (vec!["--prompt", "a", "--references", "0"], "--references"),
    ] {
        let said = refused("remote_rag", &options);
        assert!(said.contains(word), "{options:?}: {said}");
    }
}

#[test]
fn a_port_that_is_taken_is_told_before_anything_is_asked() {
    let server = Server::fake(&[]);
    let port = server.address.trim_end_matches("/v1").rsplit(':').next().unwrap();
    let said = refused("serve", &["--services", "--pictures", "/nowhere", "--port", port]);
    assert!(said.contains(&format!("--port {port}")), "{said}");
}

#[test]
fn a_service_that_refuses_the_key_is_named_with_where_its_key_is_read_from() {
    let server = Server::fake(&["--api-key", "secret-key"]);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tinyworld/gallery");
    let options = |api: &'static str| {
        vec![
            "--services",
            "--embeddings-url",
            &server.address,
            "--embeddings-api",
            api,
            "--pictures",
            folder,
        ]
    };
    for (api, variable) in [("jina", "JINA_API_KEY"), ("infinity", "INFINITY_API_KEY")] {
        let said = refused("serve", &options(api));
        assert!(said.contains(&format!("{variable}, which is not set")), "{said}");
        assert!(said.contains("--embeddings-url"), "{said}");
    }
}

#[test]
fn help_names_the_variables_of_the_keys() {
    for name in ["serve", "remote_rag"] {
        let output = Command::new(program(name)).arg("--help").output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        for variable in ["OPENAI_API_KEY", "JINA_API_KEY", "CO_API_KEY", "VOYAGE_API_KEY"] {
            assert!(said.contains(variable), "{name}: {said}");
        }
    }
}

#[test]
fn a_service_that_refuses_the_key_while_it_draws_is_named_too() {
    let (open, keyed) = (Server::fake(&[]), Server::fake(&["--api-key", "secret-key"]));
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mut command = Command::new(program("remote_rag"));
    command.args(["--prompt", "a zorbit", "--concepts", "zorbit, dappet"]);
    command.args(["--images-url", &keyed.address, "--images-model", "imagerag-draft"]);
    command.args(["--embeddings-url", &open.address, "--embeddings-model", "imagerag-embed"]);
    command.args(["--pictures", concat!(env!("CARGO_MANIFEST_DIR"), "/tinyworld/gallery")]);
    command.arg("--gallery").arg(at("gallery")).arg("--out").arg(at("out.png"));
    let output = command.env("OPENAI_API_KEY", "another-key").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    let expected = "what draws (--images-url) takes its key from OPENAI_API_KEY, which is set";
    assert!(said.contains(expected), "{said}");
    assert!(!said.contains("another-key"), "{said}");
    // What was done before is kept, and that is told.
    assert!(at("out.trace.json").exists() && said.contains("out.trace.json"), "{said}");
}
