//! The suite of [`Embedder`].

use super::Suite;
use crate::embedder::{Embedder, Embedding};
use crate::testing::solid;

rules! {
    NONE: "no text and no image give no embedding",
    ONE_EACH: "one embedding per text and per image",
    DIM: "every embedding has `dim` values",
    SAME: "the same input gives the same embedding, whatever else is in the batch",
    TEXTS: "texts that differ have embeddings that differ",
    IMAGES: "images that differ have embeddings that differ",
    PREPROCESS: "what `preprocess` returns has the embedding of its image",
}

/// Two embeddings above this cosine similarity are the same.
const SAME_FROM: f32 = 0.999_99;

/// Checks an [`Embedder`] with an empty text, one of 2,000 characters and one that is not in
/// English, and with images of 7 x 3 and 40 x 90 pixels.
///
/// ```
/// use imagerag::testing::{FakeEmbedder, conformance};
///
/// futures::executor::block_on(conformance::embedder(&FakeEmbedder));
/// ```
///
/// # Panics
/// When the embedder breaks a rule, or cannot be reached.
pub async fn embedder(part: &dyn Embedder) {
    let suite = Suite::new("Embedder", part);
    let long = "a very long caption ".repeat(100);
    let texts = ["a red circle", "", "\u{1f980} \u{4e09}", &long];
    let images = [solid(7, 3, [255, 0, 0]), solid(40, 90, [0, 0, 255])];
    let of_texts = suite.answer(part.embed_texts(&texts).await);
    let of_images = suite.answer(part.embed_images(&images).await);
    let none = suite.answer(part.embed_texts(&[]).await).len();
    let none = none + suite.answer(part.embed_images(&[]).await).len();
    suite.count(NONE, "embeddings", 0, none);

    suite.count(ONE_EACH, "embeddings of texts", texts.len(), of_texts.len());
    suite.count(ONE_EACH, "embeddings of images", images.len(), of_images.len());
    for embedding in of_texts.iter().chain(&of_images) {
        suite.count(DIM, "values", part.dim(), embedding.dim());
    }

    let alike = |rule, a: &[Embedding], b: &Embedding| {
        suite.count(ONE_EACH, "embeddings of one input", 1, a.len());
        let similarity = a[0].similarity(b);
        suite.rule(rule, similarity > SAME_FROM, format_args!("a similarity of {similarity}"));
    };
    alike(SAME, &suite.answer(part.embed_texts(&texts[..1]).await), &of_texts[0]);
    alike(SAME, &suite.answer(part.embed_images(&images[1..]).await), &of_images[1]);
    for (image, embedding) in images.iter().zip(&of_images) {
        let prepared = [part.preprocess(image)];
        alike(PREPROCESS, &suite.answer(part.embed_images(&prepared).await), embedding);
    }
    for (rule, a, b) in
        [(TEXTS, &of_texts[0], &of_texts[2]), (IMAGES, &of_images[0], &of_images[1])]
    {
        let similarity = a.similarity(b);
        suite.rule(rule, similarity <= SAME_FROM, format_args!("a similarity of {similarity}"));
    }
}
