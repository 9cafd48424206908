//! Features of whole folders against what transformers, Pillow and torchvision recorded.

use std::fs;
use std::path::{Path, PathBuf};

use futures::executor::block_on;
use serde_json::{Value, json};
use tch::Tensor;

use super::*;
use crate::embedder::{DinoEmbedder, Embedder, open_embedder, open_image_embedder};
use crate::models::common::golden::{
    assert_close, assert_invalid_file, assert_invalid_input, copy, dtype, fixture, pictures, place,
    recorded,
};
use crate::models::common::json::read_json;

const BOTH: [Preprocessing; 2] = [Preprocessing::File, Preprocessing::Official];

fn open(folder: impl AsRef<Path>, preprocessing: Preprocessing) -> Result<ImageFeatures> {
    ImageFeatures::open(folder, place(), dtype(), preprocessing)
}

/// The features of `images` as a tensor.
fn features(model: &ImageFeatures, images: &[Image]) -> Tensor {
    let rows = block_on(model.features(images)).unwrap();
    Tensor::from_slice2(&rows)
}

/// Asserts that the recorded pictures of the fixture `io` have its features `part` in `folder`.
#[track_caller]
fn assert_features(folder: &Path, preprocessing: Preprocessing, io: &str, part: &str) {
    let model = open(folder, preprocessing).unwrap();
    let expected = recorded(&fixture(io).join("io.safetensors"), part);
    let images = pictures(&fixture(io));
    assert_close(&format!("{io} {part}"), &features(&model, &images), &expected, 1e-5);
    // Alone, and as one of more than a batch.
    let alone = features(&model, &images[1..2]);
    assert_close(io, &alone, &expected.narrow(0, 1, 1), 1e-5);
    let many: Vec<Image> = images.into_iter().cycle().take(BATCH + 1).collect();
    let last = features(&model, &many).narrow(0, BATCH as i64, 1);
    assert_close(io, &last, &expected.narrow(0, BATCH as i64 % 3, 1), 1e-5);
}

fn file(name: &str, part: &str) {
    assert_features(&fixture(name), Preprocessing::File, name, part);
}

/// The fixture `name` with `change` made to its `file`, which may be new.
fn changed(name: &str, file: &str, change: impl FnOnce(&mut Value)) -> tempfile::TempDir {
    let folder = copy(&fixture(name));
    let path = folder.path().join(file);
    let mut value = if path.exists() { read_json(&path).unwrap() } else { json!({}) };
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
    folder
}

#[test]
fn dino_has_transformers_features() {
    for name in [
        "dino/vit",
        "dino/vit_classifier",
        "dino/vit_224",
        "dino/dinov2",
        "dino/dinov2_classifier",
        "dino/registers",
        "dino/registers_gated",
    ] {
        file(name, "features");
    }
}

#[test]
fn official_preprocessing_is_that_of_the_authors() {
    for name in ["dino/vit_224", "dino/dinov2", "dino/registers"] {
        assert_features(&fixture(name), Preprocessing::Official, name, "official");
        // It reads no file.
        let folder = copy(&fixture(name));
        fs::remove_file(folder.path().join("preprocessor_config.json")).unwrap();
        assert_features(folder.path(), Preprocessing::Official, name, "official");
    }
    let model = open(fixture("dino/dinov2"), Preprocessing::Official).unwrap();
    let words = "official: shorter side 256, Bicubic; middle 224x224, margin rounded to even; ";
    assert!(model.preprocessing().starts_with(words), "{}", model.preprocessing());
    let model = open(fixture("dino/vit"), Preprocessing::File).unwrap();
    let words = "file: both sides 30x30, Bilinear; times 0.00392156862745098; mean [0.5, 0.5, 0.5]";
    assert!(model.preprocessing().starts_with(words), "{}", model.preprocessing());
}

#[test]
fn clip_and_siglip_have_transformers_features_of_any_length() {
    file("clip/model", "image_features");
    file("siglip/model", "image_features");
    file("siglip/model_2", "image_features");
    // An image tower of its own, with the names of transformers 5 and of older files.
    let tower = changed("siglip/model", "config.json", |config| {
        *config = config["vision_config"].clone();
        config["model_type"] = json!("siglip_vision_model");
    });
    assert_features(tower.path(), Preprocessing::File, "siglip/model", "image_features");
}

