//! The queue, clients that leave, and the end of the server.

use std::process::Command;

use serde_json::json;

use super::server::{Server, error};

const PATH: &str = "/images/generations";

/// Begins a request that is never finished, and waits until so many are worked on and wait.
pub(crate) async fn hold(
    server: &Server,
    body: serde_json::Value,
    running: u64,
    waiting: u64,
) -> Held {
    let request = tokio::spawn(server.post(PATH, &body).send());
    let is_so =
        |images: &serde_json::Value| images["running"] == running && images["waiting"] == waiting;
    server.until(is_so).await;
    request
}

pub(crate) type Held = tokio::task::JoinHandle<reqwest::Result<reqwest::Response>>;

#[tokio::test]
async fn a_client_that_leaves_frees_its_place_whether_it_is_worked_on_or_waits() {
    let server = Server::fake(&["--queue", "4"]);
    for (n, model) in ["imagerag", "imagerag-draft"].into_iter().enumerate() {
        let cancelled = |n: usize| move |images: &serde_json::Value| images["cancelled"] == n;
        let body = json!({ "prompt": "[hold]", "model": model });
        let first = hold(&server, body.clone(), 1, 0).await;
        let second = hold(&server, body.clone(), 1, 1).await;
        second.abort();
        let images = server.until(cancelled(3 * n + 1)).await;
        assert_eq!((&images["running"], &images["waiting"]), (&json!(1), &json!(0)));
        first.abort();
        let images = server.until(cancelled(3 * n + 2)).await;
        assert_eq!((&images["running"], &images["waiting"]), (&json!(0), &json!(0)));
        // So with a stream, whose reply has begun.
        let mut streamed = body.clone();
        streamed["stream"] = true.into();
        let reply = server.post(PATH, &streamed).send().await.unwrap();
        assert_eq!(reply.status(), 200);
        server.until(|images| images["running"] == 1).await;
        drop(reply);
        server.until(cancelled(3 * n + 3)).await;
        assert_eq!(
            server.ask(PATH, &json!({ "prompt": "a" })).await["data"].as_array().unwrap().len(),
            1
        );
    }
}

#[tokio::test]
async fn what_has_no_place_in_the_queue_is_told_to_come_back() {
    let server = Server::fake(&["--workers", "2", "--queue", "1"]);
    let body = json!({ "prompt": "[hold]" });
    let held = [
        hold(&server, body.clone(), 1, 0).await,
        hold(&server, body.clone(), 2, 0).await,
        hold(&server, body.clone(), 2, 1).await,
    ];
    for stream in [false, true] {
        let body = json!({ "prompt": "a quetzal", "stream": stream });
        let reply = server.post(PATH, &body).send().await.unwrap();
        assert_eq!(reply.headers()["retry-after"], "1");
        let (status, error) = error(reply).await;
        assert_eq!((status, &error["code"]), (429, &json!("rate_limit_exceeded")));
    }
    // Embeddings do not wait behind images.
    server.ask("/embeddings", &json!({ "input": "a" })).await;
    held[0].abort();
    server.until(|images| images["waiting"] == 0).await;
    held[1].abort();
    server.until(|images| images["running"] == 1).await;
    server.ask(PATH, &json!({ "prompt": "a quetzal" })).await;
}

#[cfg(unix)]
pub(crate) fn signal(server: &Server, name: &str) {
    let id = server.process.id().to_string();
    assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
}

#[cfg(unix)]
#[tokio::test]
async fn a_server_that_is_told_to_stop_begins_nothing_and_cuts_off_what_takes_too_long() {
    for (name, grace) in [("-TERM", "0"), ("-INT", "1")] {
        let mut server = Server::fake(&["--grace", grace]);
        let running = hold(&server, json!({ "prompt": "[hold]" }), 1, 0).await;
        let waiting = hold(&server, json!({ "prompt": "a" }), 1, 1).await;
        signal(&server, name);
        for held in [waiting, running] {
            let reply = held.await.unwrap().unwrap();
            assert!(reply.headers().contains_key("retry-after"));
            let (status, error) = error(reply).await;
            assert_eq!((status, &error["code"]), (503, &json!("server_stopping")));
        }
        assert_eq!(server.ended().await, Some(0));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_worked_on_may_finish_and_new_requests_go_elsewhere() {
    let mut server = Server::fake(&["--grace", "600"]);
    // One that never finishes keeps the server from its end.
    let running = hold(&server, json!({ "prompt": "[hold]" }), 1, 0).await;
    signal(&server, "-TERM");
    loop {
        let health = server.get("/health").send().await.unwrap();
        if health.status() == 503 {
            break;
        }
    }
    for path in [PATH, "/embeddings"] {
        let body = json!({ "prompt": "a", "input": "a" });
        let reply = server.post(path, &body).send().await.unwrap();
        assert!(reply.headers().contains_key("retry-after"));
        assert_eq!(error(reply).await.0, 503);
    }
    // Once it has gone the server ends by itself, long before the time is over.
    running.abort();
    assert_eq!(server.ended().await, Some(0));
}

#[cfg(unix)]
#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    for (second, status) in [("-INT", 130), ("-TERM", 143)] {
        let mut server = Server::fake(&["--grace", "600"]);
        let _running = hold(&server, json!({ "prompt": "[hold]" }), 1, 0).await;
        signal(&server, "-INT");
        while server.get("/health").send().await.unwrap().status() != 503 {}
        signal(&server, second);
        assert_eq!(server.ended().await, Some(status));
    }
}

#[tokio::test]
async fn it_ends_with_its_input_where_that_is_said() {
    let mut server = Server::fake(&["--until-stdin-ends", "--grace", "600"]);
    let running = hold(&server, json!({ "prompt": "[hold]" }), 1, 0).await;
    drop(server.process.stdin.take());
    while server.get("/health").send().await.unwrap().status() != 503 {}
    running.abort();
    assert_eq!(server.ended().await, Some(0));
    // Otherwise its input is nothing to it.
    let mut server = Server::fake(&[]);
    drop(server.process.stdin.take());
    server.ask(PATH, &json!({ "prompt": "a quetzal" })).await;
}
