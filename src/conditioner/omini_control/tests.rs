//! Pictures, settings and prompts of OminiControl; see tests/fixtures/make_omini.py.

use futures::executor::block_on;

use super::*;
use crate::models::common::golden::fixture;
use crate::reference::{Caption, Provenance, Reference, Source};

fn reference(image: Image) -> Reference {
    Reference {
        picture: image.into(),
        caption: Caption::new("a photo of a quetzal", "a quetzal"),
        provenance: Provenance::new(Source::Caller(0), "test", 1.0, 0),
    }
}

fn condition(adapter: &OminiControl, image: Image) -> (String, ConditionImage) {
    let conditioned =
        block_on(adapter.condition(&ConditionRequest::new("a zoo", [reference(image)]))).unwrap();
    match conditioned.conditioning {
        Conditioning::Condition(condition) => (conditioned.prompt, condition),
        other => panic!("{other:?}"),
    }
}

#[test]
fn known_adapters_stand_where_they_were_trained() {
    let image = Image::open(fixture("sdxl/reference_0.png")).unwrap();
    for (adapter, size, delta) in [
        ("omini/subject_512.safetensors", 512, (0, 32)),
        ("subject_1024_beta", 512, (0, -32)),
        ("mine", 256, (0, -16)),
    ] {
        let built = OminiControl::builder(adapter).condition_size(size).build().unwrap();
        let (prompt, condition) = condition(&built, image.clone());
        assert_eq!(condition.position_delta, delta, "{adapter}");
        assert_eq!((condition.image.width(), condition.image.height()), (size, size));
        assert_eq!((condition.strength, condition.latents), (1.0, ConditionLatents::Sample));
        assert_eq!(prompt, "According to these examples of a photo of a quetzal, generate a zoo");
    }
}

#[test]
fn pictures_are_cut_and_resized_as_pillow_does_it() {
    for name in ["wide", "high"] {
        let image = Image::open(fixture(&format!("omini/{name}.png"))).unwrap();
        for (fit, way) in [(ConditionFit::Crop, "crop"), (ConditionFit::Stretch, "stretch")] {
            let built = OminiControl::builder("subject").condition_size(32).fit(fit);
            let (_, condition) = condition(&built.build().unwrap(), image.clone());
            let expected = Image::open(fixture(&format!("omini/{name}_{way}.png"))).unwrap();
            assert_eq!(condition.image, expected, "{name}, {way}");
        }
    }
}

#[test]
fn settings_out_of_range_are_named() {
    let builder = || OminiControl::builder("subject_512");
    let small = builder().condition_size(24).pixels_per_token(8).build().unwrap();
    let (_, condition) = condition(&small, Image::open(fixture("omini/wide.png")).unwrap());
    assert_eq!((condition.image.width(), condition.pixels_per_token), (24, 8));
    let words = "capacity of OminiControl(subject_512): expected 1, for the adapters read one \
                 subject and mix several, found 2";
    for (builder, words) in [
        (builder().capacity(2), words),
        (builder().capacity(0), "found 0"),
        (builder().condition_size(500), "condition size: expected a multiple of 16"),
        (builder().condition_size(0), "condition size"),
        (builder().pixels_per_token(0), "pixels of a token"),
        (builder().pixels_per_token(24), "condition size"),
        (builder().condition_size(8192), "condition size"),
        (builder().strength(-1.0), "strength of the condition"),
        (builder().position_scale(f64::NAN), "position scale"),
        (builder().position_delta(0, 100_000), "position delta"),
    ] {
        let error = builder.build().unwrap_err().to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
}

#[test]
fn the_item_may_be_named() {
    let image = Image::open(fixture("omini/wide.png")).unwrap();
    let built = OminiControl::builder("subject_512").template(PromptTemplate::ThisItem);
    let (prompt, _) = condition(&built.build().unwrap(), image);
    assert_eq!(prompt, "This item is a quetzal. a zoo");
}

#[test]
fn the_template_may_be_ones_own() {
    let image = Image::open(fixture("omini/wide.png")).unwrap();
    let with = |template: &str| {
        OminiControl::builder("subject_512").template(PromptTemplate::Custom(template.into()))
    };
    let built = with("Das ist {examples}. {prompt}").build().unwrap();
    let (prompt, _) = condition(&built, image);
    assert_eq!(prompt, "Das ist a photo of a quetzal. a zoo");
    let error = with("{prompt}").build().unwrap_err().to_string();
    assert!(error.contains("a text with {examples}"), "{error}");
}

#[cfg(feature = "testing")]
#[test]
fn keeps_the_contract_of_every_conditioner() {
    block_on(crate::testing::conformance::conditioner(&OminiControl::new("subject_512")));
}
