//! What a network asks its checkpoint for: names and shapes of tensors, without loading any.

use std::path::Path;

use super::clip::{ClipConfig, ClipModel, TextConfig, TextModel, VisionConfig, VisionModel};
use super::common::weights::Weights;
use super::dino::{DinoConfig, DinoModel};
use super::flux::config::FluxConfig;
use super::flux::lora_file;
use super::flux::transformer::FluxTransformer;
use super::ip_adapter;
use super::omnigen::config::OmniGenConfig;
use super::omnigen::transformer::OmniGenTransformer;
use super::pixart::config::PixArtConfig;
use super::pixart::transformer::PixArtTransformer;
use super::sdxl::config::UNetConfig;
use super::sdxl::unet::UNet;
use super::siglip::{SiglipConfig, SiglipModel};
use super::t5::{T5Config, T5Encoder};
use super::vae::{Vae, VaeConfig};
use crate::models::common::inventory::Inventory;
use crate::{Error, Result};

/// The components whose [`inventory`] is known.
///
/// ```no_run
/// // Every component whose settings are in the folder, by the size of its weights in 16 bits.
/// use imagerag::models::{COMPONENTS, inventory};
///
/// for component in COMPONENTS {
///     if let Ok(inventory) = inventory(component, format!("configs/{component}.json")) {
///         println!("{component}: {} MiB", inventory.values() * 2 >> 20);
///     }
/// }
/// ```
pub const COMPONENTS: [&str; 15] = [
    "sdxl-unet",
    "sdxl-vae",
    "clip-text",
    "clip-vision",
    "clip",
    "ip-adapter-plus",
    "flux-transformer",
    "flux-vae",
    "omini",
    "omnigen-transformer",
    "omnigen-vae",
    "pixart-transformer",
    "t5-encoder",
    "siglip",
    "dino",
];

