//! `POST /v1/images/generations`.

use imagerag::generator::{GenerateRequest, GeneratorExt};
use imagerag::testing::FakeGenerator;
use serde_json::{Value, json};

use super::server::{Server, image, json};

const PATH: &str = "/images/generations";

#[tokio::test]
async fn an_image_has_the_size_that_was_asked_for_and_says_what_drew_it() {
    let server = Server::fake(&[]);
    let body = json!({ "prompt": "a quetzal at dawn", "size": "48x32", "seed": 7 });
    let reply = server.ask(PATH, &body).await;
    let drawn = image(&reply, 0);
    assert_eq!((drawn.width(), drawn.height()), (48, 32));
    assert_eq!((&reply["size"], &reply["output_format"]), (&json!("48x32"), &json!("png")));
    assert!(reply["created"].as_u64().unwrap() > 1_700_000_000);
    let one = &reply["data"][0];
    let prompt = "According to these examples of a quetzal on a branch: \
                  <img><|image_1|></img>, generate a quetzal at dawn";
    assert_eq!((&one["revised_prompt"], &one["seed"]), (&json!(prompt), &json!(7)));
    assert!(one["trace"].is_string() && one["trace"] == reply["trace"]);
    for name in ["input_tokens", "output_tokens", "total_tokens"] {
        assert_eq!(reply["usage"][name], 0);
    }
    assert_eq!(reply["usage"]["images"], 2, "a draft and an image");
}

#[tokio::test]
async fn the_model_says_whether_the_loop_runs() {
    let server = Server::fake(&["--alias", "dall-e-3"]);
    let body = |model: &str| json!({ "prompt": "a quetzal", "seed": 7, "model": model });
    let draft = server.ask(PATH, &body("imagerag-draft")).await;
    let request = GenerateRequest::new("a quetzal").with_seed(7).with_steps(4);
    let expected = FakeGenerator::new().generate_one(&request).await.unwrap().image;
    assert_eq!(image(&draft, 0), expected);
    assert!(draft.get("trace").is_none() && draft["data"][0].get("revised_prompt").is_none());
    let looped = server.ask(PATH, &body("imagerag")).await;
    assert_ne!(image(&looped, 0), expected);
    for model in ["dall-e-3", ""] {
        assert_eq!(image(&server.ask(PATH, &body(model)).await, 0), image(&looped, 0));
    }
    // What the draft shows already is not looked for.
    let known = json!({ "prompt": "a known bird", "seed": 7 });
    let reply = server.ask(PATH, &known).await;
    assert!(reply["data"][0].get("revised_prompt").is_none(), "{reply}");
    assert_eq!(reply["usage"]["images"], 1);
}

#[tokio::test]
async fn several_images_have_the_next_seeds() {
    let server = Server::fake(&[]);
    for model in ["imagerag", "imagerag-draft"] {
        let body = |n, seed| json!({ "prompt": "a quetzal", "n": n, "seed": seed, "model": model });
        let three = server.ask(PATH, &body(3, 5)).await;
        let seeds: Vec<&Value> = (0..3).map(|n| &three["data"][n]["seed"]).collect();
        assert_eq!(seeds, [5, 6, 7]);
        for n in 0..3 {
            let one = server.ask(PATH, &body(1, 5 + n as u64)).await;
            assert_eq!(image(&three, n), image(&one, 0), "{model} {n}");
        }
    }
    let drawn = |reply: &Value| reply["data"][0]["seed"].as_u64().unwrap();
    let any = json!({ "prompt": "a quetzal", "seed": -1 });
    let (one, other) =
        (server.ask(PATH, &any).await, server.ask(PATH, &json!({ "prompt": "a" })).await);
    assert_ne!(drawn(&one), drawn(&other), "nobody has chosen one");
}

