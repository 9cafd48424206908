//! Cosines of real towers against transformers', and what pictures have that cannot be embedded.

use futures::executor::block_on;

use super::*;
use crate::embedder::Embedded;
use crate::evaluation::dataset::Class;
use crate::testing::{FakeEmbedder, solid};

fn red(prompt: &str) -> Subject {
    Subject::new(solid(8, 8, [200, 0, 0]), prompt)
}

fn outcomes(metric: &TextSimilarity, subjects: &[Subject]) -> Vec<Outcome> {
    block_on(metric.score(subjects)).unwrap().into_iter().map(|score| score.outcome).collect()
}

fn values(metric: &TextSimilarity, subjects: &[Subject]) -> Vec<f64> {
    let value = |outcome| match outcome {
        Outcome::Value(value) => value,
        other => panic!("{other:?}"),
    };
    outcomes(metric, subjects).into_iter().map(value).collect()
}

#[test]
fn formulas_make_three_numbers_of_one_cosine() {
    let subjects = [red("a red car"), red("a blue car")];
    let cosines = values(&TextSimilarity::new("CLIP", FakeEmbedder), &subjects);
    assert!(cosines[0] > 0.999 && (0.0..0.1).contains(&cosines[1]), "{cosines:?}");
    let scores = values(&TextSimilarity::clip_score(FakeEmbedder), &subjects);
    let percent = values(&TextSimilarity::percent(FakeEmbedder), &subjects);
    for (at, cosine) in cosines.iter().enumerate() {
        assert!((scores[at] - 2.5 * cosine).abs() < 1e-12, "{scores:?}");
        assert!((percent[at] - 100.0 * cosine).abs() < 1e-12, "{percent:?}");
    }
}

#[test]
fn the_text_is_the_prompt_or_the_class_with_its_prefix() {
    let metric = TextSimilarity::new("CLIP-T", FakeEmbedder);
    let class = Arc::new(Class::new("1", "red"));
    let named = red("a blue car").with_class(class);
    let by_class = metric.clone().with_text(ComparedText::ClassName);
    let found = outcomes(&by_class, &[red("a blue car"), named]);
    assert!(matches!(&found[0], Outcome::NotApplicable(why) if why.contains("no class")));
    assert!(matches!(found[1], Outcome::Value(value) if value > 0.999));
    let prefixed = metric.with_prefix("a red ");
    assert!(values(&prefixed, &[red("car")])[0] > 0.999);
    assert!(outcomes(&prefixed, &[]).is_empty());
}

#[test]
fn the_fingerprint_says_which_number_it_is() {
    let formula = |metric: TextSimilarity| metric.fingerprint().formula;
    let clip = || TextSimilarity::new("CLIP", FakeEmbedder);
    assert_eq!(formula(clip()), "cosine(picture, prompt)");
    assert_eq!(
        formula(TextSimilarity::clip_score(FakeEmbedder)),
        "2.5 max(cosine(picture, \"A photo depicts \" + prompt), 0)"
    );
    let percent = TextSimilarity::percent(FakeEmbedder).with_text(ComparedText::ClassName);
    assert_eq!(formula(percent), "100 cosine(picture, class name)");
    assert_ne!(clip().with_weights("a").fingerprint(), clip().with_weights("b").fingerprint());
    // What a table shows does not change the number.
    let other = TextSimilarity::new("CLIP-T", FakeEmbedder).with_decimals(2);
    assert_eq!(other.fingerprint(), clip().fingerprint());
}

#[test]
fn every_setting_is_in_the_fingerprint() {
    let clip = || TextSimilarity::new("CLIP", FakeEmbedder);
    let metrics = [
        clip(),
        TextSimilarity::new("CLIP", Picky),
        clip().with_formula(TextFormula::ClipScore),
        clip().with_formula(TextFormula::Percent),
        clip().with_text(ComparedText::ClassName),
        clip().with_prefix("a "),
        clip().with_prefix("a"),
        clip().with_weights("abc"),
        clip().with_preprocessing("f16"),
    ];
    let keys: std::collections::BTreeSet<String> =
        metrics.iter().map(|metric| metric.fingerprint().key()).collect();
    assert_eq!(keys.len(), metrics.len());
}

#[cfg(feature = "openai")]
#[test]
fn the_settings_of_a_remote_embedder_are_in_the_fingerprint() {
    use crate::embedder::RemoteEmbedder;
    let model = |field: &str| {
        let builder = RemoteEmbedder::builder("jina").base_url("http://localhost:1/v1").dim(3);
        let embedder = builder.field("task", field).build().unwrap();
        TextSimilarity::new("CLIP", embedder).fingerprint()
    };
    assert_ne!(model("\"query\"").key(), model("\"document\"").key());
}

/// Refuses some texts and images, as services do.
#[derive(Debug)]
struct Picky;

impl fmt::Display for Picky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Picky")
    }
}

#[async_trait]
impl Embedder for Picky {
    fn dim(&self) -> usize {
        3
    }

