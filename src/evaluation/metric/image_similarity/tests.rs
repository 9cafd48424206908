//! Real images on disk, some of them broken, to scores that numpy would give.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::executor::block_on;

use super::*;
use crate::Error;
use crate::evaluation::dataset::{Class, RealImage};
use crate::evaluation::metric::picture_hash;
use crate::reference::Picture;
use crate::testing::solid;

/// Embeds a picture as its first pixel, and counts.
#[derive(Debug, Default)]
struct FirstPixel(AtomicUsize);

impl fmt::Display for FirstPixel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FirstPixel")
    }
}

#[async_trait]
impl ImageEmbedder for FirstPixel {
    async fn image_embeddings(&self, images: &[Image]) -> Result<Vec<Embedding>> {
        if images.iter().any(|image| image.width() == 13) {
            return Err(Error::refused("FirstPixel", "13 is unlucky"));
        }
        self.0.fetch_add(images.len(), Ordering::Relaxed);
        let embed =
            |image: &Image| Embedding::new([0, 1, 2].map(|at| f32::from(image.pixels()[at])));
        images.iter().map(embed).collect()
    }
}

const COLOURS: [[u8; 3]; 3] = [[200, 10, 0], [100, 90, 30], [20, 20, 250]];

fn real() -> Vec<RealImage> {
    let real = |rgb: &[u8; 3]| RealImage::new(format!("{rgb:?}"), solid(4, 4, *rgb).into());
    COLOURS.iter().map(real).collect()
}

fn subject(rgb: [u8; 3]) -> Subject {
    Subject::new(solid(4, 4, rgb), "a car").with_real_images(real())
}

fn score(metric: &ImageSimilarity, subject: Subject) -> Score {
    block_on(metric.score(&[subject])).unwrap().remove(0)
}

fn value(metric: &ImageSimilarity, subject: Subject) -> f64 {
    match score(metric, subject).outcome {
        Outcome::Value(value) => value,
        other => panic!("{other:?}"),
    }
}

#[test]
fn reductions_are_those_of_numpy() {
    // a = [180, 40, 10]; R = the three colours; u = R / |R|
    // mean(u @ a / |a|), cos(a, mean(u)), max(u @ a / |a|)
    for (reduction, expected) in [
        (Reduction::Mean, 0.664_416_709_2),
        (Reduction::Centroid, 0.863_149_551_2),
        (Reduction::Max, 0.984_355_580_7),
    ] {
        let metric = ImageSimilarity::new("DINO", Arc::new(FirstPixel::default()));
        let found = value(&metric.with_reduction(reduction), subject([180, 40, 10]));
        assert!((found - expected).abs() < 1e-6, "{reduction:?}: {found}");
    }
}

#[test]
fn real_images_are_embedded_once_for_all_systems() {
    let embedder = Arc::new(FirstPixel::default());
    let metric = ImageSimilarity::new("DINO", Arc::clone(&embedder) as Arc<dyn ImageEmbedder>);
    let subjects = [subject([1, 2, 3]), subject([3, 2, 1])];
    let first = block_on(metric.score(&subjects)).unwrap();
    assert_eq!(block_on(metric.score(&subjects)).unwrap(), first);
    // Three real images once, and each of the pictures twice.
    assert_eq!(embedder.0.load(Ordering::Relaxed), 3 + 4);
    let embedder = Arc::new(FirstPixel::default());
    let metric = ImageSimilarity::new("DINO", Arc::clone(&embedder) as Arc<dyn ImageEmbedder>);
    let calls = (0..4).map(|_| metric.score(&subjects));
    let at_once = block_on(futures::future::join_all(calls));
    assert!(at_once.into_iter().all(|scores| scores.unwrap() == first));
    assert_eq!(embedder.0.load(Ordering::Relaxed), 3 + 8, "four calls at once");
    // Another data set may have other images under the same identifiers.
    let other =
        COLOURS.map(|rgb| RealImage::new(format!("{rgb:?}"), solid(4, 4, [9, 9, 9]).into()));
    let same = Subject::new(solid(4, 4, [7, 7, 7]), "grey").with_real_images(other);
    assert!((value(&metric, same) - 1.0).abs() < 1e-9);
}

