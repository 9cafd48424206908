//! The server over the networks that the repository carries.

use imagerag::Image;
use serde_json::{Value, json};

#[cfg(unix)]
use super::life::{hold, signal};
use super::server::{Form, Server, data_url, image, json};

#[cfg(unix)]
#[tokio::test]
async fn a_second_signal_ends_it_at_once_while_a_model_draws() {
    for (second, status) in [("-INT", 130), ("-TERM", 143)] {
        let mut server = Server::start(&["--tinyworld"], &["--grace", "600"]);
        let _running = hold(&server, json!({ "prompt": "a zorbit", "steps": 900 }), 1, 0).await;
        signal(&server, "-INT");
        while server.get("/health").send().await.unwrap().status() != 503 {}
        signal(&server, second);
        assert_eq!(server.ended().await, Some(status));
    }
}

#[tokio::test]
async fn the_tiny_world_draws_what_it_does_not_know_with_a_reference() {
    let server = Server::start(&["--tinyworld"], &[]);
    let health = json(server.get("/health")).await;
    assert_eq!(health["serves"], "the tiny world, on cpu");

    let body = json!({ "prompt": "a photo of a zorbit on a mint background", "seed": 1 });
    let reply = server.ask("/images/generations", &body).await;
    assert_eq!((image(&reply, 0).width(), &reply["size"]), (32, &json!("32x32")));
    let trace = json(server.http.get(reply["trace"].as_str().unwrap())).await;
    let hits = trace["stages"].as_array().unwrap().iter();
    let mut sources =
        hits.filter_map(|stage| stage["record"]["hits"][0]["provenance"]["source"]["uri"].as_str());
    assert!(sources.next().is_some_and(|source| source.contains("zorbit")), "{trace}");
    // No key is needed to see it, and so it names no folders of this machine.
    let page = format!("{}.html", reply["trace"].as_str().unwrap());
    let page = server.http.get(page).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("source: zorbit-"), "{page}");
    for seen in [page, trace.to_string()] {
        assert!(!seen.contains(env!("CARGO_MANIFEST_DIR")), "{seen}");
    }

    // The generator by itself takes the picture that the loop found.
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tinyworld/gallery");
    let picture = Image::open(format!("{folder}/zorbit-1.png")).unwrap();
    let form = Form::default().text("prompt", "a photo of a zorbit").text("seed", "1");
    let form = form.text("model", "imagerag-draft");
    let edited = json(server.form("/images/edits", &form.clone().picture("image", &picture))).await;
    let two = form.clone().picture("image", &picture).picture("image", &picture);
    let reply = server.form("/images/edits", &two).send().await.unwrap();
    let (status, error) = super::server::error(reply).await;
    assert_eq!((status, &error["param"]), (400, &json!("image")), "{error}");
    assert_eq!(error["message"], "image: imagerag-draft takes 1 picture, found 2");
    let plain = json!({ "prompt": "a photo of a zorbit", "seed": 1, "model": "imagerag-draft" });
    let plain = server.ask("/images/generations", &plain).await;
    assert_ne!(image(&edited, 0), image(&plain, 0));

    // A size that the network cannot draw is the client's mistake.
    let odd = server.post("/images/generations", &json!({ "prompt": "a", "size": "33x33" }));
    let (status, error) = super::server::error(odd.send().await.unwrap()).await;
    assert_eq!((status, &error["param"]), (400, &json!("size")), "{error}");

    // Its embedder finds the species of a picture.
    let embedded = |input: Value| json!({ "input": input });
    let texts = ["a photo of a zorbit", "a photo of a bruno"].map(|text| json!({ "text": text }));
    let [one, other] = texts;
    let input = json!([{ "image": data_url(&picture) }, one, other]);
    let reply = server.ask("/embeddings", &embedded(input)).await;
    let vector = |n: usize| -> Vec<f32> {
        serde_json::from_value(reply["data"][n]["embedding"].clone()).unwrap()
    };
    let similarity = |n| vector(0).iter().zip(&vector(n)).map(|(a, b)| a * b).sum::<f32>();
    assert!(similarity(1) > similarity(2), "{} and {}", similarity(1), similarity(2));
}