    async fn embed_texts(&self, texts: &[&str]) -> Result<Embedded> {
        match texts.iter().find(|text| text.contains("bad")) {
            Some(_) => Err(Error::refused("Picky", "bad words")),
            None => FakeEmbedder.embed_texts(texts).await,
        }
    }

    async fn embed_images(&self, images: &[Image]) -> Result<Embedded> {
        FakeEmbedder.embed_images(images).await
    }

    async fn embed_images_partly(&self, images: &[Image]) -> PartlyEmbedded {
        let mut found = PartlyEmbedded::failed(images.len(), Error::Cancelled);
        found.error = None;
        for (at, image) in images.iter().enumerate() {
            match image.width() {
                13 => found.refused.push((at, Error::refused("Picky", "13 is unlucky"))),
                99 => found.error = Some(Error::service("Picky", 503, "later")),
                _ => found.embeddings[at] = FakeEmbedder.embed_image(image).await.ok(),
            }
        }
        found
    }
}

#[test]
fn what_cannot_be_embedded_keeps_no_other_from_its_number() {
    let wide = |width| Subject::new(solid(width, 4, [200, 0, 0]), "a red car");
    let metric = TextSimilarity::new("CLIP", Picky);
    let found = outcomes(&metric, &[red("a red car"), wide(13), red("a bad car"), wide(99)]);
    assert!(matches!(found[0], Outcome::Value(value) if value > 0.999), "{found:?}");
    assert!(matches!(&found[1], Outcome::Refused(why) if why.contains("unlucky")), "{found:?}");
    assert!(matches!(&found[2], Outcome::Refused(why) if why.contains("bad words")), "{found:?}");
    assert!(matches!(&found[3], Outcome::Failed(why) if why.contains("503")), "{found:?}");
    // Where nothing can be embedded, the service is down.
    let error = block_on(metric.score(&[wide(99)])).unwrap_err();
    assert!(matches!(error, Error::Service { status: 503, .. }), "{error}");
}

#[cfg(feature = "tch")]
mod towers {
    use super::*;
    use crate::embedder::{ClipEmbedder, ImageEmbedder, SiglipEmbedder};
    use crate::evaluation::dataset::RealImage;
    use crate::evaluation::metric::{ImageSimilarity, Reduction, diversity};
    use crate::models::common::golden::{dtype, fixture, pictures, place, tolerance};
    use serde_json::Value;

    /// Cosines, scores and reductions of `embedder` as `make_metrics.py` recorded them.
    fn assert_recorded(name: &str, embedder: impl Embedder) {
        let recorded = std::fs::read(fixture("metrics.json")).unwrap();
        let recorded: Value = serde_json::from_slice(&recorded).unwrap();
        let prompts: Vec<String> = serde_json::from_value(recorded["prompts"].clone()).unwrap();
        let expected = &recorded[name];
        let pictures = pictures(&fixture(&format!("{name}/model")));
        let embedder = Arc::new(embedder);
        let close = |what: &str, found: f64, expected: &Value, scale: f64| {
            let expected = expected.as_f64().unwrap();
            let allowed = tolerance(1e-5) * scale;
            assert!((found - expected).abs() < allowed, "{name} {what}: {found} {expected}");
        };
        for (what, metric, scale) in [
            ("cosine", TextSimilarity::new("a", Arc::clone(&embedder)), 1.0),
            ("clip_score", TextSimilarity::clip_score(Arc::clone(&embedder)), 2.5),
            ("percent", TextSimilarity::percent(Arc::clone(&embedder)), 100.0),
        ] {
            for (row, prompt) in prompts.iter().enumerate() {
                let subjects = pictures.clone().map(|picture| Subject::new(picture, prompt));
                for (column, found) in values(&metric, &subjects).into_iter().enumerate() {
                    close(what, found, &expected[what][row][column], scale);
                }
            }
        }
        let images = Arc::clone(&embedder) as Arc<dyn ImageEmbedder>;
        let real = |at: usize| RealImage::new(at.to_string(), pictures[at].clone().into());
        for (what, reduction) in
            [("mean", Reduction::Mean), ("max", Reduction::Max), ("centroid", Reduction::Centroid)]
        {
            let metric =
                ImageSimilarity::new("CLIP-I", Arc::clone(&images)).with_reduction(reduction);
            let subject =
                Subject::new(pictures[0].clone(), "").with_real_images([real(1), real(2)]);
            let score = block_on(metric.score(&[subject])).unwrap().remove(0);
            let Outcome::Value(found) = score.outcome else { panic!("{score:?}") };
            close(what, found, &expected[what], 1.0);
        }
        let found = block_on(diversity(&*images, &pictures)).unwrap();
        close("diversity", found, &expected["diversity"], 1.0);
    }

    #[test]
    fn numbers_are_those_of_transformers_also_beyond_the_longest_text() {
        let load = ClipEmbedder::load(fixture("clip/model"), place(), dtype());
        assert_recorded("clip", load.unwrap());
        let load = SiglipEmbedder::load(fixture("siglip/model"), place(), dtype());
        assert_recorded("siglip", load.unwrap());
    }
}
