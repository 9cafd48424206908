//! Checkpoints to names, sizes and what is told of their loading, and those that are refused.

use super::tests::{fixture, wide};
use super::*;
use crate::Error;
use crate::generator::Generator;
use crate::generator::checks::*;

#[test]
fn names_itself_and_tells_sizes() {
    let sdxl = wide().load().unwrap();
    assert_eq!(sdxl.to_string(), "SDXL(wide, Euler)");
    assert_eq!((sdxl.default_size(), sdxl.size_multiple()), ((32, 32), 2));
    assert_eq!(sdxl.accepts(), [ConditioningKind::None]);
    let deep = Sdxl::load(fixture("deep"), Device::Cpu, DType::F32).unwrap();
    assert_eq!(deep.to_string(), "SDXL(deep, DPM-Solver++)");
    assert_eq!(deep.size_multiple(), 4);
}

#[test]
fn checkpoints_that_do_not_fit_are_named() {
    let (scheduler, vae) =
        ("scheduler/scheduler_config.json", "vae/diffusion_pytorch_model.fp16.safetensors");
    let added = "projection_class_embeddings_input_dim";
    let cases: Vec<(&str, Change, &str)> = vec![
        ("model_index.json", gone(), "model_index.json"),
        ("model_index.json", replace("XLPipeline", "Pipeline"), "_class_name"),
        ("model_index.json", replace("EulerDiscrete", "Heun"), "HeunScheduler"),
        (scheduler, gone(), "scheduler_config.json"),
        (scheduler, replace("scaled_linear", "sigmoid"), "beta_schedule"),
        ("unet/config.json", gone(), "unet"),
        (
            "unet/config.json",
            set("cross_attention_dim", 40, 41),
            "cross_attention_dim: expected 40",
        ),
        (
            "unet/config.json",
            set(added, 68, 69),
            "projection_class_embeddings_input_dim: expected 68",
        ),
        ("vae/config.json", set("latent_channels", 4, 3), "latents_mean"),
        (vae, gone(), "vae"),
        (vae, overwrite("not tensors"), "vae"),
        ("text_encoder_2/config.json", gone(), "text_encoder_2"),
        ("model_index.json", replace("CLIPTextModelWithProjection", "CLIPTextModel"), "projection"),
        ("tokenizer/vocab.json", gone(), "tokenizer"),
    ];
    for (file, change, words) in cases {
        let folder = broken(&fixture("wide"), file, &change);
        let error = Sdxl::load(folder.path(), Device::Cpu, DType::F32).unwrap_err();
        assert_unfit(&error, words);
    }
    let error = Sdxl::load("/no/such/folder", Device::Cpu, DType::F32).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    let error = wide().device(Device::Cuda(99)).load().unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    let adapter = fixture("wide/unet/diffusion_pytorch_model.fp16.safetensors");
    let error = wide().ip_adapter(adapter).load().unwrap_err();
    assert!(matches!(error, Error::InvalidFile { .. }), "{error}");
}

#[test]
fn pipelines_of_the_same_parts_are_taken_and_others_are_named() {
    let load = |from: &str, to: &str| {
        let folder = broken(&fixture("wide"), "model_index.json", &replace(from, to));
        Sdxl::load(folder.path(), Device::Cpu, DType::F32)
    };
    for class in ["Img2Img", "Inpaint", "PAG"] {
        let sdxl = load("StableDiffusionXLPipeline", &format!("StableDiffusionXL{class}Pipeline"));
        assert!(sdxl.is_ok(), "{class}: {:?}", sdxl.err());
    }
    for class in ["LatentConsistencyModelPipeline", "StableDiffusionPipeline", "KolorsPipeline"] {
        let error = load("StableDiffusionXLPipeline", class).unwrap_err();
        assert_unfit(&error, &format!("expected StableDiffusionXL*, found {class}"));
    }
    assert_unfit(&load("_class_name", "class").unwrap_err(), "found none");
    let controlnet = r#"{"controlnet": ["diffusers", "ControlNetModel"],"#;
    assert_unfit(&load("{", controlnet).unwrap_err(), "part controlnet: expected none beside unet");
    // An inpainting UNet reads the mask and the masked image too.
    let nine = set("in_channels", 4, 9);
    let folder = broken(&fixture("wide"), "unet/config.json", &nine);
    let error = Sdxl::load(folder.path(), Device::Cpu, DType::F32).unwrap_err();
    assert_unfit(&error, "in_channels: expected 4, the VAE's latent_channels, found 9");
}

