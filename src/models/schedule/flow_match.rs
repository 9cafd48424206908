//! Euler's method on the straight ways between noise and image that flow matching teaches.

use std::path::Path;

use tch::{Kind, Tensor};

use super::sigmas::{Levels, linspace};
use super::{MAX_STEPS, Scheduler, Stepped, settings};
use crate::models::common::fields::Fields;
use crate::{Error, Result};

/// `FlowMatchEulerDiscreteScheduler`'s settings, as `FluxPipeline` and `OmniGenPipeline` use them.
#[derive(Clone, Debug)]
pub(crate) struct FlowMatchConfig {
    train_steps: i64,
    shift: Shift,
    /// The last noise level, to which all are stretched.
    terminal: Option<f32>,
    levels: Levels,
    /// Whether a level is the share of the image and not of the noise, so that it grows from 0 to 1.
    inverted: bool,
}

/// How noise levels are moved towards the noisy end.
#[derive(Clone, Copy, Debug)]
enum Shift {
    /// The same for all images.
    Fixed(f64),
    /// By the number of the image's tokens: larger ones need more of it.
    Dynamic { exponential: bool, tokens: [f64; 2], shift: [f64; 2] },
}

impl FlowMatchConfig {
    /// Reads `scheduler_config.json`. `class` is what `model_index.json` calls the scheduler.
    pub(crate) fn open(path: &Path, class: Option<&str>) -> Result<Self> {
        Self::read(&settings::open(path)?, class)
    }

    pub(super) fn read(settings: &Fields, class: Option<&str>) -> Result<Self> {
        let class = class.map_or_else(|| settings.name("_class_name"), Ok)?;
        let expected = "FlowMatchEulerDiscreteScheduler";
        settings.require("_class_name", class == expected, expected, class)?;
        settings.refuse(&["stochastic_sampling"])?;
        let shifts = [("exponential", true), ("linear", false)];
        let exponential = settings.choice("time_shift_type", &shifts)?;
        // 0 is as good as none, as in diffusers.
        let terminal = settings.optional_number("shift_terminal")?.filter(|&last| last != 0.0);
        if let Some(last) = terminal.filter(|last| !(0.0..1.0).contains(last)) {
            return Err(settings.invalid("shift_terminal", "a number from 0 to below 1", last));
        }
        Ok(Self {
            train_steps: settings.integer("num_train_timesteps", 1000, 1..=1_000_000)?,
            shift: match settings.flag("use_dynamic_shifting", false)? {
                false => Shift::fixed(settings)?,
                true => Shift::dynamic(settings, exponential)?,
            },
            terminal: terminal.map(|last| last as f32),
            levels: Levels::read(settings)?,
            inverted: settings.flag("invert_sigmas", false)?,
        })
    }

    /// The settings of OmniGen's own program, which reads none from a file: even steps from the noise,
    /// at 0, to the image, at 1. `OmniGen/scheduler.py`.
    pub(crate) const fn omnigen() -> Self {
        Self {
            train_steps: 1,
            shift: Shift::Fixed(1.0),
            terminal: None,
            levels: Levels::Timesteps,
            inverted: true,
        }
    }

