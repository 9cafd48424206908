//! The lists of a UNet's config to one description a block, on the way down, in the middle and up.

use serde_json::Value;

use crate::Result;
use crate::models::common::fields::{Fields, MAX_LAYERS, MAX_WIDTH};

/// The field with the depths of transformers on the way down.
const DEPTHS: &str = "transformer_layers_per_block";
/// The field with those of the way up, where they are not the same reversed.
const UP_DEPTHS: &str = "reverse_transformer_layers_per_block";

/// Where a block stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Way {
    /// `DownBlock2D` or `CrossAttnDownBlock2D`.
    Down,
    /// `UNetMidBlock2DCrossAttn` or `UNetMidBlock2D`.
    Mid,
    /// `UpBlock2D` or `CrossAttnUpBlock2D`.
    Up,
}

/// One block: its residual layers, and the transformers after them where it has any.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BlockConfig {
    pub(crate) way: Way,
    /// Channels that come into each residual layer, skipped ones included.
    pub(crate) inputs: Vec<i64>,
    pub(crate) channels: i64,
    /// Number of attention heads. The field is called `attention_head_dim`: diffusers misnamed it
    /// and keeps it so.
    pub(crate) heads: i64,
    /// Depth of each transformer; empty in a block without attention.
    pub(crate) transformers: Vec<i64>,
    /// Whether a down- or upsampling follows.
    pub(crate) resamples: bool,
}

/// All blocks, in the order of the forward pass.
pub(super) struct Blocks {
    pub(super) down: Vec<BlockConfig>,
    pub(super) mid: Option<BlockConfig>,
    pub(super) up: Vec<BlockConfig>,
}

/// The blocks, with every list brought to one value a block (or, for depths, a layer) and the
/// lists of the way up reversed.
pub(super) fn blocks(fields: &Fields, channels: &[i64]) -> Result<Blocks> {
    let (count, last) = (channels.len(), channels.len() - 1);
    let heads = fields.counts("attention_head_dim", 8, count, MAX_WIDTH)?;
    let layers = fields.counts("layers_per_block", 2, count, MAX_LAYERS)?;
    let down_depths = fields.each(DEPTHS, 1, count)?;
    let up_depths = up_depths(fields, &down_depths)?;
    let block = |way, at: usize, inputs, transformers: Vec<i64>, resamples| {
        let (channels, heads) = (channels[at], heads[at]);
        if !transformers.is_empty() && heads > channels {
            let expected = format!("at most {channels} heads in a block of {channels} channels");
            return Err(fields.invalid("attention_head_dim", expected, heads));
        }
        Ok(BlockConfig { way, inputs, channels, heads, transformers, resamples })
    };

    // 1. down: each layer takes what the one before it gives
    let names @ [with, without] = ["CrossAttnDownBlock2D", "DownBlock2D"];
    let default = [with, with, with, without];
    let attends = fields.attending("down_block_types", &default, names, count)?;
    let mut down = Vec::with_capacity(count);
    for at in 0..count {
        let mut inputs = vec![channels[at]; layers[at] as usize];
        inputs[0] = channels[at.saturating_sub(1)];
        let transformers = depths(fields, DEPTHS, &down_depths[at], attends[at], inputs.len())?;
        down.push(block(Way::Down, at, inputs, transformers, at < last)?);
    }

    // 2. mid: a residual layer before and after one transformer, one residual layer alone, or nothing
    let attends = match fields.value("mid_block_type") {
        Value::String(kind) if kind == "UNetMidBlock2DCrossAttn" => Some(true),
        Value::String(kind) if kind == "UNetMidBlock2D" => Some(false),
        Value::Null => (!fields.is_written("mid_block_type")).then_some(true),
        found => {
            let expected = "UNetMidBlock2DCrossAttn, UNetMidBlock2D or null";
            return Err(fields.invalid("mid_block_type", expected, found));
        }
    };
    let mid = attends.map(|attends| {
        let inputs = vec![channels[last]; 1 + usize::from(attends)];
        let transformers = depths(fields, DEPTHS, &down_depths[last], attends, 1)?;
        block(Way::Mid, last, inputs, transformers, false)
    });
    let mid = mid.transpose()?;

    // 3. up: one layer more, each with what the same layer of the way down gave
    let names @ [with, without] = ["CrossAttnUpBlock2D", "UpBlock2D"];
    let default = [without, with, with, with];
    let attends = fields.attending("up_block_types", &default, names, count)?;
    let mut up = Vec::with_capacity(count);
    for (i, at) in (0..count).rev().enumerate() {
        let mut inputs = vec![2 * channels[at]; layers[at] as usize + 1];
        inputs[0] = channels[(at + 1).min(last)] + channels[at];
        inputs[layers[at] as usize] = channels[at] + channels[at.saturating_sub(1)];
        let transformers = depths(fields, DEPTHS, &up_depths[i], attends[i], inputs.len())?;
        up.push(block(Way::Up, at, inputs, transformers, at > 0)?);
    }
    Ok(Blocks { down, mid, up })
}

/// The depths of the way up: their own list, or the one of the way down reversed.
fn up_depths(fields: &Fields, down: &[Value]) -> Result<Vec<Value>> {
    if !fields.value(UP_DEPTHS).is_null() {
        return fields.each(UP_DEPTHS, Value::Null, down.len());
    }
    match down.iter().find(|depth| depth.is_array()) {
        None => Ok(down.iter().rev().cloned().collect()),
        Some(list) => {
            let expected = format!("numbers, or {UP_DEPTHS} beside lists");
            Err(fields.invalid(DEPTHS, expected, list))
        }
    }
}

/// The depth of each of `layers` transformers, from one number or a list of at least as many;
/// none in a block that does not attend.
fn depths(
    fields: &Fields,
    field: &str,
    found: &Value,
    attends: bool,
    layers: usize,
) -> Result<Vec<i64>> {
    let one = |depth| fields.in_range(field, depth, 0..=MAX_LAYERS);
    match found {
        _ if !attends => Ok(Vec::new()),
        Value::Array(list) if list.len() < layers => {
            Err(fields.invalid(field, format!("{layers} depths"), found))
        }
        Value::Array(list) => list[..layers].iter().map(one).collect(),
        depth => Ok(vec![one(depth)?; layers]),
    }
}
