//! `POST /v1/images/edits`: the client's pictures are references.

use imagerag::Image;
use imagerag::conditioner::Conditioning;
use imagerag::generator::{GenerateRequest, GeneratorExt};
use imagerag::testing::{FakeGenerator, solid};
use serde_json::json;

use super::server::{Form, Server, data_url, error, image, json};

const PATH: &str = "/images/edits";

fn two() -> [Image; 2] {
    [solid(8, 6, [200, 0, 0]), solid(4, 4, [0, 0, 200])]
}

/// What the generator of the fakes draws with `pictures` by itself.
async fn drawn(pictures: &[Image]) -> Image {
    let conditioning = Conditioning::Images(pictures.to_vec());
    // Its prompts name the pictures, and say nothing else than the client's.
    let marks: String =
        (1..=pictures.len()).map(|n| format!("<img><|image_{n}|></img> ")).collect();
    let request = GenerateRequest::new(format!("{marks}a cat")).with_seed(7).with_steps(4);
    let request = request.with_conditioning(conditioning);
    FakeGenerator::new().generate_one(&request).await.unwrap().image
}

#[tokio::test]
async fn pictures_reach_the_generator_in_order_in_whatever_form_they_come() {
    let server = Server::fake(&[]);
    let [red, blue] = two();
    let form = || {
        Form::default().text("prompt", "a cat").text("seed", "7").text("model", "imagerag-draft")
    };
    let json_with = |images| json!({ "prompt": "a cat", "seed": 7, "model": "imagerag-draft", "images": images });
    let (expected, turned) =
        (drawn(&[red.clone(), blue.clone()]).await, drawn(&[blue.clone(), red.clone()]).await);
    assert_ne!(expected, turned);
    for (one, other) in [("image[]", "image[]"), ("image", "image"), ("image[0]", "image[1]")] {
        let both = form().picture(one, &red).picture(other, &blue);
        assert_eq!(image(&json(server.form(PATH, &both)).await, 0), expected, "{one}");
        let both = form().picture(one, &blue).picture(other, &red);
        assert_eq!(image(&json(server.form(PATH, &both)).await, 0), turned, "{one}");
    }
    let urls = form().text("url[]", &data_url(&red)).text("url[]", &data_url(&blue));
    assert_eq!(image(&json(server.form(PATH, &urls)).await, 0), expected);
    let bare = data_url(&blue).split_once(',').unwrap().1.trim_end_matches('=').to_owned();
    let nested = json!([{ "image_url": data_url(&red) }, { "image_url": { "url": bare } }]);
    let texts = json!([data_url(&red), data_url(&blue)]);
    for images in [nested, texts] {
        let reply = server.ask(PATH, &json_with(images)).await;
        assert_eq!(image(&reply, 0), expected);
    }
    // Some clients say nothing of a file but its field.
    let unnamed = form()
        .part("name=\"image[]\"", &red.encode_png().unwrap())
        .part("name=\"image[]\"", &blue.encode_png().unwrap());
    assert_eq!(image(&json(server.form(PATH, &unnamed)).await, 0), expected);
    // One picture alone.
    let one = form().picture("image", &red);
    assert_eq!(image(&json(server.form(PATH, &one)).await, 0), drawn(&[red]).await);
}

#[tokio::test]
async fn the_loop_takes_pictures_as_the_callers_own_and_looks_for_what_is_missing_beside_them() {
    let server = Server::fake(&[]);
    let [red, _] = two();
    let form = Form::default().text("prompt", "<|image_1|> at dawn").picture("image", &red);
    let reply = json(server.form(PATH, &form.clone().text("captions", "my cat"))).await;
    let revised = "According to these examples of a quetzal on a branch: <img><|image_2|></img>, \
                   generate <img><|image_1|></img> at dawn";
    assert_eq!(reply["data"][0]["revised_prompt"], revised);
    let trace = json(server.http.get(reply["trace"].as_str().unwrap())).await;
    let conditioned = trace["stages"].as_array().unwrap().iter();
    let references: Vec<_> = conditioned
        .filter_map(|stage| stage["record"]["conditioned"]["references"].as_array())
        .flatten()
        .map(|hit| (hit["caption"]["concept"].as_str().unwrap(), &hit["provenance"]["source"]))
        .collect();
    let found = json!({ "uri": "a quetzal on a branch" });
    assert_eq!(references.first().unwrap(), &("my cat", &json!({ "caller": 0 })));
    assert_eq!(references.last().unwrap(), &("a quetzal", &found));
    // Without a caption the picture has some words, and it may be the only one.
    assert!(json(server.form(PATH, &form)).await["data"][0]["revised_prompt"].is_string());
}

#[tokio::test]
async fn what_cannot_be_done_with_pictures_is_said() {
    let server = Server::fake(&[]);
    let [red, blue] = two();
    let form = || Form::default().text("prompt", "a cat");
    let with = |count| (0..count).fold(form(), |form, _| form.picture("image[]", &red));
    let draft = |form: Form| form.text("model", "imagerag-draft");
    let cases = [
        ("none", form(), "image", "expected at least one picture"),
        ("mask", with(1).picture("mask", &blue), "mask", "takes no mask"),
        ("too many of all", with(17), "image", "at most 16 pictures, found 17"),
        ("too many for the loop", with(4), "image", "expected at most 3, found 4"),
        ("too many for the generator", draft(with(4)), "image", "expected 1 to 3, found 4"),
        (
            "no picture",
            form().file("image", b"<html>"),
            "image",
            "begins with `<html>` (picture 1)",
        ),
        ("an address", form().text("image", "https://example.org/a.png"), "image", "fetches none"),
        ("a file", form().text("image", "file:///etc/passwd"), "image", "fetches none"),
        (
            "captions",
            with(2).text("captions", "one"),
            "captions",
            "one for each of 2 pictures, found 1",
        ),
        ("a mark", with(1).text("seed", "1").text("prompt", "x"), "prompt", "expected one value"),
        ("no base64", form().text("image", "data:image/png;base64,%%%"), "image", "no base64"),
    ];
    for (case, form, param, message) in cases {
        let (status, error) = error(server.form(PATH, &form).send().await.unwrap()).await;
        assert_eq!((status, &error["param"]), (400, &json!(param)), "{case}: {error}");
        assert!(error["message"].as_str().unwrap().contains(message), "{case}: {error}");
    }
    let ids = json!({ "prompt": "a cat", "images": [{ "file_id": "file-1" }] });
    let (status, error) = error(server.post(PATH, &ids).send().await.unwrap()).await;
    assert!(status == 400 && error["message"].as_str().unwrap().contains("keeps no files"));
}
