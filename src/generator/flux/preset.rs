//! [`FluxPreset`]: steps, guidance and prompt length that belong together.

/// Settings that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FluxPreset {
    /// FLUX.1-schnell as it was distilled: 4 steps, 256 tokens (its model card).
    Schnell,
    /// FLUX.1-dev: 28 steps, guidance 3.5, 512 tokens (diffusers' `FluxPipeline`).
    Dev,
    /// ImageRAG's experiments on FLUX.1-schnell: 50 steps (section 4), and 512 tokens as
    /// OminiControl's program takes.
    Paper,
}

impl FluxPreset {
    /// That of a checkpoint that is told its guidance, or of one that is not.
    pub(super) const fn of(guidance_embeds: bool) -> Self {
        if guidance_embeds { Self::Dev } else { Self::Schnell }
    }

    /// Denoising steps.
    pub const fn steps(self) -> usize {
        match self {
            Self::Schnell => 4,
            Self::Dev => 28,
            Self::Paper => 50,
        }
    }

    /// The guidance, an input of the network; `None` if the network has no such input.
    pub const fn guidance_scale(self) -> Option<f64> {
        match self {
            Self::Dev => Some(3.5),
            Self::Schnell | Self::Paper => None,
        }
    }

    /// Tokens of a prompt that T5 reads.
    pub const fn max_sequence_length(self) -> usize {
        match self {
            Self::Schnell => 256,
            Self::Dev | Self::Paper => 512,
        }
    }
}