#[test]
fn what_cannot_be_read_is_counted_and_never_silent() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.jpg");
    std::fs::write(&broken, b"\xff\xd8\xffno picture").unwrap();
    let metric = ImageSimilarity::new("DINO", Arc::new(FirstPixel::default()));
    let whole = value(&metric, subject([180, 40, 10]));

    let mut images = real();
    images.insert(1, RealImage::new("n01/broken.jpg", Picture::file(&broken)));
    images.push(RealImage::new("n01/13.jpg", solid(13, 4, [1, 1, 1]).into()));
    let subject = |images: &[RealImage]| {
        Subject::new(solid(4, 4, [180, 40, 10]), "a car")
            .with_class(Arc::new(Class::new("n01", "car")))
            .with_real_images(images)
    };
    let found = score(&metric, subject(&images));
    assert_eq!(found.outcome, Outcome::Value(whole));
    assert_eq!(found.notes.len(), 1);
    let note = &found.notes[0];
    assert!(
        note.starts_with("2 of 5 real images could not be read, first n01/broken.jpg: "),
        "{note}"
    );

    let Outcome::Failed(reason) = score(&metric, subject(&images[1..2])).outcome else { panic!() };
    assert!(reason.contains("of the class car (n01)"), "{reason}");
    let none = score(&metric, subject(&[])).outcome;
    let Outcome::NotApplicable(reason) = none else { panic!("{none:?}") };
    assert_eq!(reason, "there are no real images of the class car (n01)");
    // The file is mended meanwhile.
    solid(4, 4, [180, 40, 10]).save(folder.path().join("good.png")).unwrap();
    std::fs::rename(folder.path().join("good.png"), &broken).unwrap();
    assert_eq!(score(&metric, subject(&images[..4])).notes, Vec::<String>::new());
}

#[test]
fn a_picture_is_not_compared_with_what_it_was_drawn_from() {
    let metric = ImageSimilarity::new("CLIP-I", Arc::new(FirstPixel::default()));
    let all = subject([200, 10, 0]);
    assert!(value(&metric.with_reduction(Reduction::Max), all.clone()) > 0.999);
    let metric = ImageSimilarity::new("CLIP-I", Arc::new(FirstPixel::default()));
    let copied = all.with_excluded([picture_hash(&solid(4, 4, COLOURS[0]))]);
    let metric = metric.with_reduction(Reduction::Max);
    let found = score(&metric, copied.clone());
    let Outcome::Value(value) = found.outcome else { panic!() };
    assert!(value < 0.9, "{value}");
    assert_eq!(found.notes, ["1 real images left out that it was drawn from"]);
    // Another one takes its place where only some are taken.
    for seed in 0..8 {
        let metric = ImageSimilarity::new("CLIP-I", Arc::new(FirstPixel::default()));
        let found = score(&metric.with_at_most(1, seed), copied.clone());
        assert!(matches!(found.outcome, Outcome::Value(value) if value < 0.9), "{found:?}");
    }
}

#[test]
fn a_choice_is_its_seeds_and_grows() {
    let chosen = |most, seed| -> Vec<f32> {
        let metric = RealImages::new(Arc::new(FirstPixel::default()));
        let images: Vec<RealImage> = (1..=40_u8)
            .map(|n| RealImage::new(format!("{n}.jpg"), solid(4, 4, [n, 100, 0]).into()))
            .collect();
        let subject = Subject::new(solid(4, 4, [1; 3]), "").with_real_images(images);
        let chosen = block_on(metric.chosen(&subject, most, seed, None)).unwrap();
        chosen.embeddings.iter().map(|one| one.values()[0]).collect()
    };
    let five = chosen(5, 1);
    assert_eq!((five.len(), &five), (5, &chosen(5, 1)));
    assert_eq!(five, chosen(9, 1)[..5]);
    assert_ne!(five, chosen(5, 2));
    assert_eq!(chosen(usize::MAX, 1).len(), 40);
}

#[test]
fn the_fingerprint_tells_settings_apart() {
    let dino = || ImageSimilarity::new("DINO", Arc::new(FirstPixel::default()));
    let keys = [
        dino(),
        dino().with_reduction(Reduction::Max),
        dino().with_at_most(5, 0),
        dino().with_at_most(5, 1),
        dino().with_weights("abc"),
        dino().with_preprocessing("official"),
        dino().with_reduction(Reduction::Centroid),
        dino().with_at_most(6, 0),
        dino().with_near_duplicates(None).unwrap(),
        dino().with_near_duplicates(Some(0.979_999_999)).unwrap(),
        ImageSimilarity::new("DINO", Arc::new(crate::testing::FakeEmbedder)),
    ]
    .map(|metric| metric.fingerprint().key());
    let unique: std::collections::BTreeSet<_> = keys.iter().collect();
    assert_eq!(unique.len(), keys.len());
    assert_eq!(dino().with_decimals(2).fingerprint(), dino().fingerprint());
    assert!(dino().needs_real_images());
}