#[test]
fn clips_image_towers_have_transformers_features() {
    for (name, part) in
        [("clip/image_encoder", "projected"), ("clip/image_encoder_plain", "pooled")]
    {
        let model = open(fixture(name), Preprocessing::File).unwrap();
        let io = fixture(name).join("io.safetensors");
        let pixels = recorded(&io, "pixels");
        let tower = Architecture::read(&fixture(name)).unwrap();
        let weights = Weights::open(&fixture(name), tch::Device::Cpu, tch::Kind::Float).unwrap();
        let found = (tower.load)(&weights).unwrap()(&pixels).unwrap();
        assert_close(name, &found, &recorded(&io, part), 1e-5);
        let image = Image::new(50, 40, vec![90; 50 * 40 * 3]).unwrap();
        let found = block_on(model.features(&[image])).unwrap();
        assert_eq!(found[0].len() as i64, recorded(&io, part).size()[1]);
    }
}

#[test]
fn as_embedders_they_give_the_same_at_length_1() {
    for name in ["clip/model", "siglip/model"] {
        let both = open_embedder(fixture(name), place(), dtype()).unwrap();
        let images = pictures(&fixture(name));
        let expected = block_on(both.embed_images(&images)).unwrap().embeddings;
        let alone =
            open_image_embedder(fixture(name), place(), dtype(), Preprocessing::File).unwrap();
        assert_eq!(alone.to_string(), both.to_string());
        let found = block_on(alone.image_embeddings(&images)).unwrap();
        for (found, expected) in found.iter().zip(&expected) {
            assert!(found.similarity(expected) > 1.0 - 1e-6);
        }
    }
    let folder = fixture("dino/registers");
    let dino = DinoEmbedder::load(&folder, place(), dtype(), Preprocessing::File).unwrap();
    assert_eq!(dino.to_string(), "DINOv2 ViT-24x2/6 with registers");
    assert_eq!(format!("{dino:#}"), format!("{dino} of {}", folder.display()));
    assert_eq!(dino.features().checkpoint(), folder);
    let images = pictures(&folder);
    let found = block_on(dino.image_embeddings(&images)).unwrap();
    let features = block_on(dino.features().features(&images)).unwrap();
    for (found, features) in found.iter().zip(features) {
        assert_eq!(*found, Embedding::new(features).unwrap());
    }
    assert_eq!(block_on(dino.features().features(&[])).unwrap(), Vec::<Vec<f32>>::new());
}

#[test]
fn a_class_of_processors_says_what_its_file_leaves_out() {
    let words = |name: &str, settings: Option<Value>| {
        let folder = copy(&fixture(name));
        let path = folder.path().join("preprocessor_config.json");
        match settings {
            Some(settings) => fs::write(path, settings.to_string()).unwrap(),
            None => fs::remove_file(path).unwrap(),
        }
        open(folder.path(), Preprocessing::File).unwrap().preprocessing()
    };
    let (vit, bit) = (
        "file: both sides 224x224, Bilinear; times 0.00392156862745098; \
         mean [0.5, 0.5, 0.5], std [0.5, 0.5, 0.5]",
        "file: shorter side 224, Bicubic; middle 224x224; times 0.00392156862745098; \
         mean [0.48145467, 0.4578275, 0.40821072], std [0.26862955, 0.2613026, 0.2757771]",
    );
    // The same that `ViTImageProcessor()` and `BitImageProcessor()` of transformers 5.23 tell.
    assert_eq!(words("dino/vit_224", None), vit);
    assert_eq!(words("dino/dinov2", None), bit);
    for (name, class, expected) in [
        ("dino/vit_224", "ViTFeatureExtractor", vit),
        ("dino/dinov2", "ViTImageProcessorFast", vit),
        ("dino/vit_224", "BitImageProcessor", bit),
        ("dino/dinov2", "CLIPFeatureExtractor", bit),
    ] {
        let field = if class.contains("Extractor") {
            "feature_extractor_type"
        } else {
            "image_processor_type"
        };
        let settings = json!({field: class, "crop_size": null, "do_resize": null});
        assert_eq!(words(name, Some(settings)), expected, "{class}");
    }
    let siglip =
        words("dino/dinov2", Some(json!({"image_processor_type": "SiglipImageProcessor"})));
    assert!(siglip.starts_with("file: both sides 224x224, Bicubic; times"), "{siglip}");
    assert!(siglip.ends_with("mean [0.5, 0.5, 0.5], std [0.5, 0.5, 0.5]"), "{siglip}");
    // A number is both sides for a ViT, and the shorter one for the others, unless the file says.
    let size = |class: &str, square: Option<bool>| {
        let settings = json!({
            "image_processor_type": class, "size": 200, "default_to_square": square,
            "image_mean": 0.25,
        });
        words("dino/dinov2", Some(settings))
    };
    assert!(size("ViTImageProcessor", None).starts_with("file: both sides 200x200, Bilinear"));
    assert!(size("ViTImageProcessor", None).contains("mean [0.25, 0.25, 0.25]"));
    assert!(size("ViTImageProcessor", Some(false)).starts_with("file: shorter side 200, Bilinear"));
    assert!(size("BitImageProcessor", None).starts_with("file: shorter side 200, Bicubic"));
    assert!(size("BitImageProcessor", Some(true)).starts_with("file: both sides 200x200, Bicubic"));
}

