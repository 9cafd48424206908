//! LoRA files that fit, that belong to another model, and that are broken.

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use tempfile::NamedTempFile;

use super::*;
use crate::models::common::golden::{assert_close, assert_invalid_file, fixture};
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

fn is_adapted(site: &Site) -> bool {
    adapted(&site.name).is_some_and(|layers| layers == [site.name.as_str()])
}

/// What a LoRA adds to each site, one after the other; none where nothing.
fn products(Lora(deltas): &Lora) -> Vec<Option<Tensor>> {
    let product = |Delta { a, b }: &Delta| b.matmul(a); // [outputs, inputs]
    deltas.iter().map(|delta| delta.as_ref().map(product)).collect()
}

fn open(path: &Path) -> Result<Lora> {
    Lora::open(path, &sites(), Device::Cpu, Kind::Float)
}

/// `omini/full.safetensors` with every name changed.
fn renamed(rename: impl Fn(&str) -> String) -> NamedTempFile {
    let tensors = Tensor::read_safetensors(fixture("omini/full.safetensors")).unwrap();
    let named: Vec<_> = tensors.iter().map(|(name, tensor)| (rename(name), tensor)).collect();
    let file = NamedTempFile::new().unwrap();
    Tensor::write_safetensors(&named, file.path()).unwrap();
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
    let adapted: Vec<_> = recorded.sites().iter().filter(|site| is_adapted(site)).collect();
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

/// See tests/fixtures/make_lora.py.
#[test]
fn converted_files_equal_diffusers() {
    let golden: std::collections::HashMap<_, _> =
        Tensor::read_safetensors(fixture("lora/golden.safetensors")).unwrap().into_iter().collect();
    let names: Vec<_> = sites().into_iter().map(|site| site.name).collect();
    for (case, layers) in [("kohya", 2 * 6 + 3 * 6 + 1), ("comfy", 3), ("xlabs", 2 * 4 + 3 * 4)] {
        let lora = open(&fixture(&format!("lora/{case}.safetensors"))).unwrap();
        let found = products(&lora);
        assert_eq!(found.iter().flatten().count(), layers, "{case}");
        for (name, found) in names.iter().zip(found) {
            let factor = |factor: &str| golden.get(&format!("{case}/{name}.lora_{factor}.weight"));
            match (factor("A").zip(factor("B")), found) {
                (Some((a, b)), Some(found)) => assert_close(name, &found, &b.matmul(a), 1e-6),
                (expected, found) => {
                    assert_eq!((expected, found.is_some()), (None, false), "{name}");
                }
            }
        }
    }
}

#[test]
fn every_spelling_is_the_same_lora() {
    let expected = products(&open(&fixture("omini/full.safetensors")).unwrap());
    let layer = |name: &str| name.strip_prefix("transformer.").unwrap().to_owned();
    let down_up = |name: &str| name.replace("lora_A", "lora_down").replace("lora_B", "lora_up");
    let named = |name: &str| name.replace(".weight", ".default.weight");
    let underscored = |name: &str| {
        let (layer, rest) = name.split_once(".lora").unwrap();
        format!("{}.lora{rest}", layer.replace('.', "_"))
    };
    let processor = |name: &str| match name.contains(".attn.to_") {
        true => name
            .replace(".attn.", ".attn.processor.")
            .replace(".to_out.0.", ".to_out.")
            .replace(".lora_A.", "_lora.down.")
            .replace(".lora_B.", "_lora.up."),
        false => name.replace(".lora_A.", ".lora.down.").replace(".lora_B.", ".lora.up."),
    };
    type Rename<'a> = &'a dyn Fn(&str) -> String;
    let spellings: [(&str, Rename<'_>); 8] = [
        ("without prefix", &layer),
        ("lora_down", &down_up),
        ("peft", &|name| format!("base_model.model.{}", named(&layer(name)))),
        ("peft of the pipeline", &|name| format!("base_model.model.{}", down_up(name))),
        ("comfy", &|name| format!("diffusion_model.{}", layer(name))),
        ("kohya", &|name| format!("lora_transformer_{}", underscored(&down_up(&layer(name))))),
        ("old diffusers", &processor),
        ("a named adapter", &|name| name.replace(".weight", ".subject-1.weight")),
    ];
    for (what, rename) in spellings {
        let file = renamed(rename);
        let found = products(&open(file.path()).unwrap_or_else(|error| panic!("{what}: {error}")));
        assert_eq!(found, expected, "{what}");
    }
}

#[test]
fn alpha_counts_for_each_layer_of_kohyas_alone() {
    let tensor = |name: &str, shape: [i64; 2], value: f64| {
        (name.to_owned(), Tensor::full(shape, value, (Kind::Float, Device::Cpu)))
    };
    let product = |spelling: [&str; 2], alpha: Option<Tensor>| {
        let [a, b] = spelling.map(|factor| format!("transformer.x_embedder.{factor}.weight"));
        let mut tensors = vec![tensor(&a, [4, 8], 1.0), tensor(&b, [16, 4], 1.0)];
        tensors.extend(alpha.map(|alpha| ("transformer.x_embedder.alpha".to_owned(), alpha)));
        let file = NamedTempFile::new().unwrap();
        Tensor::write_safetensors(&tensors, file.path()).unwrap();
        let found = products(&open(file.path())?);
        Ok(found.into_iter().flatten().next().unwrap().double_value(&[0, 0]))
    };
    let (kohya, peft) = (["lora_down", "lora_up"], ["lora_A", "lora_B"]);
    let alpha = |value: f64| Some(Tensor::from(value).to_kind(Kind::Float));
    for (spelling, alpha, expected) in [
        (kohya, None, 4.0),
        (kohya, alpha(4.0), 4.0),
        (kohya, alpha(1.0), 1.0),
        (kohya, Some(Tensor::from_slice(&[16_i64])), 16.0),
        (peft, alpha(1.0), 4.0),
    ] {
        assert_eq!(product(spelling, alpha).unwrap(), expected);
    }
    let several = product(kohya, Some(Tensor::from_slice(&[1f32, 2.0])));
    assert_invalid_file(several, "tensor transformer.x_embedder.alpha: expected one number");
    assert_invalid_file(product(kohya, alpha(f64::NAN)), "expected a finite number, found NaN");
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
        (
            vec![(format!("transformer.{q}.dora_scale"), [16, 1])],
            "expected a LoRA without magnitudes (not DoRA), \
             found transformer.transformer_blocks.0.attn.to_q.dora_scale",
        ),
        (
            vec![(format!("base_model.model.{q}.lora_magnitude_vector.default.weight"), [16, 1])],
            "not DoRA",
        ),
        (
            vec![("lora_unet_double_blocks_0_img_attn_qkv.hada_w1_a".to_owned(), [2, 2])],
            "hada_w1_a",
        ),
        (vec![("transformer.x_embedder.lora_B.bias".to_owned(), [16, 1])], "lora_B.bias"),
        (vec![("lora_te1_text_model_encoder.lora_down.weight".to_owned(), [2, 2])], "lora_te1"),
        (
            vec![("lora_unet_double_blocks_0_txt_attn_qkv.lora_down.weight".to_owned(), [2, 16])],
            "layer double_blocks_0_txt_attn_qkv: expected x_embedder",
        ),
        (
            [
                both("x_embedder", [2, 8], [16, 2]),
                vec![("transformer.x_embedder.lora_down.weight".to_owned(), [2, 8])],
            ]
            .concat(),
            "layer x_embedder: expected each factor once",
        ),
        (
            [
                both("x_embedder", [2, 8], [16, 2]),
                vec![
                    ("transformer.img_in.lora_A.weight".to_owned(), [2, 8]),
                    ("transformer.img_in.lora_B.weight".to_owned(), [16, 2]),
                ],
            ]
            .concat(),
            "layer x_embedder: expected once, found in two spellings",
        ),
        (both(q, [0, 16], [16, 0]), "ranks of layer transformer_blocks.0.attn.to_q"),
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
