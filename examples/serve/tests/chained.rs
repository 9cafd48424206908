//! A server over services, which are a second server.

use serde_json::json;

use imagerag::testing::solid;

use super::server::{Form, Server, error, image, json};

#[tokio::test]
async fn a_server_draws_with_services_and_passes_on_what_they_say() {
    let behind = Server::fake(&["--workers", "4"]);
    let folder = tempfile::tempdir().unwrap();
    let pictures = folder.path().join("pictures");
    std::fs::create_dir(&pictures).unwrap();
    for (name, rgb) in [("red car", [200, 0, 0]), ("blue car", [0, 0, 200])] {
        solid(16, 16, rgb).save(pictures.join(format!("{name}.png"))).unwrap();
    }
    let address = behind.address.as_str();
    let options = [
        ["--images-url", address],
        ["--images-model", "imagerag-draft"],
        ["--embeddings-url", address],
        ["--embeddings-model", "imagerag-embed"],
        ["--embeddings-api", "infinity"],
        // The draft is of any colour, and so shows neither enough.
        ["--concepts", "a red car,a blue car"],
        ["--concept-threshold", "0.9999"],
        ["--pictures", pictures.to_str().unwrap()],
    ];
    let server = Server::start(&["--services"], options.as_flattened());
    let health = json(server.get("/health")).await;
    assert!(health["serves"].as_str().unwrap().starts_with("imagerag-draft"), "{health}");
    let body = json!({ "prompt": "a red car at dawn", "seed": 7, "size": "16x16" });
    let reply = server.ask("/images/generations", &body).await;
    assert_eq!(image(&reply, 0).width(), 16);
    let trace = json(server.http.get(reply["trace"].as_str().unwrap())).await;
    assert!(trace.to_string().contains("red car.png"), "{trace}");
    assert_eq!(reply["usage"]["images"], 2);
    // A client's picture goes through both.
    let form =
        Form::default().text("prompt", "a cat").text("model", "imagerag-draft").text("seed", "7");
    let form = form.picture("image", &solid(4, 4, [0, 200, 0]));
    let one = json(server.form("/images/edits", &form)).await;
    let other = json(behind.form("/images/edits", &form)).await;
    assert_eq!(image(&one, 0), image(&other, 0));
    // So does a refusal.
    let body = json!({ "prompt": "[refuse] a red car", "model": "imagerag-draft" });
    let (status, error) =
        error(server.post("/images/generations", &body).send().await.unwrap()).await;
    assert_eq!((status, &error["code"]), (400, &json!("moderation_blocked")));
    assert!(error["message"].as_str().unwrap().contains("safety_violations"), "{error}");
}
