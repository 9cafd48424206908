//! Each error can be made, says what it is about, and says whether to try again.

use std::io::{Error as IoError, ErrorKind};
use std::time::Duration;

use imagerag::{Error, RagPipeline};

#[test]
fn every_error_is_made_outside() {
    let refused = || IoError::from(ErrorKind::ConnectionRefused);
    let errors = [
        (Error::invalid_input("steps", "at least 1", 0), "steps: expected at least 1, found 0"),
        (
            RagPipeline::builder().build().unwrap_err(),
            "the pipeline needs a generator: call .generator(…) on the builder",
        ),
        (
            Error::incompatible("Brush", "Gallery", "images", "tokens"),
            "Brush does not fit Gallery: expected images, found tokens",
        ),
        (Error::io("a.png", refused()), "cannot access a.png: connection refused"),
        (Error::invalid_file("a.json", "version", "2", 1), "a.json: version: expected 2, found 1"),
        (
            Error::unavailable("cuda:1", "there is one GPU"),
            "cuda:1 is not available: there is one GPU",
        ),
        (Error::service("sketch", 503, "busy"), "sketch answered 503: busy"),
        (Error::connection("sketch", refused()), "sketch could not be reached: connection refused"),
        (Error::timeout("sketch", Duration::from_secs(2)), "sketch took longer than 2s"),
        (
            Error::invalid_reply("sketch", "a picture", "{}"),
            "sketch gave a reply that makes no sense: expected a picture, found {}",
        ),
        (Error::refused("sketch", "no weapons"), "sketch declines the request: no weapons"),
        (
            Error::OutOfMemory {
                what: "Brush".into(),
                requested: Some(1 << 30),
                source: "1 GiB of 512 MiB".into(),
            },
            "Brush ran out of memory: 1 GiB of 512 MiB",
        ),
        (Error::backend("Brush", "it broke"), "Brush failed: it broke"),
        (
            Error::AllFailed {
                what: "Balance(a, b)".into(),
                errors: vec![Error::backend("a", "it broke"), Error::unavailable("b", "no GPU")],
            },
            "every member of Balance(a, b) failed: 1: a failed: it broke; 2: b is not available: no GPU",
        ),
        (Error::Cancelled, "cancelled"),
    ];
    for (error, told) in &errors {
        assert_eq!(error.chain().to_string(), *told);
        let passes = ["sketch answered", "sketch could", "sketch took"];
        let is_transient = passes.iter().any(|start| told.starts_with(start));
        assert_eq!(error.is_transient(), is_transient, "{told}");
    }
}

/// How long a service asks callers to wait.
#[test]
fn a_service_can_ask_for_patience() {
    let error = Error::Service {
        service: "sketch".into(),
        status: 429,
        message: "slowly".into(),
        retry_after: Some(Duration::from_secs(3)),
    };
    assert!(error.is_transient());
}
