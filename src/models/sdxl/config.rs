//! A UNet's `config.json` to the widths, depths and heads of every block, as diffusers reads them.

use std::path::Path;

use serde_json::{Value, json};

use super::layout::{self, BlockConfig, Blocks};
use crate::Result;
use crate::models::common::fields::{Fields, MAX_WIDTH};
use crate::models::common::layers::Activation;

/// Everything that shapes a `UNet2DConditionModel`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct UNetConfig {
    /// Height and width of the latents that it was trained for.
    pub(crate) sample_size: Option<[i64; 2]>,
    pub(crate) in_channels: i64,
    pub(crate) out_channels: i64,
    /// Whether samples in [0, 1] are moved to [-1, 1] first.
    pub(crate) center_input_sample: bool,
    pub(crate) conv_in_kernel: i64,
    pub(crate) conv_out_kernel: i64,
    pub(crate) act_fn: Activation,
    pub(crate) norm_num_groups: i64,
    pub(crate) norm_eps: f64,
    /// Width of the text's states.
    pub(crate) cross_attention_dim: i64,
    /// Whether transformers begin and end with a linear layer in place of a convolution.
    pub(crate) use_linear_projection: bool,
    pub(crate) time: TimeConfig,
    /// Pooled text and sizes added to the timestep, where the model takes them.
    pub(crate) added: Option<AddedConfig>,
    /// Padding of the downsampling convolutions; 0 pads right and bottom by one.
    pub(crate) downsample_padding: i64,
    /// What the sums of the middle block's residuals are divided by.
    pub(crate) mid_block_scale_factor: f64,
    pub(crate) down: Vec<BlockConfig>,
    /// None in smaller networks, such as Segmind's.
    pub(crate) mid: Option<BlockConfig>,
    pub(crate) up: Vec<BlockConfig>,
}

/// How a timestep becomes a vector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct TimeConfig {
    /// Width of the sines and cosines.
    pub(crate) input_dim: i64,
    pub(crate) embed_dim: i64,
    pub(crate) flip_sin_to_cos: bool,
    pub(crate) freq_shift: f64,
    /// Width of the sines and cosines of the guidance scale, where the network is told it.
    pub(crate) cond_proj_dim: Option<i64>,
}

/// How `addition_embed_type: text_time` becomes a vector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct AddedConfig {
    /// Width of the sines and cosines of each of the size numbers.
    pub(crate) time_embed_dim: i64,
    /// Width of pooled text and all of them together.
    pub(crate) input_dim: i64,
}

impl UNetConfig {
    /// Reads and checks `path`. Fields that are missing take diffusers' defaults; what this
    /// network does not do is an error that names the field.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Self::new(&Fields::open(path)?)
    }

    /// The same of the text of a file.
    #[cfg(test)]
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self> {
        Self::new(&Fields::parse(path, text)?)
    }

    fn new(fields: &Fields) -> Result<Self> {
        refuse_unknown(fields)?;
        let norm_num_groups = fields.count("norm_num_groups", 32, MAX_WIDTH)?;
        let channels = fields.channels(&[320, 640, 1280, 1280], 16, norm_num_groups)?;
        let first = channels[0];
        let Blocks { down, mid, up } = layout::blocks(fields, &channels)?;
        let embed_dim = fields.optional_count("time_embedding_dim", MAX_WIDTH)?;
        let padding = fields.value("downsample_padding");
        let padding = if padding.is_null() { &json!(1) } else { padding };
        Ok(Self {
            sample_size: sample_size(fields)?,
            in_channels: fields.count("in_channels", 4, MAX_WIDTH)?,
            out_channels: fields.count("out_channels", 4, MAX_WIDTH)?,
            center_input_sample: fields.flag("center_input_sample", false)?,
            conv_in_kernel: kernel(fields, "conv_in_kernel")?,
            conv_out_kernel: kernel(fields, "conv_out_kernel")?,
            act_fn: Activation::read(fields, "act_fn", Activation::Silu)?,
            norm_num_groups,
            norm_eps: fields.number("norm_eps", 1e-5)?,
            cross_attention_dim: cross_attention_dim(fields, channels.len())?,
            use_linear_projection: fields.flag("use_linear_projection", false)?,
            time: TimeConfig {
                input_dim: first,
                embed_dim: embed_dim.unwrap_or(4 * first),
                flip_sin_to_cos: fields.flag("flip_sin_to_cos", true)?,
                freq_shift: fields.number("freq_shift", 0.0)?,
                cond_proj_dim: cond_proj_dim(fields)?,
            },
            added: added(fields)?,
            downsample_padding: fields.in_range("downsample_padding", padding, 0..=1)?,
            mid_block_scale_factor: fields.number("mid_block_scale_factor", 1.0)?,
            down,
            mid,
            up,
        })
    }
}