/// Names and shapes of the tensors that the loader of `component` asks a checkpoint with the
/// settings in the file `config` for. Nothing is loaded or allocated.
///
/// `component` is one of [`COMPONENTS`]. `config` is the component's own `config.json`; that of
/// `ip-adapter-plus` is the UNet's, and its other sizes are those of the released
/// `ip-adapter-plus_sdxl_vit-h`. That of `omini` is an OminiControl LoRA itself, such as
/// `subject_512.safetensors`: what it holds is listed, after checking that it is one.
///
/// # Errors
/// [`Error::InvalidInput`] for another component; [`Error::Io`] and [`Error::InvalidFile`] when
/// `config` cannot be read or describes no such network.
pub fn inventory(component: &str, config: impl AsRef<Path>) -> Result<Inventory> {
    let config = config.as_ref();
    let weights = Weights::recording();
    match component {
        "sdxl-unet" => return UNet::inventory(UNetConfig::read(config)?),
        "flux-transformer" => drop(FluxTransformer::new(&weights, &FluxConfig::read(config)?)?),
        "omnigen-transformer" => {
            drop(OmniGenTransformer::new(&weights, &OmniGenConfig::read(config)?)?);
        }
        "pixart-transformer" => {
            drop(PixArtTransformer::new(&weights, &PixArtConfig::read(config)?)?);
        }
        "sdxl-vae" | "flux-vae" | "omnigen-vae" => {
            drop(Vae::new(VaeConfig::open(config)?, &weights)?);
        }
        "clip-text" => drop(TextModel::new(&weights, &TextConfig::read(config)?)?),
        "clip-vision" => drop(VisionModel::new(&weights, &VisionConfig::read(config)?)?),
        "clip" => drop(ClipModel::new(&weights, &ClipConfig::read(config)?)?),
        "dino" => drop(DinoModel::new(&weights, &DinoConfig::read(config)?)?),
        "omini" => return lora_file::inventory(config),
        "siglip" => drop(SiglipModel::new(&weights, &SiglipConfig::read(config)?)?),
        "t5-encoder" => return T5Encoder::inventory(&T5Config::read(config)?),
        "ip-adapter-plus" => return ip_adapter::inventory(UNetConfig::read(config)?),
        _ => {
            let expected = format!("one of {}", COMPONENTS.join(", "));
            return Err(Error::invalid_input("component", expected, component));
        }
    }
    Ok(weights.recorded())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::models::common::golden::fixture;
    use crate::models::common::json::read_json;

    type Shapes = BTreeMap<String, Vec<i64>>;

    fn of(component: &str, config: &str) -> Inventory {
        inventory(component, fixture("inventories").join(format!("{config}.config.json"))).unwrap()
    }

    #[test]
    fn loaders_ask_for_what_released_checkpoints_hold() {
        for (component, config, list, tensors, values) in [
            ("sdxl-unet", "unet", "unet", 1_680, 2_567_463_684),
            ("sdxl-vae", "vae", "vae", 248, 83_653_863),
            ("clip-text", "text_encoder", "text_encoder", 196, 123_060_480),
            ("clip-text", "text_encoder_2", "text_encoder_2", 517, 694_659_840),
            ("clip-vision", "image_encoder", "image_encoder", 520, 632_076_800),
            ("clip", "clip", "clip", 398, 151_277_313),
            ("ip-adapter-plus", "unet", "ip_adapter", 191, 423_748_864),
            ("flux-transformer", "flux_transformer", "flux_transformer", 1_156, 11_891_178_560),
            ("flux-vae", "flux_vae", "flux_vae", 244, 83_819_683),
            (
                "omnigen-transformer",
                "omnigen_transformer",
                "omnigen_transformer",
                275,
                3_875_318_800,
            ),
            // SDXL's.
            ("omnigen-vae", "vae", "vae", 248, 83_653_863),
            ("pixart-transformer", "pixart_transformer", "pixart_transformer", 603, 610_856_096),
            // The table of tokens counts twice, as in the files that hold it by both its names.
            ("siglip", "siglip", "siglip", 888, 877_960_498),
            ("dino", "dino", "dino", 198, 21_665_664),
            ("dino", "dinov2", "dinov2", 222, 86_579_712),
            ("dino", "dinov2_giant", "dinov2_giant", 727, 1_136_485_376),
            ("t5-encoder", "t5_encoder", "t5_encoder", 220, 4_893_906_944),
        ] {
            let asked = of(component, config);
            let path = fixture("inventories").join(format!("{list}.json"));
            let held: Shapes = read_json(&path).unwrap();
            let asked_for: Shapes =
                asked.iter().map(|(name, shape)| (name.to_owned(), shape.to_vec())).collect();
            assert_eq!(asked_for, held, "{list}");
            assert_eq!((asked.tensors(), asked.values()), (tensors, values), "{list}");
        }
    }

    #[test]
    fn adapters_have_a_layer_for_every_second_number() {
        let asked = of("ip-adapter-plus", "unet");
        for n in 0..=140 {
            let name = format!("ip_adapter.{n}.to_k_ip.weight");
            assert_eq!(asked.shape(&name).is_some(), n % 2 == 1, "{name}");
        }
    }

    #[test]
    fn what_is_not_known_is_named() {
        let error = inventory("flux", "config.json").unwrap_err().to_string();
        assert!(error.contains("sdxl-unet") && error.contains("found flux"), "{error}");
        for component in COMPONENTS {
            assert!(error.contains(component), "{error}");
            let error = inventory(component, "/no/such/config.json").unwrap_err();
            assert!(matches!(error, Error::Io { .. }), "{component}: {error}");
        }
        let vae = fixture("inventories/vae.config.json");
        for component in [
            "sdxl-unet",
            "clip-text",
            "clip-vision",
            "clip",
            "ip-adapter-plus",
            "omnigen-transformer",
            "pixart-transformer",
            "siglip",
            "dino",
            "t5-encoder",
        ] {
            let error = inventory(component, &vae).unwrap_err();
            assert!(matches!(error, Error::InvalidFile { .. }), "{component}: {error}");
        }
    }
}