#[tokio::test]
async fn files_are_of_the_format_that_was_asked_for_and_are_kept_for_a_while() {
    let server = Server::fake(&["--keep", "2"]);
    let formats = [("png", &b"\x89PNG"[..]), ("jpeg", b"\xff\xd8\xff"), ("webp", b"RIFF")];
    let mut urls = Vec::new();
    for (format, start) in formats {
        let body = json!({ "prompt": "a quetzal", "output_format": format, "size": "16x8",
            "output_compression": 80, "response_format": "url" });
        let reply = server.ask(PATH, &body).await;
        assert!(reply["data"][0].get("b64_json").is_none() && reply["output_format"] == format);
        let url = reply["data"][0]["url"].as_str().unwrap().to_owned();
        assert!(url.starts_with(&server.address) && url.ends_with(format), "{url}");
        let file = server.http.get(&url).send().await.unwrap();
        assert_eq!(file.headers()["content-type"], format!("image/{format}"));
        let bytes = file.bytes().await.unwrap();
        assert!(bytes.starts_with(start), "{format}");
        let drawn = imagerag::Image::decode(&bytes).unwrap();
        assert_eq!((drawn.width(), drawn.height()), (16, 8));
        urls.push(url);
    }
    // Two are kept.
    assert_eq!(server.http.get(&urls[0]).send().await.unwrap().status(), 404);
    assert_eq!(server.http.get(&urls[1]).send().await.unwrap().status(), 200);
    let elsewhere = json!({ "prompt": "a", "response_format": "url" });
    let server = Server::fake(&["--public-url", "https://draw.example/base/"]);
    let reply = server.ask(PATH, &elsewhere).await;
    let url = reply["data"][0]["url"].as_str().unwrap();
    assert!(url.starts_with("https://draw.example/base/v1/files/"), "{url}");
}

/// As chat surfaces send them: nulls, empty texts, numbers as text, what has no meaning here.
#[tokio::test]
async fn requests_are_read_as_clients_write_them() {
    let server = Server::fake(&[]);
    let plain = json!({ "prompt": "a quetzal", "seed": 3, "num_inference_steps": 2,
        "negative_prompt": "blur", "guidance_scale": 2.5, "size": "16x16" });
    let expected = image(&server.ask(PATH, &plain).await, 0);
    let others = [
        json!({ "prompt": "a quetzal", "seed": "3", "steps": 2.0, "negative_prompt": "blur",
            "cfg_scale": "2.5", "size": "16X16", "n": "1", "model": null, "quality": "hd",
            "style": "vivid", "moderation": "low", "background": "auto", "user": "someone",
            "stream": "false", "response_format": "b64_json" }),
        json!({ "prompt": "a quetzal", "seed": 3, "steps": 2, "width": 16, "height": 16,
            "size": "", "output_format": null, "safety_identifier": "x", "true_cfg_scale": 4 }),
    ];
    for body in &others {
        let reply = server.ask(PATH, body).await;
        assert_eq!(image(&reply, 0), expected, "{body}");
        let ignored = body.get("true_cfg_scale").map(|_| json!(["true_cfg_scale"]));
        assert_eq!(reply.get("ignored"), ignored.as_ref(), "{body}");
    }
    // A byte order mark, a charset, and no `/v1`.
    let text = format!("\u{feff}{plain}");
    let bare = server.address.trim_end_matches("/v1");
    let request = server.http.post(format!("{bare}{PATH}")).body(text);
    let reply = json(request.header("content-type", "application/json; charset=utf-8")).await;
    assert_eq!(image(&reply, 0), expected);
}

#[tokio::test]
async fn what_the_generator_says_of_an_image_is_in_the_reply() {
    let server = Server::fake(&[]);
    for model in ["imagerag", "imagerag-draft"] {
        let ask =
            async |prompt| server.ask(PATH, &json!({ "prompt": prompt, "model": model })).await;
        assert_eq!(ask("a [note]").await["data"][0]["note"], "told to note", "{model}");
        assert!(ask("a quetzal").await["data"][0].get("note").is_none(), "{model}");
    }
}
