//! Denoising diffusion implicit models (Song et al. 2020) without added noise.

use tch::Tensor;

use super::betas::Alphas;
use super::sigmas::Spacing;
use super::{Prediction, Scheduler, Stepped};
use crate::models::common::fields::Fields;
use crate::{Error, Result};

/// `DDIMScheduler`'s settings.
#[derive(Clone, Debug)]
pub(crate) struct DdimConfig {
    alphas: Alphas,
    /// ᾱ after the last step.
    final_alpha: f32,
    prediction: Prediction,
    spacing: Spacing,
    /// The largest value of a sample without noise.
    clip: Option<f64>,
}

impl DdimConfig {
    pub(super) fn new(settings: &Fields) -> Result<Self> {
        settings.refuse(&["thresholding"])?;
        let alphas = Alphas::read(settings)?;
        let to_one = settings.flag("set_alpha_to_one", true)?;
        let range = settings.number("clip_sample_range", 1.0)?;
        Ok(Self {
            final_alpha: if to_one { 1.0 } else { alphas.cumprod[0] },
            prediction: Prediction::read(settings)?,
            spacing: Spacing::read(settings, "leading")?,
            clip: settings.flag("clip_sample", true)?.then_some(range),
            alphas,
        })
    }

    pub(super) fn start(&self, steps: usize) -> Result<Ddim> {
        let train = self.alphas.steps();
        if steps > train {
            let expected = format!("at most {train}, the number the model is trained with");
            return Err(Error::invalid_input("steps", expected, steps));
        }
        let mut times = self.spacing.times(train, train, steps, 0)?;
        times.iter_mut().for_each(|time| *time = time.round_ties_even());
        let stride = (train / steps) as i64;
        let levels = times.iter().map(|&time| {
            let before = time as i64 - stride;
            let next = if before < 0 { Some(self.final_alpha) } else { self.alpha(before) };
            Some((self.alpha(time as i64)?, next?))
        });
        let levels = levels.collect::<Option<_>>().ok_or_else(|| {
            let expected = format!("times below {train} (steps_offset counts too)");
            Error::invalid_input("steps", expected, times[0])
        })?;
        Ok(Ddim { timesteps: times, levels, prediction: self.prediction, clip: self.clip })
    }

    /// ᾱ at `time`. Time -1 is the last one: trailing spacing may round to it, and diffusers
    /// indexes so.
    fn alpha(&self, time: i64) -> Option<f32> {
        let time = if time < 0 { time + self.alphas.steps() as i64 } else { time };
        self.alphas.cumprod.get(usize::try_from(time).ok()?).copied()
    }
}

/// One run of `DDIMScheduler`.
#[derive(Debug)]
pub(super) struct Ddim {
    timesteps: Vec<f64>,
    /// ᾱ before and after each step.
    levels: Vec<(f32, f32)>,
    prediction: Prediction,
    clip: Option<f64>,
}

impl Scheduler for Ddim {
    fn timesteps(&self) -> &[f64] {
        &self.timesteps
    }

    fn step(&mut self, output: &Tensor, index: usize, sample: &Tensor) -> Stepped {
        let (now, next) = self.levels[index];
        let [alpha, sigma] = [now, 1.0 - now].map(|square| f64::from(square.sqrt()));
        let [next_alpha, next_sigma] = [next, 1.0 - next].map(|square| f64::from(square.sqrt()));

        // 1. The sample without noise, and the noise.
        let (mut original, noise) = match self.prediction {
            Prediction::Epsilon => ((sample - output * sigma) / alpha, output.shallow_clone()),
            Prediction::Sample => (output.shallow_clone(), (sample - output * alpha) / sigma),
            Prediction::Velocity => {
                (sample * alpha - output * sigma, output * alpha + sample * sigma)
            }
        };
        if let Some(range) = self.clip {
            original = original.clamp(-range, range);
        }

        // 2. Mixed anew for the next level.
        Stepped { sample: &original * next_alpha + noise * next_sigma, original }
    }
}