#[test]
fn a_variant_of_the_weights_can_be_chosen() {
    let unet = |folder: &std::path::Path, variant: &str| {
        folder.join(format!("unet/diffusion_pytorch_model.{variant}.safetensors"))
    };
    let folder = crate::models::common::golden::copy(&fixture("wide"));
    let load = |variant: Option<&str>| {
        let builder = Sdxl::builder(folder.path());
        let builder = variant.into_iter().fold(builder, |builder, name| builder.variant(name));
        builder.load().map(|_| ())
    };
    std::fs::rename(unet(folder.path(), "fp16"), unet(folder.path(), "bf16")).unwrap();
    assert!(load(None).is_ok(), "what is alone");
    std::fs::write(unet(folder.path(), "non_ema"), "no weights").unwrap();
    for variant in [None, Some("fp16"), Some("bf16")] {
        assert!(load(variant).is_ok(), "{variant:?}");
    }
    assert_unfit(&load(Some("non_ema")).unwrap_err(), "model.non_ema.safetensors");
    let error = load(Some("fp8")).unwrap_err();
    assert_invalid_input(&error, "variant: expected one of the weights in");
    assert_invalid_input(&error, "\"fp8\", while the parts have text_encoder: \"fp16\"");
    // Without the sort of weights that is read, the error names what there is.
    let bin = folder.path().join("unet/diffusion_pytorch_model.bin");
    for variant in ["bf16", "non_ema"] {
        std::fs::rename(unet(folder.path(), variant), &bin).unwrap();
    }
    assert_unfit(&load(None).unwrap_err(), "found only diffusion_pytorch_model.bin");
}

#[test]
fn files_are_read_as_editors_and_programs_write_them() {
    let texts = [
        "model_index.json",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder_2/config.json",
        "tokenizer/merges.txt",
        "tokenizer/special_tokens_map.json",
        "tokenizer/tokenizer_config.json",
        "tokenizer/vocab.json",
        "unet/config.json",
        "vae/config.json",
    ];
    let folder = crate::models::common::golden::copy(&fixture("wide"));
    for name in texts {
        let path = folder.path().join(name);
        let text = std::fs::read_to_string(&path).unwrap().replace('\n', "\r\n");
        let text = match name.ends_with("config.json") {
            true => text.replacen('{', "{\"not_read\": [NaN, -Infinity],", 1),
            false => text,
        };
        std::fs::write(&path, format!("\u{feff}{text}")).unwrap();
    }
    let request = crate::generator::GenerateRequest::new("a bird").with_steps(1);
    let [plain, marked] = [fixture("wide").as_path(), folder.path()].map(|folder| {
        draw(&Sdxl::load(folder, Device::Cpu, DType::F32).unwrap(), request.clone()).unwrap()
    });
    assert_eq!(plain, marked);
}

#[test]
fn loading_is_told_part_by_part() {
    let told = told_loading(|listener| wide().load_listener(listener).load());
    assert_eq!(told, loading_of(&["text_encoder", "text_encoder_2", "unet", "vae"]));
    let adapted = wide().ip_adapter(fixture("adapter.safetensors"));
    let told = told_loading(|listener| adapted.load_listener(listener).load());
    let parts = ["text_encoder", "text_encoder_2", "unet", "adapter", "vae"];
    assert_eq!(told, loading_of(&parts));
}
