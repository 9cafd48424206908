//! The adapter against what diffusers makes of the same file; see tests/fixtures/make_ip_adapter.py.

use super::*;
use crate::models::common::golden::{assert_close, device, fixture, kind, relative_error};
use std::collections::HashMap;

/// diffusers' sums run in another order.
const TOLERANCE: f64 = 1e-4;

struct Golden {
    tensors: HashMap<String, Tensor>,
    unet: UNet,
    adapter: ImageAttention,
}

impl Golden {
    fn read(name: &str) -> Self {
        Self::read_as(name, kind())
    }

    fn read_as(name: &str, kind: Kind) -> Self {
        let file = fixture(&format!("ip_adapter/{name}_golden.safetensors"));
        let unet = UNet::load(&fixture("unet").join(name), device(), kind).unwrap();
        let adapter = fixture(&format!("ip_adapter/{name}.safetensors"));
        Self {
            tensors: Tensor::read_safetensors(file).unwrap().into_iter().collect(),
            adapter: ImageAttention::open(&adapter, &unet, device(), kind).unwrap(),
            unet,
        }
    }

    fn get(&self, name: &str) -> &Tensor {
        &self.tensors[name]
    }

    /// The UNet's output with the tokens of the first `images` references.
    fn run(&self, images: i64, scale_of: impl Fn(&str) -> f64) -> Tensor {
        let (tokens, states) = (self.get("tokens"), self.get("states"));
        let per_image = tokens.size()[1] / states.size()[1];
        let tokens = tokens.narrow(1, 0, images * per_image); // [b, images · queries, dim]
        self.denoise(self.adapter.context(&tokens, scale_of).as_ref())
    }

    fn denoise(&self, image: Option<&ImageContext>) -> Tensor {
        let text = self.unet.text_context(self.get("text"));
        let nothing = Tensor::zeros([1, 1], (Kind::Float, Device::Cpu));
        let given = |name: &str| self.tensors.get(name).unwrap_or(&nothing);
        let added = self.unet.added(given("pooled"), given("time_ids"));
        let times = self.unet.times(&[321.0], &added, 7.5);
        self.unet.forward(self.get("sample"), times.at(0), &text, image)
    }

    fn error(&self, name: &str, found: &Tensor) -> f64 {
        relative_error(found, self.get(name))
    }

    /// Fails unless `found` is the tensor `name`, to a share of its largest value.
    fn check(&self, name: &str, found: &Tensor) {
        assert_close(name, found, self.get(name), TOLERANCE);
    }
}

#[test]
fn resamplers_equal_diffusers() {
    for (name, expected) in
        [("sdxl", (3, 24, 4, 2, 96)), ("plain", (2, 16, 4, 1, 64)), ("small", (2, 16, 4, 1, 64))]
    {
        let golden = Golden::read(name);
        let file = fixture(&format!("ip_adapter/{name}.safetensors"));
        let resampler = Resampler::open(&file, device(), kind()).unwrap();
        let dims = resampler.dims();
        assert_eq!((dims.queries, dims.dim, dims.depth, dims.heads, dims.ff_dim), expected);
        assert_eq!(dims.output_dim, golden.unet.config().cross_attention_dim);

        let states = golden.get("states"); // [b, images, patches, width]
        let tokens = resampler.forward(&states.flatten(0, 1).to_device(device()).to_kind(kind())); // [b · images, queries, dim]
        let [b, images] = [states.size()[0], states.size()[1]];
        golden.check("tokens", &tokens.view([b, images * dims.queries, -1]));
    }
}

#[test]
fn one_and_two_references_equal_diffusers() {
    for name in ["sdxl", "plain", "small"] {
        let golden = Golden::read(name);
        golden.check("one.out", &golden.run(1, |_| 1.0));
        golden.check("two.out", &golden.run(2, |_| 0.5));
    }
}

/// 10 and 7 bits of precision in place of 23, through some hundred layers.
#[test]
fn sixteen_bits_are_near() {
    for (kind, tolerance) in [(Kind::Half, 0.005), (Kind::BFloat16, 0.04)] {
        for name in ["sdxl", "plain", "small"] {
            let golden = Golden::read_as(name, kind);
            let found = golden.run(2, |_| 0.5);
            assert_eq!(found.kind(), kind);
            let error = golden.error("two.out", &found);
            println!("{name} in {kind:?}: relative error {error:.1e}");
            assert!(error < tolerance, "{name} in {kind:?}: relative error {error:.1e}");
        }
    }
}

#[test]
fn scale_0_is_no_adapter() {
    for name in ["sdxl", "plain", "small"] {
        let golden = Golden::read(name);
        assert!(golden.adapter.context(golden.get("tokens"), |_| 0.0).is_none());
        golden.check("none.out", &golden.run(2, |_| 0.0));
        assert!(golden.error("two.out", &golden.run(2, |_| 0.0)) > 0.01);
    }
}

#[test]
fn scales_of_single_blocks_equal_diffusers() {
    let golden = Golden::read("sdxl");
    let scales = [
        ("up_blocks.0.attentions.1.", 1.0),
        ("up_blocks.0.attentions.2.", 0.5),
        ("down_blocks.2.attentions.1.", 0.7),
    ];
    let scale_of = |layer: &str| {
        let found = scales.iter().find(|(block, _)| layer.starts_with(block));
        found.map_or(0.0, |(_, scale)| *scale)
    };
    golden.check("blocks.out", &golden.run(2, scale_of));
    let golden = Golden::read("plain");
    let in_mid = |layer: &str| if layer.starts_with("mid_block.") { 0.8 } else { 0.0 };
    golden.check("blocks.out", &golden.run(2, in_mid));
}