    /// A run of `steps` steps for an image of that many `tokens`.
    pub(crate) fn start(&self, steps: usize, tokens: i64) -> Result<FlowMatch> {
        // Stretching divides by what the last level lacks to 1: of a single step, nothing.
        let least = if self.terminal.is_some() { 2 } else { 1 };
        if !(least..=MAX_STEPS).contains(&steps) {
            return Err(Error::invalid_input("steps", format!("{least} to {MAX_STEPS}"), steps));
        }

        // 1. evenly spread noise levels, in the precision of diffusers. `OmniGenPipeline` leaves out
        // the last of `linspace(1, 0, steps + 1)`, which in this precision is the same.
        let even = linspace(1.0, 1.0 / steps as f64, steps).map(|sigma| sigma as f32);

        // 2. moved, and stretched
        let mut sigmas: Vec<f32> = match self.shift {
            Shift::Fixed(shift) => {
                let (shift, rest) = (shift as f32, (shift - 1.0) as f32);
                even.map(|sigma| shift * sigma / (1.0 + rest * sigma)).collect()
            }
            Shift::Dynamic { exponential, .. } => {
                let mu = self.shift.mu(tokens);
                let weight = (if exponential { mu.exp() } else { mu }) as f32;
                even.map(|sigma| weight / (weight + (1.0 / sigma - 1.0))).collect()
            }
        };
        if let (Some(terminal), Some(&last)) = (self.terminal, sigmas.last()) {
            let scale = (1.0 - last) / (1.0 - terminal);
            sigmas.iter_mut().for_each(|sigma| *sigma = 1.0 - (1.0 - *sigma) / scale);
        }

        // 3. spread anew between the first and the last
        let (first, last) = (f64::from(sigmas[0]), f64::from(sigmas[steps - 1]));
        if let Some(levels) = self.levels.between(first, last, steps) {
            sigmas = levels.into_iter().map(|sigma| sigma as f32).collect();
        }

        // 4. counted from the image or from the noise; in the end nothing is left of the noise
        if self.inverted {
            sigmas.iter_mut().for_each(|sigma| *sigma = 1.0 - *sigma);
        }
        let train_steps = self.train_steps as f32;
        let timesteps = sigmas.iter().map(|sigma| f64::from(sigma * train_steps)).collect();
        sigmas.push(if self.inverted { 1.0 } else { 0.0 });
        Ok(FlowMatch { sigmas, timesteps })
    }
}

impl Shift {
    fn fixed(settings: &Fields) -> Result<Self> {
        let shift = settings.number("shift", 1.0)?;
        settings.require("shift", shift > 0.0, "above 0", shift).map(|()| Self::Fixed(shift))
    }

    fn dynamic(settings: &Fields, exponential: bool) -> Result<Self> {
        let tokens = [("base_image_seq_len", 256), ("max_image_seq_len", 4096)];
        let [base, max] = tokens.map(|(key, default)| settings.integer(key, default, 1..=1 << 32));
        let (base, max) = (base?, max?);
        settings.require("max_image_seq_len", base != max, "not base_image_seq_len", max)?;
        let shift = [settings.number("base_shift", 0.5)?, settings.number("max_shift", 1.15)?];
        Ok(Self::Dynamic { exponential, tokens: [base as f64, max as f64], shift })
    }

    /// diffusers, `calculate_shift`.
    fn mu(self, count: i64) -> f64 {
        match self {
            Self::Fixed(shift) => shift,
            Self::Dynamic { tokens: [base, max], shift: [low, high], .. } => {
                let slope = (high - low) / (max - base);
                count as f64 * slope + (low - slope * base)
            }
        }
    }
}

/// One run of `FlowMatchEulerDiscreteScheduler`.
#[derive(Debug)]
pub(crate) struct FlowMatch {
    /// Share of noise (of the image where inverted) before each step, and after the last.
    sigmas: Vec<f32>,
    timesteps: Vec<f64>,
}

impl Scheduler for FlowMatch {
    fn timesteps(&self) -> &[f64] {
        &self.timesteps
    }

    fn step(&mut self, output: &Tensor, index: usize, sample: &Tensor) -> Stepped {
        let (sigma, next) = (self.sigmas[index], self.sigmas[index + 1]);
        let end = self.sigmas[self.sigmas.len() - 1];
        let sample = sample.to_kind(Kind::Float);

        // 1. The sample without noise: the end of the straight way.
        let original = &sample + output * f64::from(end - sigma);

        // 2. Along the way to the next noise level.
        let sample = (sample + output * f64::from(next - sigma)).to_kind(output.kind());
        Stepped { sample, original }
    }
}