/// Settings of diffusers' other UNets. `upcast_attention` is not among them: diffusers' attention
/// on torch 2 does not look at it, and `dropout` does nothing after training.
fn refuse_unknown(fields: &Fields) -> Result<()> {
    fields.only("only_cross_attention", false)?;
    fields.only("dual_cross_attention", false)?;
    fields.only("mid_block_only_cross_attention", false)?;
    fields.only("class_embeddings_concat", false)?;
    fields.only("attention_type", "default")?;
    fields.only("time_embedding_type", "positional")?;
    fields.only("resnet_time_scale_shift", "default")?;
    let unset = [
        "num_attention_heads", // diffusers raises
        "class_embed_type",
        "num_class_embeds",
        "encoder_hid_dim",
        "encoder_hid_dim_type",
        "time_embedding_act_fn",
        "timestep_post_act",
        "cross_attention_norm",
    ];
    unset.iter().try_for_each(|field| fields.only(field, Value::Null))
}

fn kernel(fields: &Fields, field: &str) -> Result<i64> {
    let kernel = fields.count(field, 3, 15)?;
    // With an even kernel the latents would change size.
    if kernel % 2 == 1 { Ok(kernel) } else { Err(fields.invalid(field, "an odd number", kernel)) }
}

fn sample_size(fields: &Fields) -> Result<Option<[i64; 2]>> {
    let field = "sample_size";
    let side = |value: &Value| fields.in_range(field, value, 1..=MAX_WIDTH);
    match fields.value(field) {
        Value::Null => Ok(None),
        Value::Array(sides) => match sides.as_slice() {
            [height, width] => Ok(Some([side(height)?, side(width)?])),
            _ => Err(fields.invalid(field, "one side, or height and width", json!(sides))),
        },
        one => Ok(Some([side(one)?; 2])),
    }
}

/// One text goes into every block, so a list must hold one width.
fn cross_attention_dim(fields: &Fields, blocks: usize) -> Result<i64> {
    let field = "cross_attention_dim";
    let widths = fields.counts(field, 1280, blocks, MAX_WIDTH)?;
    let same = widths.iter().all(|width| *width == widths[0]);
    let (expected, found) = ("the same width for all blocks", format!("{widths:?}"));
    fields.require(field, same, expected, found).map(|()| widths[0])
}

fn cond_proj_dim(fields: &Fields) -> Result<Option<i64>> {
    let field = "time_cond_proj_dim";
    match fields.value(field) {
        Value::Null => Ok(None),
        // Of fewer than two sines, the frequencies are not defined.
        width => fields.in_range(field, width, 4..=MAX_WIDTH).map(Some),
    }
}

