//! Every failure is in OpenAI's shape, with the right status.

use serde_json::{Value, json};

use super::server::{Form, Server, error};

#[tokio::test]
async fn values_that_make_no_sense_are_named() {
    let server = Server::fake(&[]);
    let cases = [
        (json!({}), "prompt", "missing_required_parameter"),
        (json!({ "prompt": " " }), "prompt", "missing_required_parameter"),
        (json!({ "prompt": ["a"] }), "prompt", "invalid_value"),
        (json!({ "prompt": "x".repeat(9_000) }), "prompt", "invalid_value"),
        (json!({ "prompt": "<|image_1|>" }), "prompt", "invalid_value"),
        (json!({ "prompt": "a", "n": 0 }), "n", "invalid_value"),
        (json!({ "prompt": "a", "n": 11 }), "n", "invalid_value"),
        (json!({ "prompt": "a", "n": 1.5 }), "n", "invalid_value"),
        (json!({ "prompt": "a", "size": "large" }), "size", "invalid_value"),
        (json!({ "prompt": "a", "size": "0x16" }), "size", "invalid_value"),
        (json!({ "prompt": "a", "size": "4000x4000" }), "size", "invalid_value"),
        (json!({ "prompt": "a", "width": 16 }), "size", "invalid_value"),
        (json!({ "prompt": "a", "seed": -2 }), "seed", "invalid_value"),
        (json!({ "prompt": "a", "seed": "x" }), "seed", "invalid_value"),
        (json!({ "prompt": "a", "steps": 0 }), "steps", "invalid_value"),
        (json!({ "prompt": "a", "guidance_scale": -1 }), "guidance_scale", "invalid_value"),
        (json!({ "prompt": "a", "guidance_scale": "strong" }), "guidance_scale", "invalid_value"),
        (json!({ "prompt": "a", "response_format": "file" }), "response_format", "invalid_value"),
        (json!({ "prompt": "a", "output_format": "gif" }), "output_format", "invalid_value"),
        (
            json!({ "prompt": "a", "output_compression": 101 }),
            "output_compression",
            "invalid_value",
        ),
        (
            json!({ "prompt": "a", "background": "transparent" }),
            "background",
            "unsupported_parameter",
        ),
        (json!({ "prompt": "a", "stream": "maybe" }), "stream", "invalid_value"),
        (json!({ "prompt": "a", "partial_images": 4 }), "partial_images", "invalid_value"),
        (json!({ "prompt": "a", "stream": true, "n": 2 }), "n", "invalid_value"),
        (
            json!({ "prompt": "a", "stream": true, "response_format": "url" }),
            "response_format",
            "invalid_value",
        ),
        (json!({ "prompt": "a", "background": "nonsense" }), "background", "invalid_value"),
        (json!({ "prompt": "a", "num_inference_steps": 4, "steps": 5 }), "steps", "invalid_value"),
        (
            json!({ "prompt": "a", "guidance_scale": 4, "cfg_scale": 5 }),
            "cfg_scale",
            "invalid_value",
        ),
        (
            json!({ "prompt": "a", "size": "16x16", "width": 16, "height": 32 }),
            "size",
            "invalid_value",
        ),
        (json!({ "prompt": "a", "mask": "x" }), "mask", "unsupported_parameter"),
    ];
    for (mut body, param, code) in cases {
        for model in ["imagerag", "imagerag-draft"] {
            // The generator alone reads longer prompts, and takes them as they are.
            if model != "imagerag"
                && param == "prompt"
                && code == "invalid_value"
                && body["prompt"].is_string()
            {
                continue;
            }
            body["model"] = model.into();
            let reply = server.post("/images/generations", &body).send().await.unwrap();
            let (status, error) = error(reply).await;
            let found = (status, &error["type"], &error["param"], &error["code"]);
            let expected = (400, &json!("invalid_request_error"), &json!(param), &json!(code));
            assert_eq!(found, expected, "{body}: {error}");
        }
    }
}

#[tokio::test]
async fn failures_of_parts_have_their_statuses_and_a_trace() {
    let server = Server::fake(&[]);
    let cases = [
        (
            "[refuse]",
            400,
            "image_generation_user_error",
            json!("moderation_blocked"),
            "safety_violations",
        ),
        ("[fail]", 500, "server_error", Value::Null, "told to fail"),
        ("[panic]", 500, "server_error", Value::Null, "panicked"),
    ];
    for (word, status, kind, code, message) in &cases {
        for model in ["imagerag", "imagerag-draft"] {
            let body = json!({ "prompt": format!("a {word}"), "model": model });
            let reply = server.post("/images/generations", &body).send().await.unwrap();
            let trace = reply.headers().get("x-imagerag-trace").cloned();
            let (found, error) = error(reply).await;
            assert_eq!((found, &error["type"], &error["code"]), (*status, &json!(kind), code));
            assert!(error["message"].as_str().unwrap().contains(message), "{error}");
            let has_trace = model == "imagerag";
            assert_eq!(trace.is_some(), has_trace, "{word} {model}");
            if let Some(trace) = trace {
                let page = server.http.get(format!("{}.html", trace.to_str().unwrap()));
                let page = page.send().await.unwrap().text().await.unwrap();
                assert!(page.contains("draft failed") || page.contains(word), "{page}");
            }
        }
    }
    // It still serves.
    let health = server.until(|images| images["running"] == 0).await;
    assert_eq!((&health["done"], &health["cancelled"]), (&json!(6), &json!(0)));
}