#[test]
fn settings_within_a_processor_config_come_first() {
    let folder = changed("dino/dinov2", "processor_config.json", |config| {
        *config =
            json!({"image_processor": {"image_processor_type": "ViTImageProcessor", "size": 90}});
    });
    let words = open(folder.path(), Preprocessing::File).unwrap().preprocessing();
    assert!(words.starts_with("file: both sides 90x90, Bilinear"), "{words}");
    // One without them, as older releases wrote it, says nothing.
    let folder = changed("dino/dinov2", "processor_config.json", |config| {
        *config = json!({"processor_class": "Processor"});
    });
    let words = open(folder.path(), Preprocessing::File).unwrap().preprocessing();
    assert!(words.starts_with("file: shorter side 32, Bicubic; middle 20x26"), "{words}");
}

#[test]
fn dinov2_takes_pictures_that_end_in_unlike_sizes() {
    let folder = changed("dino/dinov2", "preprocessor_config.json", |settings| {
        settings["do_center_crop"] = json!(false);
    });
    let model = open(folder.path(), Preprocessing::File).unwrap();
    let images = pictures(&fixture("dino/dinov2"));
    let together = block_on(model.features(&images)).unwrap();
    for (image, expected) in images.iter().zip(together) {
        assert_eq!(block_on(model.features(std::slice::from_ref(image))).unwrap()[0], expected);
    }
    let thread = Image::new(4000, 2, vec![0; 4000 * 2 * 3]).unwrap();
    assert_invalid_input(block_on(model.features(&[thread])), "found 64000x32");
}

#[test]
fn what_cannot_be_loaded_is_named() {
    let config = |name: &str, field: &str, value: Value| {
        let folder = changed(name, "config.json", |config| config[field] = value);
        open(folder.path(), Preprocessing::File)
    };
    let expected = "model_type: expected clip, clip_vision_model, siglip, siglip_vision_model, vit, \
                    dinov2 or dinov2_with_registers, found resnet";
    assert_invalid_file(config("dino/vit", "model_type", json!("resnet")), expected);
    assert_invalid_file(
        config("dino/vit", "image_size", json!(36)),
        "36x36, the network's image_size",
    );
    let settings = |field: &str, value: Value| {
        let folder = changed("dino/vit", "preprocessor_config.json", |to| to[field] = value);
        open(folder.path(), Preprocessing::File)
    };
    assert_invalid_file(
        settings("size", json!({"shortest_edge": 30})),
        "found pictures of any size",
    );
    let class = "BitImageProcessor, CLIPImageProcessor, SiglipImageProcessor or ViTImageProcessor, \
                 found ConvNextImageProcessor";
    assert_invalid_file(settings("image_processor_type", json!("ConvNextImageProcessor")), class);
    let official = open(fixture("dino/vit"), Preprocessing::Official);
    assert_invalid_file(
        official,
        "image_size: expected 224x224, to which DINO's authors crop, found 30x30",
    );
    for preprocessing in BOTH {
        let missing = open(PathBuf::from("/no/such/folder"), preprocessing);
        assert!(matches!(missing, Err(Error::Io { .. })));
    }
    let clip = DinoEmbedder::load(fixture("clip/model"), place(), dtype(), Preprocessing::File);
    assert_invalid_file(clip, "expected vit, dinov2, dinov2_with_registers, found clip");
    let gpu = ImageFeatures::open(fixture("dino/vit"), Device::Cuda(999), DType::F32, BOTH[0]);
    assert!(matches!(gpu, Err(Error::Unavailable { .. })));
}
