//! A CLIP behind a real server against the same checkpoint on libtorch.
//!
//! `tests/fixtures/check_against_infinity.py` starts the server and runs this.

use futures::executor::block_on;
use imagerag::embedder::{
    ClipEmbedder, Embedded, Embedder, EmbeddingApi, RemoteEmbedder, RemoteEmbedderBuilder,
};
use imagerag::models::{DType, Device};
use imagerag::testing::{conformance, solid};
use imagerag::{Error, Image};

const CLIP: &str = "examples/tinyworld/models/clip";

/// Texts of at most 20 tokens: infinity cuts longer ones there, and not at the model's 77, because it
/// asks transformers' config for `max_length`, which is a default for text that is generated.
const TEXTS: [&str; 5] =
    ["a photo of a bird", ".", "Café BLUE, 2 zebras!", "\u{1f980} 三", "a red bird at dawn"];

/// Pictures of every shape, with fine detail.
fn images() -> Vec<Image> {
    let noise = |width: u32, height: u32| {
        let pixels = (0..3 * width * height).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8);
        Image::new(width, height, pixels.collect::<Vec<_>>()).unwrap()
    };
    let mut images = vec![solid(7, 3, [250, 10, 10]), solid(40, 90, [10, 10, 250])];
    images.extend([noise(96, 64), noise(31, 200), noise(32, 32), noise(640, 480)]);
    images
}

fn least(ours: &Embedded, theirs: &Embedded) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    ours.iter().zip(theirs).map(|(a, b)| a.similarity(b)).fold(1.0, f32::min)
}

#[test]
#[ignore = "needs infinity at INFINITY_BASE_URL: tests/fixtures/check_against_infinity.py"]
fn a_clip_behind_infinity_is_the_clip_on_this_machine() {
    let local = ClipEmbedder::load(CLIP, Device::Cpu, DType::F32).unwrap();
    let (texts, images) = (TEXTS, images());
    let (of_texts, of_images) = (
        block_on(local.embed_texts(&texts)).unwrap(),
        block_on(local.embed_images(&images)).unwrap(),
    );
    let remote = |api| RemoteEmbedder::builder("tiny-clip").api(api).api_key("");
    let connect = |builder: RemoteEmbedderBuilder| block_on(builder.connect()).unwrap();
    let exact = || remote(EmbeddingApi::Infinity).png(true).max_image_side(4096);
    for (what, embedder) in [
        ("one at a time", connect(exact().max_batch(1))),
        ("in batches", connect(exact())),
        ("base64", connect(exact().field("encoding_format", "\"base64\""))),
    ] {
        assert_eq!(embedder.dim(), local.dim());
        let found = block_on(embedder.embed_texts(&texts)).unwrap();
        let texts_at_least = least(&found, &of_texts);
        assert!(found.usage.is_some_and(|usage| usage.prompt_tokens > 0));
        let images_at_least = least(&block_on(embedder.embed_images(&images)).unwrap(), &of_images);
        println!("{what}: cosine of texts {texts_at_least}, of images {images_at_least}");
        assert!(texts_at_least > 0.999 && images_at_least > 0.999, "{what}");
    }
    // OpenAI's form, in which infinity takes texts alone.
    let url = std::env::var("INFINITY_BASE_URL").unwrap();
    let plain = connect(remote(EmbeddingApi::OpenAi).base_url(url));
    assert!(least(&block_on(plain.embed_texts(&texts)).unwrap(), &of_texts) > 0.999);
    // As it is by default: JPEG of 512 pixels.
    let usual = connect(remote(EmbeddingApi::Infinity));
    let pictures_at_least = least(&block_on(usual.embed_images(&images)).unwrap(), &of_images);
    println!("JPEG of 512 pixels: cosine of images {pictures_at_least}");
    assert!(pictures_at_least > 0.999);
    block_on(conformance::embedder(&usual));
    // What the server says of what it cannot take.
    let wrong = remote(EmbeddingApi::Infinity).field("modality", "\"smell\"");
    let error = block_on(wrong.connect()).unwrap_err();
    println!("{error}");
    assert!(matches!(error, Error::Service { status: 422, .. }), "{error}");
}