#[tokio::test]
async fn what_no_route_understands_is_an_error_of_the_same_shape() {
    let server = Server::fake(&["--max-body", "1"]);
    let at = |path: &str| format!("{}{path}", server.address);
    let large = "x".repeat(3 << 20);
    let draw = || server.http.post(at("/images/generations"));
    let typed = |kind: &str, body: &str| draw().header("content-type", kind).body(body.to_owned());
    let cases = [
        ("no such path", server.get("/nothing"), 404),
        ("no such path outside", server.http.get(at("/../x")), 404),
        ("a large body to no path", server.http.post(at("/nothing")).body(large.clone()), 404),
        ("no such model", server.get("/models/gpt-image-1"), 404),
        ("no such trace", server.get("/traces/0"), 404),
        ("no such file", server.get("/files/0.png"), 404),
        ("a broken path", server.get("/models/%ff"), 400),
        ("another method", server.get("/images/edits"), 405),
        ("another method", server.http.delete(at("/models")), 405),
        ("no type", draw().body("{}"), 400),
        ("another type", typed("text/plain", "{}"), 400),
        ("no JSON", typed("application/json", "{\"prompt\""), 400),
        ("no object", typed("application/json", "[]"), 400),
        ("nothing", typed("application/json", ""), 400),
        ("no boundary", typed("multipart/form-data", "x"), 400),
        ("a broken form", typed("multipart/form-data; boundary=x", "--x\r\n"), 400),
        ("a large body", typed("application/json", &large), 413),
        ("a large form", typed("multipart/form-data; boundary=x", &large), 413),
    ];
    for (case, request, expected) in cases {
        let (status, error) = error(request.send().await.unwrap()).await;
        assert_eq!(status, expected, "{case}: {error}");
        assert!(!error["message"].as_str().unwrap().is_empty());
    }
    let unknown = json!({ "prompt": "a", "model": "dall-e-3" });
    let (status, error) =
        error(server.post("/images/generations", &unknown).send().await.unwrap()).await;
    assert_eq!(
        (status, &error["code"], &error["param"]),
        (404, &json!("model_not_found"), &json!("model"))
    );
    assert!(error["message"].as_str().unwrap().contains("imagerag, imagerag-draft"), "{error}");
}

#[tokio::test]
async fn a_route_names_the_models_that_it_has() {
    let server = Server::fake(&["--alias", "dall-e-3"]);
    for (path, model, known) in [
        ("/images/generations", "imagerag-embed", "imagerag, imagerag-draft, dall-e-3"),
        ("/embeddings", "imagerag", "imagerag-embed"),
    ] {
        let body = json!({ "prompt": "a", "input": "a", "model": model });
        let (status, error) = error(server.post(path, &body).send().await.unwrap()).await;
        let expected = format!("model: expected one of {known}, found `{model}`");
        assert_eq!((status, &error["message"]), (404, &json!(expected)));
    }
}

#[tokio::test]
async fn errors_name_the_field_that_was_sent_and_what_was_found() {
    let server = Server::fake(&["--keep", "2"]);
    let post = |body: &Value| server.post("/images/generations", body);
    // Two names of one thing may say the same.
    let twice = json!({ "prompt": "a", "num_inference_steps": 4, "steps": "4", "size": "16x32",
        "width": 16, "height": 32, "guidance_scale": 2.0, "cfg_scale": 2 });
    assert_eq!(server.ask("/images/generations", &twice).await["size"], "16x32");
    let kept = json!({ "prompt": "a", "n": 3, "response_format": "url" });
    let form = |form: Form| server.form("/images/edits", &form);
    let untyped = server.http.post(format!("{}/images/generations", server.address)).body("{}");
    let cases = [
        (post(&kept), "n", "at most 2 images by url"),
        (untyped, "Content-Type", "found none"),
        (form(Form::default().file("prompt", b"a cat")), "image", "at least one picture"),
        (
            form(Form::default().file("prompt", b"a cat").file("image", &[0xff])),
            "prompt",
            "prompt: expected a text, found a file",
        ),
        (
            form(Form::default().text("prompt", "a").file("n", b"1").file("image", &[0xff])),
            "n",
            "found a file",
        ),
    ];
    for (request, param, message) in cases {
        let (status, error) = error(request.send().await.unwrap()).await;
        assert_eq!((status, &error["param"]), (400, &json!(param)), "{error}");
        assert!(error["message"].as_str().unwrap().contains(message), "{error}");
    }
    // What is no field of anything is listed, and the list has a bound.
    let mut body = json!({ "prompt": "a", "x".repeat(1_000): 1 });
    for n in 0..1_000 {
        body[format!("field {n}")] = n.into();
    }
    let reply = server.ask("/images/generations", &body).await;
    let ignored = reply["ignored"].as_array().unwrap();
    assert_eq!((ignored.len(), ignored.last().unwrap()), (33, &json!("and 969 more")));
    assert!(ignored.iter().all(|name| name.as_str().unwrap().chars().count() < 80));
}

