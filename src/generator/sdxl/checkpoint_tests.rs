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
fn loading_is_told_part_by_part() {
    let told = told_loading(|listener| wide().load_listener(listener).load());
    assert_eq!(told, loading_of(&["text_encoder", "text_encoder_2", "unet", "vae"]));
    let adapted = wide().ip_adapter(fixture("adapter.safetensors"));
    let told = told_loading(|listener| adapted.load_listener(listener).load());
    let parts = ["text_encoder", "text_encoder_2", "unet", "adapter", "vae"];
    assert_eq!(told, loading_of(&parts));
}
