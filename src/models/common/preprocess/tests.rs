//! Pixels against what transformers and Pillow recorded.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::*;
use crate::models::common::fields::Fields;
use crate::models::common::golden::{fixture, picture, recorded};
use crate::models::common::json::read_json;

fn parse(json: &Value, side: usize) -> Result<Preprocessor> {
    let path = Path::new("preprocessor_config.json");
    let settings = Fields::parse(path, &json.to_string())?.without_nulls();
    Preprocessor::read(&settings, Input::Only(side, side), Family::Clip)
}

#[test]
fn every_filter_and_setting_equals_pillow() {
    #[derive(Deserialize)]
    struct Recorded {
        settings: Vec<Value>,
        cases: Vec<(usize, usize)>,
    }
    let pictures = fixture("clip/pictures.safetensors");
    let Recorded { settings, cases } = read_json(&fixture("clip/pictures.json")).unwrap();
    assert!(cases.len() > 80);
    for (setting, number) in cases {
        let preprocessor = parse(&settings[setting], 12).unwrap();
        let image = picture(&pictures, &format!("picture.{number}"));
        let expected = recorded(&pictures, &format!("pixels.{setting}.{number}"));
        // A prepared picture, and one that is prepared twice, gives the same tensor.
        let once = preprocessor.preprocess(&image);
        for image in [preprocessor.preprocess(&once), once, image] {
            let found = preprocessor.forward(&[image]).squeeze_dim(0);
            assert_eq!(found.size(), expected.size());
            let wrong = (&found - &expected).abs().gt(1e-6).sum(Kind::Int64).int64_value(&[]);
            assert_eq!(wrong, 0, "{} on {number}", settings[setting]);
        }
    }
}

#[test]
fn a_thread_of_a_picture_stays_within_memory() {
    // Resized whole, this would be 224 x 3,670,016 pixels.
    let image = Image::new(16_384, 1, vec![7; 3 * 16_384]).unwrap();
    let prepared = Preprocessor::official(Input::Only(224, 224), Family::Clip).preprocess(&image);
    assert_eq!((prepared.width(), prepared.height()), (224, 224));
    let pixels = Preprocessor::official(Input::Only(224, 224), Family::Clip).forward(&[image]);
    assert_eq!(pixels.size(), [1, 3, 224, 224]);
    assert!(pixels.isfinite().all().int64_value(&[]) == 1);
}

#[test]
fn half_a_pixel_beside_the_middle_is_rounded_as_each_program_does() {
    // The value of each pixel is its column; the shorter side has its size already.
    let columns = |preprocessor: &Preprocessor, width: u8| {
        let pixels = (0..4).flat_map(|_| (0..width).flat_map(|x| [x; 3])).collect::<Vec<_>>();
        let image = Image::new(u32::from(width), 4, pixels).unwrap();
        preprocessor.preprocess(&image).pixels()[0]
    };
    let official = Preprocessor::official(Input::Only(4, 4), Family::Clip);
    let file = parse(&serde_json::json!({}), 4).unwrap();
    // `int(round((width - 4) / 2))` of torchvision, `(width - 4) // 2` of transformers.
    for (width, even, down) in [(4, 0, 0), (5, 0, 0), (6, 1, 1), (7, 2, 1), (9, 2, 2), (11, 4, 3)] {
        assert_eq!((columns(&official, width), columns(&file, width)), (even, down), "{width}");
    }
}

#[test]
fn a_folder_without_settings_has_clips_own() {
    let clip = Preprocessor::open(Path::new("/no/such/folder"), 28, Family::Clip).unwrap();
    assert_eq!(clip.resize, Some((Size::Shortest(28), Filter::Bicubic)));
    assert_eq!(clip.crop, Some((28, 28)));
    // Black in OpenAI's statistics.
    assert!((clip.values[0][0] + 1.792_262_7).abs() < 1e-6);
    assert_eq!(clip.values[0], parse(&serde_json::json!({}), 28).unwrap().values[0]);
}

#[test]
fn settings_that_make_no_sense_are_errors_that_name_them() {
    for (json, named) in [
        (serde_json::json!({"resample": 6}), "resample"),
        (serde_json::json!({"size": 0}), "size"),
        (serde_json::json!({"size": "big"}), "size"),
        (serde_json::json!({"size": {"shortest_edge": 16, "longest_edge": 20}}), "longest_edge"),
        (serde_json::json!({"size": 4_000_000_000_u64}), "size"),
        (serde_json::json!({"crop_size": {"shortest_edge": 16}}), "crop_size"),
        (serde_json::json!({"image_std": [1.0, 0.0, 1.0]}), "image_std"),
        (serde_json::json!({"image_mean": [1.0, 0.0]}), "length"),
        (serde_json::json!({"crop_size": 17}), "17x17"),
        (serde_json::json!({"do_center_crop": false}), "any size"),
    ] {
        let error = parse(&json, 16).unwrap_err().to_string();
        let words = ["preprocessor_config.json", named];
        assert!(words.iter().all(|words| error.contains(words)), "{json}: {error}");
    }
}