#[tokio::test]
async fn a_missing_key_and_a_wrong_one_are_told_apart() {
    let server = Server::fake(&["--api-key", "secret-key"]);
    let get = || server.get("/models");
    for (request, found) in [
        (get(), "found no such header"),
        (get().header("authorization", "Bearer "), "found no key"),
        (get().header("authorization", "Bearer"), "found no key"),
        (get().bearer_auth("secret"), "found another key"),
        (get().basic_auth("secret-key", None::<&str>), "found another scheme"),
    ] {
        let (status, error) = error(request.send().await.unwrap()).await;
        let message = error["message"].as_str().unwrap();
        assert!(status == 401 && message.contains(found), "{message}");
        assert!(message.contains("--api-key") && message.contains("IMAGERAG_API_KEY"), "{message}");
    }
}

#[tokio::test]
async fn a_key_is_needed_where_there_is_one() {
    let server = Server::fake(&["--api-key", "secret-key"]);
    let body = json!({ "prompt": "a quetzal", "response_format": "url" });
    let draw = || server.post("/images/generations", &body);
    for request in [
        draw(),
        draw().bearer_auth("secret-kez"),
        draw().bearer_auth("secret"),
        draw().basic_auth("secret-key", None::<&str>),
        server.get("/models"),
        server.http.post(format!("{}/images/edits", server.address)).body("x".repeat(5 << 20)),
    ] {
        let reply = request.send().await.unwrap();
        assert_eq!(reply.headers()["www-authenticate"], "Bearer");
        let (status, error) = error(reply).await;
        assert_eq!((status, &error["code"]), (401, &json!("invalid_api_key")));
        assert!(!error.to_string().contains("secret"));
    }
    let reply = super::server::json(draw().bearer_auth("secret-key")).await;
    // Links are for browsers, which have no key.
    for link in [&reply["data"][0]["url"], &reply["trace"]] {
        assert_eq!(server.http.get(link.as_str().unwrap()).send().await.unwrap().status(), 200);
    }
    assert_eq!(server.get("/health").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn web_pages_may_use_it_where_that_is_said() {
    let body = json!({ "prompt": "a quetzal" });
    let allowed = |headers: &reqwest::header::HeaderMap| {
        headers.get("access-control-allow-origin").map(|origin| origin.to_str().unwrap().to_owned())
    };
    for (options, expected) in [
        (&[][..], None),
        (&["--cors", "*"], Some("*")),
        (&["--cors", "https://a.example", "--api-key", "k"], Some("https://a.example")),
    ] {
        let server = Server::fake(options);
        let request = server.post("/images/generations", &body).bearer_auth("k");
        let reply = request.header("origin", "https://a.example").send().await.unwrap();
        assert_eq!(allowed(reply.headers()).as_deref(), expected, "{options:?}");
        // Browsers ask first, without the key.
        let url = format!("{}/images/generations", server.address);
        let asked = server.http.request(reqwest::Method::OPTIONS, url);
        let asked = asked.header("origin", "https://a.example");
        let asked = asked.header("access-control-request-method", "POST").send().await.unwrap();
        // The asterisk alone does not cover the header of the key.
        let headers = asked.headers().get("access-control-allow-headers");
        let headers = headers.map(|headers| headers.to_str().unwrap().to_ascii_lowercase());
        let names = headers.iter().flat_map(|headers| headers.split(',').map(str::trim));
        assert_eq!(
            names.filter(|name| ["authorization", "*"].contains(name)).count(),
            expected.map_or(0, |_| 2)
        );
        assert_eq!(allowed(asked.headers()).as_deref(), expected, "{options:?}");
        assert_eq!(asked.status().is_success(), expected.is_some());
    }
}
