//! A reference's latents to a branch of its own beside text and image: OminiControl.

use tch::Tensor;

use super::attention::{CachedKeyValues, ConditionContext};
use super::branch::Sequence;
use super::lora::Lora;
use super::modulation::Modulations;
use super::rope::{Position, Rope};
use super::strength::Strength;
use super::transformer::{FluxTransformer, Prompt};

/// What a condition is made of.
#[derive(Debug)]
pub(crate) struct Reference<'a> {
    /// Packed latents, `[1, tokens, in_channels]`.
    pub(crate) latents: &'a Tensor,
    /// Where each token stands.
    pub(crate) positions: &'a [Position],
    /// How strongly it and the other branches see each other, above 0; 1 as trained.
    pub(crate) strength: f64,
    /// Whether it attends to itself alone.
    pub(crate) independent: bool,
}

/// A condition as every step of one generation reads it.
#[derive(Debug)]
pub(crate) struct Condition<'a> {
    lora: &'a Lora,
    /// `[1, tokens, width]`.
    tokens: Tensor,
    rope: Rope,
    /// Those of its own time alone, which stands still at 0.
    modulations: Vec<Modulations>,
    /// How strongly it and the others see each other, where it is not as trained.
    strength: Option<Strength>,
    /// Keys and values in every block, where they are the same at every step.
    kept: Option<Vec<CachedKeyValues>>,
}

impl FluxTransformer {
    /// What `lora` makes of `reference` beside `others` tokens of text and image.
    pub(crate) fn condition<'a>(
        &self,
        reference: &Reference<'_>,
        lora: &'a Lora,
        prompt: &Prompt,
        others: i64,
    ) -> Condition<'a> {
        tch::no_grad(|| {
            // 1. the time of a picture that is finished; no guidance strengthens it
            let time = self.embed_times(&[0.0], 1.0, prompt);

            // 2. what is the same at every step
            let mut condition = Condition {
                lora,
                tokens: self.embed(reference.latents, Some(lora)),
                rope: self.rope(reference.positions),
                modulations: self.modulations(&time, Some(lora)),
                strength: None,
                kept: None,
            };

            // 3. all of it, where nothing else is read
            if reference.independent {
                condition.kept = Some(self.keep(condition.sequence()));
            }

            // 4. the strength
            if reference.strength != 1.0 {
                let tokens = &condition.tokens;
                let queries = if reference.independent { 0 } else { tokens.size()[1] };
                let strength = Strength::new(reference.strength, others, queries, tokens.device());
                condition.strength = Some(strength);
            }
            condition
        })
    }

    /// Keys and values of a `sequence` that reads itself alone, of every block.
    fn keep(&self, mut sequence: Sequence<'_>) -> Vec<CachedKeyValues> {
        let double: Vec<_> = self.double.iter().map(|block| block.alone(&mut sequence)).collect();
        let single = self.single.iter().map(|block| block.alone(&mut sequence));
        double.into_iter().chain(single).collect()
    }
}

impl Condition<'_> {
    /// Its branch at the begin of a pass.
    fn sequence(&self) -> Sequence<'_> {
        let tokens = self.tokens.shallow_clone();
        Sequence::new(tokens, &self.rope, &self.modulations[0], Some(self.lora))
    }

    /// Its branch for a pass; none where the others read what was kept.
    pub(super) fn in_pass(&self) -> Option<Sequence<'_>> {
        self.kept.is_none().then(|| self.sequence())
    }

    /// What the branches read beside each other in the block at `index`, double blocks first.
    pub(super) fn beside(&self, index: usize) -> ConditionContext<'_> {
        let kept = self.kept.as_ref().and_then(|kept| kept.get(index));
        ConditionContext { kept, strength: self.strength.as_ref() }
    }
}
