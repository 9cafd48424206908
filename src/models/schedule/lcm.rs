//! Latent consistency models (Luo et al. 2023): each step goes the whole way to the image, and back
//! to less noise than before.

use tch::Tensor;

use super::betas::{Alphas, BetaSchedule};
use super::{Prediction, Scheduler, Stepped};
use crate::models::common::fields::Fields;
use crate::models::common::noise::Noise;
use crate::{Error, Result};

/// Standard deviation of the data. diffusers, `get_scalings_for_boundary_condition_discrete`.
const SIGMA_DATA: f64 = 0.5;

/// `LCMScheduler`'s settings.
#[derive(Clone, Debug)]
pub(crate) struct LcmConfig {
    alphas: Alphas,
    prediction: Prediction,
    /// Steps of the distillation, of which a run takes some.
    original_steps: usize,
    timestep_scaling: f64,
    /// The largest value of a sample without noise.
    clip: Option<f64>,
}

impl LcmConfig {
    pub(super) fn new(settings: &Fields) -> Result<Self> {
        settings.refuse(&["thresholding"])?;
        let alphas = Alphas::read_or(settings, (0.00085, 0.012), BetaSchedule::ScaledLinear)?;
        let most = i64::try_from(alphas.steps()).unwrap_or(i64::MAX);
        let range = settings.number("clip_sample_range", 1.0)?;
        Ok(Self {
            prediction: Prediction::read(settings)?,
            original_steps: settings.count("original_inference_steps", 50.min(most), most)?
                as usize,
            timestep_scaling: settings.number("timestep_scaling", 10.0)?,
            clip: settings.flag("clip_sample", false)?.then_some(range),
            alphas,
        })
    }

    pub(super) fn start(&self, steps: usize) -> Result<Lcm> {
        let original = self.original_steps;
        if steps > original {
            let expected = format!("at most {original}, the original_inference_steps");
            return Err(Error::invalid_input("steps", expected, steps));
        }
        // 1. Of the steps of the distillation, the noisiest first, some that lie evenly.
        let stride = self.alphas.steps() / original;
        let chosen =
            (0..steps).map(|i| original - (i as f64 * (original as f64 / steps as f64)) as usize);
        let times: Vec<_> = chosen.map(|number| number * stride - 1).collect();

        // 2. What is left of the image at each, and how much of the sample stays.
        let level = |&time: &usize| {
            let scaled = time as f64 * self.timestep_scaling;
            let square = scaled.powi(2) + SIGMA_DATA.powi(2);
            let (skip, out) = (SIGMA_DATA.powi(2) / square, scaled / square.sqrt());
            Level { alpha: self.alphas.cumprod[time], skip, out }
        };
        Ok(Lcm {
            timesteps: times.iter().map(|&time| time as f64).collect(),
            levels: times.iter().map(level).collect(),
            prediction: self.prediction,
            clip: self.clip,
            noise: Vec::new(),
        })
    }
}

#[derive(Debug)]
struct Level {
    /// ᾱ.
    alpha: f32,
    /// The weights of the sample and of what it is without noise.
    skip: f64,
    out: f64,
}

/// One run of `LCMScheduler`.
#[derive(Debug)]
pub(super) struct Lcm {
    timesteps: Vec<f64>,
    levels: Vec<Level>,
    prediction: Prediction,
    clip: Option<f64>,
    /// What is added after each step but the last.
    noise: Vec<Tensor>,
}

impl Scheduler for Lcm {
    fn timesteps(&self) -> &[f64] {
        &self.timesteps
    }

    fn take_noise(&mut self, noise: &mut [Noise], latents: &Tensor) {
        let shape = [&[1], &latents.size()[1..]].concat();
        let (kind, device) = (latents.kind(), latents.device());
        let mut draw = || {
            let each: Vec<_> =
                noise.iter_mut().map(|noise| noise.normal_of(&shape, kind)).collect();
            Tensor::cat(&each, 0).to_device(device) // [n, ..]
        };
        self.noise = self.levels.iter().skip(1).map(|_| draw()).collect();
    }

    fn step(&mut self, output: &Tensor, index: usize, sample: &Tensor) -> Stepped {
        let root = |square: f32| f64::from(square.sqrt());
        let &Level { alpha, skip, out } = &self.levels[index];
        let (image, noise) = (root(alpha), root(1.0 - alpha));

        // 1. The sample without noise.
        let mut original = match self.prediction {
            Prediction::Epsilon => (sample - output * noise) / image,
            Prediction::Sample => output.shallow_clone(),
            Prediction::Velocity => sample * image - output * noise,
        };
        if let Some(range) = self.clip {
            original = original.clamp(-range, range);
        }
        let denoised = original * out + sample * skip;

        // 2. Noise anew, less than before.
        let sample = match (self.levels.get(index + 1), self.noise.get(index)) {
            (Some(next), Some(noise)) => {
                &denoised * root(next.alpha) + noise * root(1.0 - next.alpha)
            }
            _ => denoised.shallow_clone(),
        };
        Stepped { sample, original: denoised }
    }
}
