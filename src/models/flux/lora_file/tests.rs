//! LoRA files that fit, that belong to another model, and that are broken.

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use tempfile::NamedTempFile;

use super::*;
use crate::models::common::golden::{assert_invalid_file, fixture};
use crate::models::flux::config::FluxConfig;
use crate::models::flux::transformer::FluxTransformer;

/// A file with tensors of these names and shapes.
fn file(tensors: &[(&str, [usize; 2])]) -> NamedTempFile {
    let zeros = vec![0; 1 << 16];
    let views = tensors.iter().map(|(name, shape)| {
        let bytes = &zeros[..4 * shape[0] * shape[1]];
        (*name, TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap())
    });
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), safetensors::serialize(views, None).unwrap()).unwrap();
    file
}

fn sites() -> Vec<Site> {
    let folder = fixture("flux/layers/schnell");
    FluxTransformer::load(&folder, Device::Cpu, Kind::Float).unwrap().sites().to_vec()
}

#[test]
fn the_released_sets_are_layers_of_flux() {
    let config = FluxConfig::parse(Path::new("config.json"), "{}").unwrap();
    let recorded = FluxTransformer::new(&Weights::recording(), &config).unwrap();
    let adapted: Vec<_> = recorded.sites().iter().filter(|site| is_adapted(&site.name)).collect();
    // https://github.com/Yuanshi9815/OminiControl, `target_modules` of its training.
    assert_eq!(adapted.len(), 343);
    let values = |rank: i64, sites: &[&Site]| -> i64 {
        sites.iter().map(|site| rank * (site.inputs + site.outputs)).sum()
    };
    assert_eq!(values(4, &adapted), 14_487_808);
    let few = |site: &&&Site| {
        ["norm1.linear", "norm.linear", "to_q", "to_k"].iter().any(|end| site.name.ends_with(end))
    };
    let reduced: Vec<_> = adapted.iter().filter(few).copied().collect();
    assert_eq!((reduced.len(), values(16, &reduced)), (171, 25_214_976));
}

#[test]
fn any_layers_of_any_ranks_are_read() {
    let sites = sites();
    for (case, layers) in [("reduced", 2 * 3 + 3 * 3), ("full", 1 + 2 * 6 + 3 * 6)] {
        let path = fixture(&format!("omini/{case}.safetensors"));
        let Lora(deltas) = Lora::open(&path, &sites, Device::Cpu, Kind::Half).unwrap();
        assert_eq!(deltas.len(), sites.len());
        assert_eq!(deltas.iter().flatten().count(), layers, "{case}");
        assert!(deltas.iter().flatten().all(|delta| delta.a.kind() == Kind::Half));
        let listed = inventory(&path).unwrap();
        assert_eq!(listed.tensors(), 2 * layers);
        let name = "transformer.transformer_blocks.0.norm1.linear.lora_B.weight";
        assert_eq!(listed.shape(name), Some(&[6 * 16, 3][..]), "{case}");
    }
    // Of another rank than its neighbors, with an alpha that does not count.
    let one = file(&[
        ("transformer.x_embedder.lora_A.weight", [7, 8]),
        ("transformer.x_embedder.lora_B.weight", [16, 7]),
        ("transformer.x_embedder.alpha", [1, 1]),
    ]);
    let Lora(deltas) = Lora::open(one.path(), &sites, Device::Cpu, Kind::Float).unwrap();
    assert_eq!(deltas.iter().flatten().count(), 1);
}

#[test]
fn files_that_do_not_fit_are_named() {
    let sites = sites();
    let [a, b] = ["A", "B"]
        .map(|factor| move |layer: &str| format!("transformer.{layer}.lora_{factor}.weight"));
    let (q, unknown) = ("transformer_blocks.0.attn.to_q", "transformer_blocks.7.attn.to_q");
    let text = "transformer_blocks.0.attn.add_q_proj";
    let both = |layer: &str, first: [usize; 2], second: [usize; 2]| {
        vec![(a(layer), first), (b(layer), second)]
    };
    let halves = "layer transformer_blocks.0.attn.to_q: expected lora_A and lora_B, \
                  found lora_A without lora_B";
    for (tensors, words) in [
        (vec![], "LoRA: expected at least one layer, found none"),
        (vec![(a(q), [2, 16])], halves),
        (vec![(b(q), [16, 2])], "found lora_B without lora_A"),
        (both(q, [2, 16], [16, 3]), "ranks of layer transformer_blocks.0.attn.to_q"),
        (both(q, [2, 12], [16, 2]), "to_q.lora_A.weight: expected shape [2, 16], found [2, 12]"),
        (both(q, [2, 16], [48, 2]), "to_q.lora_B.weight: expected shape [16, 2], found [48, 2]"),
        (both(unknown, [2, 16], [16, 2]), "layer transformer_blocks.7.attn.to_q"),
        (both(text, [2, 16], [16, 2]), "expected x_embedder, or in a block norm1.linear"),
        (
            vec![("unet.down_blocks.0.attn.to_q.lora_A.weight".to_owned(), [2, 16])],
            "name of a tensor: expected transformer.LAYER.lora_A.weight",
        ),
        (vec![("proj_out.weight".to_owned(), [2, 16])], "found proj_out.weight"),
    ] {
        let named: Vec<_> = tensors.iter().map(|(name, shape)| (name.as_str(), *shape)).collect();
        let file = file(&named);
        assert_invalid_file(Lora::open(file.path(), &sites, Device::Cpu, Kind::Float), words);
    }
    let checkpoint = fixture("flux/layers/schnell/diffusion_pytorch_model.safetensors");
    assert_invalid_file(inventory(&checkpoint), "name of a tensor");
    let error = inventory(Path::new("/no/such/file.safetensors")).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
}
