//! What is not downloaded, and how that is told.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use futures::FutureExt;
use futures::executor::block_on;
use imagerag::RagPipeline;
use imagerag::conditioner::InPrompt;
use imagerag::pipeline::Refusal;
use imagerag::reference::Caption;
use imagerag::retriever::{RetrieveRequest, Retriever, WebRetrieverBuilder};
use imagerag::testing::{FakeCritic, FakeGenerator};

use crate::server::{Answer, Server, answer, png, redirect, results};
use crate::{find, openverse, problem};

const BY: &str = "by 4.0";

/// A server whose search finds `/x`, which answers so.
fn having(x: Vec<Answer>) -> Server {
    Server::new([("/v1/images/", vec![results(&[("ORIGIN/x", BY)])]), ("/x", x)])
}

fn refused(x: Answer, set: impl Fn(WebRetrieverBuilder) -> WebRetrieverBuilder) -> String {
    let server = having(vec![x]);
    let said = problem(&set(openverse(&server).max_retries(0)).build().unwrap());
    assert!(said.contains("/x"), "the picture is named in: {said}");
    said
}

#[test]
fn what_is_no_picture_is_told() {
    let half = png([1, 2, 3])[..60].to_vec();
    for (x, expected) in [
        (answer(404, "gone"), "answered 404"),
        (answer(403, ""), "answered 403"),
        (answer(500, "oh"), "answered 500"),
        (answer(304, ""), "answered 304"),
        (
            answer(200, "<!DOCTYPE html><title>Log in</title>").with("content-type: image/png"),
            "no known picture",
        ),
        (answer(200, r#"<svg xmlns="http://www.w3.org/2000/svg"/>"#), "SVG"),
        (answer(200, b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00".to_vec()), "expected PNG"),
        (answer(200, b"\x1a\x45\xdf\xa3 webm".to_vec()), "no known picture"),
        (answer(200, ""), "an empty file"),
        (answer(200, half.clone()), "expected PNG"),
        (answer(200, half).of_length(5000), "its reply broke off"),
        (answer(200, "x").with("content-encoding: br"), "compressed body"),
        (answer(302, ""), "answered 302"),
    ] {
        let said = refused(x, |builder| builder);
        assert!(said.contains(expected), "{expected} in {said}");
    }
}

#[test]
fn a_picture_is_known_by_its_content() {
    let wrong = answer(200, png([200, 0, 0])).with("content-type: text/html");
    let server = having(vec![wrong]);
    let list = find(&openverse(&server).build().unwrap(), "a quetzal", 1).unwrap();
    assert_eq!(block_on(list[0].image()).unwrap().pixels()[..3], [200, 0, 0]);
}

#[test]
fn bytes_pixels_and_time_are_bounded() {
    let small = |builder: WebRetrieverBuilder| builder.max_bytes(1000);
    let said = refused(answer(200, vec![0; 1001]), small);
    assert!(said.contains("at most 1000 bytes, found 1001 bytes"), "{said}");
    // One that does not say how long it is.
    let chunked = "3e8\r\n".to_owned()
        + &"x".repeat(1000)
        + "\r\n3e8\r\n"
        + &"x".repeat(1000)
        + "\r\n0\r\n\r\n";
    let endless = answer(200, chunked).with("transfer-encoding: chunked").without_length();
    let said = refused(endless, small);
    assert!(said.contains("at most 1000 bytes, found more"), "{said}");

    let said = refused(answer(200, png([1, 2, 3])), |builder| builder.max_pixels(191));
    assert!(said.contains("at most 191 pixels, found 16x12"), "{said}");
    let slow = answer(200, png([1, 2, 3])).hanging();
    // The search has as long.
    let said = refused(slow, |builder| builder.timeout(Duration::from_secs(3)));
    assert!(said.contains("the download") && said.contains("took longer than 3s"), "{said}");
}

#[test]
fn a_bomb_is_not_unpacked() {
    let all = include_str!("../fixtures/encodings.json");
    let all: BTreeMap<String, String> = serde_json::from_str(all).unwrap();
    let bomb = BASE64_STANDARD.decode(&all["bomb"]).unwrap();
    let x = answer(200, bomb).with("content-encoding: gzip");
    let said = refused(x, |builder| builder.max_bytes(100_000));
    assert!(said.contains("more when unpacked"), "{said}");
}

#[test]
fn a_download_is_tried_again_where_that_may_help() {
    let busy = || answer(503, "").with("retry-after: 0");
    let server = having(vec![busy(), answer(200, png([0, 200, 0]))]);
    let list = find(&openverse(&server).build().unwrap(), "a quetzal", 1).unwrap();
    assert_eq!(block_on(list[0].image()).unwrap().pixels()[..3], [0, 200, 0]);
    assert_eq!(server.asked("/x").len(), 2);
    let server = having(vec![answer(404, "")]);
    problem(&openverse(&server).build().unwrap());
    assert_eq!(server.asked("/x").len(), 1, "what is gone stays gone");
}

#[test]
fn redirections_are_followed_to_pictures_and_not_for_ever() {
    let server = Server::new([
        ("/v1/images/", vec![results(&[("ORIGIN/x", BY)])]),
        ("/x", vec![redirect("/y?a=1")]),
        ("/y", vec![redirect("ORIGIN/red.png#part")]),
    ]);
    let list = find(&openverse(&server).build().unwrap(), "a quetzal", 1).unwrap();
    assert_eq!(block_on(list[0].image()).unwrap().pixels()[..3], [200, 0, 0]);

    let said = refused(redirect("/x"), |builder| builder);
    assert!(said.contains("at most 5 redirections"), "{said}");
    for elsewhere in ["file:///etc/passwd", "ftp://h/x", "data:image/png;base64,AA", "gopher://h"] {
        let said = refused(redirect(elsewhere), |builder| builder);
        assert!(said.starts_with("redirection of http://127.0.0.1:"), "{said}");
        assert!(said.contains("/x: expected an http(s) URL, found the scheme"), "{said}");
    }
    let said = refused(redirect("http://[/"), |builder| builder);
    assert!(said.contains("a redirection to a URL"), "{said}");
}

#[test]
fn addresses_that_are_not_public_are_refused() {
    for address in [
        "ORIGIN/x",
        "http://localhost/x",
        "http://127.1/x",
        "http://2130706433/x",
        "http://[::1]/x",
        "http://[::ffff:127.0.0.1]/x",
        "http://[64:ff9b::7f00:1]/x",
        "http://10.0.0.1/x",
        "http://100.64.0.1/x",
        "http://169.254.169.254/latest/meta-data/x",
        "http://192.0.2.1/x",
        "http://224.0.0.1/x",
        "http://0.0.0.0/x",
        "http://printer/x",
        "http://user:password@127.0.0.1/x",
    ] {
        let server = Server::new([("/v1/images/", vec![results(&[(address, BY)])])]);
        let retriever = openverse(&server).allow_private_addresses(false).build().unwrap();
        let said = problem(&retriever);
        assert!(said.contains("is no address of the public internet"), "{address}: {said}");
        assert!(!said.contains("password"), "{said}");
        assert!(server.asked("/x").is_empty());
    }
}

#[test]
fn no_login_in_an_address_is_sent_or_told() {
    let address = "http://user:password@HOST/red.png";
    let server = Server::new([("/v1/images/", vec![answer(404, "")])]);
    let address = address.replace("HOST", server.origin.trim_start_matches("http://"));
    let search = Server::new([("/v1/images/", vec![results(&[(&address, BY)])])]);
    let list = find(&openverse(&search).build().unwrap(), "a quetzal", 1).unwrap();
    assert!(!format!("{list:?}").contains("password"), "{list:?}");
    block_on(list[0].image()).unwrap();
    let head = server.asked("/red.png").remove(0).to_lowercase();
    assert!(!head.contains("authorization"), "{head}");
    // Nor one in a redirection.
    let to = server.origin.replace("http://", "http://user:password@") + "/red.png";
    let hop = having(vec![redirect(&to)]);
    let list = find(&openverse(&hop).build().unwrap(), "a quetzal", 1).unwrap();
    block_on(list[0].image()).unwrap();
    assert!(!server.asked("/red.png")[1].to_lowercase().contains("authorization"));
}

#[test]
fn a_proxy_that_is_set_gets_downloads_too_but_none_for_what_is_not_public() {
    let proxy = Server::new([(
        "/v1/images/",
        vec![results(&[("http://far.example/red.png", BY), ("http://10.0.0.1/red.png", BY)])],
    )]);
    let retriever = imagerag::retriever::WebRetriever::openverse()
        .base_url("http://search.example/v1")
        .proxy(&proxy.origin)
        .max_retries(0)
        .build()
        .unwrap();
    let list = find(&retriever, "a quetzal", 2).unwrap();
    assert_eq!(block_on(list[0].image()).unwrap().pixels()[..3], [200, 0, 0]);
    assert!(proxy.asked("/red.png")[0].starts_with("GET http://far.example/red.png "));
    let said = block_on(list[1].image()).unwrap_err().chain().to_string();
    assert!(said.contains("10.0.0.1 is no address of the public internet"), "{said}");
    assert_eq!(proxy.asked("/red.png").len(), 1);
}

#[test]
fn the_pipeline_takes_the_next_and_its_trace_says_why() {
    let found =
        results(&[("ORIGIN/gone.png", BY), ("ORIGIN/page.png", BY), ("ORIGIN/red.png", BY)]);
    let page = answer(200, "<!DOCTYPE html>");
    let server = Server::new([("/v1/images/", vec![found]), ("/page.png", vec![page])]);
    let pipeline = RagPipeline::builder()
        .generator(FakeGenerator::new())
        .critic(FakeCritic::new().missing(["a quetzal"]))
        .retriever(openverse(&server).build().unwrap())
        .conditioner(InPrompt::new(1).unwrap())
        .build()
        .unwrap();
    let outcome = block_on(pipeline.run("a quetzal")).unwrap();
    let [used] = outcome.references.as_slice() else { panic!("one is there") };
    assert!(used.provenance.source.to_string().ends_with("/red.png"));
    assert_eq!(used.provenance.metadata.license.as_deref(), Some("CC-BY-4.0"));
    let problems: Vec<String> = outcome
        .trace
        .hits()
        .filter_map(|hit| match &hit.refused {
            Some(Refusal::Unreadable { problem }) => Some(problem.clone()),
            _ => None,
        })
        .collect();
    assert!(problems[0].contains("404") && problems[0].contains("/gone.png"), "{problems:?}");
    assert!(problems[1].contains("no known picture"), "{problems:?}");
    // The search is remembered: the pipeline asks for more where pictures are gone.
    assert_eq!(server.asked("/v1/images/").len(), 1);
}

#[test]
fn cancelling_ends_a_search_and_a_download() {
    let server = Server::new([("/v1/images/", vec![answer(200, "{}").hanging()])]);
    let retriever = openverse(&server).concurrency(1).build().unwrap();
    let request = RetrieveRequest::new([Caption::concept("a quetzal")], 1);
    for _ in 0..3 {
        let mut search = retriever.retrieve(&request);
        assert!(search.as_mut().now_or_never().is_none());
        drop(search);
    }
    // The only turn is free again.
    let found = results(&[("ORIGIN/x", BY)]);
    let slow = answer(200, "x").hanging();
    let server =
        Server::new([("/v1/images/", vec![found]), ("/x", vec![slow, answer(200, png([9; 3]))])]);
    let retriever = openverse(&server).concurrency(1).build().unwrap();
    let list = find(&retriever, "a quetzal", 1).unwrap();
    let mut download = Box::pin(list[0].image());
    while server.asked("/x").is_empty() {
        assert!(download.as_mut().now_or_never().is_none());
        std::thread::yield_now();
    }
    drop(download);
    assert_eq!(block_on(list[0].image()).unwrap().pixels()[..3], [9; 3]);
}