#[test]
fn what_is_all_but_a_reference_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("reference.png");
    // The first colour, scaled and a little off: other pixels, nearly the same embedding.
    solid(9, 9, [199, 11, 0]).save(&file).unwrap();
    let embedder = Arc::new(FirstPixel::default());
    let metric = || {
        let embedder = Arc::clone(&embedder) as Arc<dyn ImageEmbedder>;
        ImageSimilarity::new("CLIP-I", embedder).with_reduction(Reduction::Max)
    };
    let copied = subject([200, 10, 0]).with_references([Picture::file(&file)]);
    let with = metric();
    let found = score(&with, copied.clone());
    assert!(matches!(found.outcome, Outcome::Value(value) if value < 0.9), "{found:?}");
    assert_eq!(found.notes, ["1 real images left out that are all but what it was drawn from"]);
    // Of three real images, a reference and a picture, only the picture is embedded again.
    let before = embedder.0.load(Ordering::Relaxed);
    assert_eq!(score(&with, copied.clone()), found);
    assert_eq!(embedder.0.load(Ordering::Relaxed), before + 1);
    // Another one takes its place where only some are taken.
    for seed in 0..8 {
        let found = score(&metric().with_at_most(1, seed), copied.clone());
        assert!(matches!(found.outcome, Outcome::Value(value) if value < 0.9), "{found:?}");
    }
    let off = score(&metric().with_near_duplicates(None).unwrap(), copied.clone());
    assert!(matches!(off.outcome, Outcome::Value(value) if value > 0.999), "{off:?}");
    assert_eq!(off.notes, Vec::<String>::new());

    // An image of the same class that is another one stays, and a class of copies alone says why.
    let other = subject([200, 10, 0]).with_references([solid(4, 4, [150, 90, 20]).into()]);
    assert_eq!(score(&metric(), other).notes, Vec::<String>::new());
    let copies = copied.clone().with_real_images([real().remove(0)]);
    let Outcome::NotApplicable(reason) = score(&metric(), copies).outcome else { panic!() };
    assert_eq!(reason, "there are no real images but those that it was drawn from");

    let lost = copied.with_references([Picture::file(folder.path().join("gone.png"))]);
    let found = score(&metric(), lost);
    assert!(matches!(found.outcome, Outcome::Value(value) if value > 0.999), "{found:?}");
    assert!(found.notes[0].starts_with("1 references could not be read"), "{:?}", found.notes);
    for wrong in [0.0, 1.1, f64::NAN] {
        let error = metric().with_near_duplicates(Some(wrong)).unwrap_err().to_string();
        assert!(error.contains("above 0 and at most 1"), "{error}");
    }
}

#[test]
fn an_experiment_tells_the_references_that_a_picture_was_drawn_from() {
    use crate::evaluation::dataset::{Dataset, Item};
    use crate::evaluation::experiment::{Experiment, System, SystemOutcome};
    use crate::reference::{Caption, Reference};

    let mut cars = Dataset::new("cars");
    let mut class = Class::new("1", "car");
    class.images = real();
    cars.classes.push(class);
    cars.items.push(Item::new("1", "A photo of a car").of_class("1"));
    let copies = System::function("copies", "1", |_| async {
        let copied = solid(9, 9, [199, 11, 0]);
        let reference = Reference::new(copied.clone(), Caption::concept("a car"));
        let mut drawn = SystemOutcome::from(copied);
        drawn.references.push(reference);
        Ok(drawn)
    });
    let folder = tempfile::tempdir().unwrap();
    let metric = ImageSimilarity::new("CLIP-I", Arc::new(FirstPixel::default()));
    let experiment = Experiment::new(folder.path()).system(copies).dataset(cars).metric(metric);
    block_on(experiment.run(|_| {})).unwrap();
    let scores = experiment.results().unwrap().scores;
    let [score] = &scores[..] else { panic!("{scores:?}") };
    assert!(matches!(score.outcome, Outcome::Value(value) if value < 0.9), "{score:?}");
    assert_eq!(score.notes, ["1 real images left out that are all but what it was drawn from"]);
}