/// ComfyUI's adapter gave the middle block the layers of the way up until 2024: same shapes, other
/// pictures.
#[test]
fn layers_in_the_order_of_the_forward_pass_are_wrong() {
    let golden = Golden::read("sdxl");
    let context = || golden.adapter.context(golden.get("tokens"), |_| 0.5).unwrap();
    let site = |name: &str| {
        let at = golden.unet.sites().iter().position(|site| site.name.starts_with(name));
        at.unwrap()
    };
    let (mid, up) = (site("mid_block"), site("up_blocks.0"));
    assert!(up < mid);
    golden.check("two.out", &golden.denoise(Some(&context())));
    let mut swapped = context();
    swapped.0.swap(mid, up);
    assert!(golden.error("two.out", &golden.denoise(Some(&swapped))) > 10.0 * TOLERANCE);
}

#[test]
fn a_file_for_another_unet_is_named() {
    let unet = UNet::load(&fixture("unet/odd"), Device::Cpu, Kind::Float).unwrap();
    let file = fixture("ip_adapter/sdxl.safetensors");
    let error = ImageAttention::open(&file, &unet, Device::Cpu, Kind::Float).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("sdxl.safetensors") && error.contains("expected 7, the"), "{error}");
    assert!(error.ends_with("found 20"), "{error}");
}

/// Writes `tensors` as a file of its own and returns what opening it as an adapter says.
fn refusal<S: AsRef<str>>(tensors: &[(S, Tensor)]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    Tensor::write_safetensors(tensors, file.path()).unwrap();
    let unet = UNet::load(&fixture("unet/sdxl"), Device::Cpu, Kind::Float).unwrap();
    let opened = ImageAttention::open(file.path(), &unet, Device::Cpu, Kind::Float);
    opened.unwrap_err().to_string()
}

#[test]
fn layers_that_do_not_fit_are_named() {
    let file = fixture("ip_adapter/sdxl.safetensors");
    let released: HashMap<_, _> = Tensor::read_safetensors(file).unwrap().into_iter().collect();
    let layers = released.keys().filter(|name| name.ends_with("to_k_ip.weight")).count();
    let beyond = format!("ip_adapter.{}.to_k_ip.weight", 2 * layers + 1);
    let cut = |name: &str, rows| released[name].narrow(0, 0, rows);
    let (q, k) = ("image_proj.layers.0.0.to_q.weight", "ip_adapter.3.to_k_ip.weight");
    let (first, missing) = ("ip_adapter.1.to_k_ip.weight", "ip_adapter.5.to_v_ip.weight");
    for (name, tensor, parts) in [
        (missing, None, [missing, "[16, 20]", ""]),
        (k, Some(cut(k, 8)), [k, "[12, 20]", "[8, 20]"]),
        (
            beyond.as_str(),
            Some(released[first].copy()),
            ["layers of the adapter", "as many as the UNet", "one more"],
        ),
        (q, Some(cut(q, 100)), [q, "multiple of 64", "100"]),
    ] {
        let others = released.iter().filter(|(other, _)| *other != name);
        let mut tensors: Vec<_> = others.map(|(name, t)| (name.as_str(), t.copy())).collect();
        tensors.extend(tensor.map(|tensor| (name, tensor)));
        let error = refusal(&tensors);
        assert!(parts.iter().all(|part| error.contains(part)), "{name}: {error}");
    }
}

#[test]
fn other_kinds_of_adapters_are_named() {
    for (tensor, kind) in [
        ("image_proj.proj.weight", "without a resampler"),
        ("image_proj.proj.3.weight", "full face"),
        ("image_proj.perceiver_resampler.proj_in.weight", "FaceID plus"),
        ("image_proj.norm.weight", "FaceID"),
        ("image_proj.other", "found none"),
    ] {
        let error = refusal(&[(tensor, Tensor::from_slice(&[1f32]))]);
        let words = ["IP-Adapter-plus", "image_proj.latents"];
        assert!(words.iter().any(|words| error.contains(words)), "{error}");
        assert!(error.contains(kind), "{error}");
    }
}

#[test]
fn the_released_adapter_has_layers_1_to_139() {
    let text = crate::models::sdxl::unet::SDXL_CONFIG;
    let config = UNetConfig::parse(Path::new("config.json"), text).unwrap();
    let inventory = inventory(config).unwrap();
    assert_eq!(inventory.tensors(), 7 + 4 * 11 + 2 * 70);
    let shape = |name: &str| inventory.shape(name).map(<[i64]>::to_vec);
    assert_eq!(shape("image_proj.latents"), Some(vec![1, 16, 1280]));
    assert_eq!(shape("image_proj.layers.3.0.to_kv.weight"), Some(vec![2560, 1280]));
    assert_eq!(shape("image_proj.layers.3.1.1.weight"), Some(vec![5120, 1280]));
    assert_eq!(shape("image_proj.proj_out.weight"), Some(vec![2048, 1280]));
    assert_eq!(shape("ip_adapter.1.to_k_ip.weight"), Some(vec![640, 2048]));
    assert_eq!(shape("ip_adapter.139.to_v_ip.weight"), Some(vec![1280, 2048]));
    assert_eq!(shape("ip_adapter.141.to_k_ip.weight"), None);
}