fn added(fields: &Fields) -> Result<Option<AddedConfig>> {
    let required = |field| {
        let found = fields.optional_count(field, MAX_WIDTH)?;
        found.ok_or_else(|| fields.invalid(field, "a width, for text_time", "null"))
    };
    match fields.value("addition_embed_type") {
        Value::Null => Ok(None),
        Value::String(kind) if kind == "text_time" => Ok(Some(AddedConfig {
            time_embed_dim: required("addition_time_embed_dim")?,
            input_dim: required("projection_class_embeddings_input_dim")?,
        })),
        found => Err(fields.invalid("addition_embed_type", "null or \"text_time\"", found)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(settings: &Value) -> Result<UNetConfig> {
        UNetConfig::parse(Path::new("unet/config.json"), &settings.to_string())
    }

    #[test]
    fn an_empty_config_is_diffusers_default_unet() {
        let config = parse(&json!({})).unwrap();
        let down: Vec<_> = config.down.iter().map(|block| &block.inputs[..]).collect();
        assert_eq!(down, [&[320, 320][..], &[320, 640], &[640, 1280], &[1280, 1280]]);
        let up: Vec<_> = config.up.iter().map(|block| &block.inputs[..]).collect();
        assert_eq!(
            up,
            [&[2560, 2560, 2560][..], &[2560, 2560, 1920], &[1920, 1280, 960], &[960, 640, 640]]
        );
        let depths: Vec<_> = config.up.iter().map(|block| block.transformers.len()).collect();
        assert_eq!(depths, [0, 3, 3, 3]);
        let mid = config.mid.unwrap();
        assert_eq!((mid.heads, mid.transformers.len()), (8, 1));
        assert_eq!((config.time.embed_dim, config.cross_attention_dim), (1280, 1280));
    }

    #[test]
    fn settings_that_are_not_done_are_named() {
        let check = |field: &str, settings: &Value, expected: &str, found: &str| {
            let error = parse(settings).unwrap_err().to_string();
            let (at, rest) = error.split_once(&format!(": {field}: expected ")).expect(&error);
            let (wanted, got) = rest.split_once(", found ").expect(&error);
            assert_eq!(at, "unet/config.json");
            assert!(wanted.contains(expected) && got.contains(found), "{error}");
        };
        for (field, value, expected, found) in [
            ("act_fn", json!("snake"), "silu", "snake"),
            ("time_embedding_type", json!("fourier"), "positional", "fourier"),
            ("class_embed_type", json!("timestep"), "null", "timestep"),
            ("num_attention_heads", json!([5]), "null", "[5]"),
            ("only_cross_attention", json!([true]), "false", "[true]"),
            ("addition_embed_type", json!("image"), "text_time", "image"),
            ("mid_block_type", json!("UNetMidBlock2DSimpleCrossAttn"), "null", "SimpleCrossAttn"),
            ("mid_block_type", json!(false), "UNetMidBlock2DCrossAttn", "false"),
            ("time_cond_proj_dim", json!(3), "4 to 65536", "3"),
            ("time_cond_proj_dim", json!("wide"), "4 to 65536", "wide"),
            ("num_class_embeds", json!(2), "null", "2"),
            ("class_embeddings_concat", json!(true), "false", "true"),
            ("up_block_types", json!(["A", "B", "C", "D"]), "UpBlock2D", "A"),
            ("block_out_channels", json!([32, 40, 32, 32]), "32", "40"),
            ("block_out_channels", json!([]), "1 to 16", "[]"),
            ("norm_num_groups", Value::Null, "1 to 65536", "null"),
            ("layers_per_block", json!(1_000_000_000), "1 to 1024", "1000000000"),
            ("layers_per_block", json!([2, 2]), "4 blocks", "[2,2]"),
            ("attention_head_dim", json!(0), "1 to", "0"),
            ("attention_head_dim", json!(641), "at most 320 heads", "641"),
            ("cross_attention_dim", json!([1, 2, 3, 4]), "same", "[1, 2, 3, 4]"),
            ("transformer_layers_per_block", json!([[1, 1], 1, 1, 1]), "reverse", "[1,1]"),
            ("conv_in_kernel", json!(4), "odd", "4"),
            ("downsample_padding", json!(2), "0 to 1", "2"),
            ("sample_size", json!("big"), "1 to", "big"),
            ("norm_eps", json!("small"), "number", "small"),
        ] {
            check(field, &json!({field: value}), expected, found);
        }
        // Of one field, what another one asks for.
        let three = json!({"block_out_channels": [320, 640, 1280]});
        check("down_block_types", &three, "3 names", "4 names");
        let added = json!({"addition_embed_type": "text_time"});
        check("addition_time_embed_dim", &added, "width", "null");
    }
}
