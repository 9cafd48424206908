//! Euler's method: follows the slope that the network sees from one noise level to the next.

use tch::{Device, Kind, Tensor};

use super::betas::Alphas;
use super::sigmas::{Levels, Spacing, final_sigma, interpolate, time_of};
use super::{Prediction, Scheduler, Stepped};
use crate::Result;
use crate::models::common::fields::Fields;

/// `EulerDiscreteScheduler`'s settings.
#[derive(Clone, Debug)]
pub(crate) struct EulerConfig {
    train_sigmas: Vec<f32>,
    prediction: Prediction,
    spacing: Spacing,
    levels: Levels,
    /// Whether the levels between the first and the last are spread evenly in their logarithms.
    log_linear: bool,
    /// Whether the network is told log σ / 4 for the time.
    continuous: bool,
    sigma_range: (Option<f64>, Option<f64>),
    final_sigma: f32,
}

impl EulerConfig {
    pub(super) fn new(settings: &Fields) -> Result<Self> {
        settings.refuse(&["use_dynamic_shifting"])?;
        let train_sigmas = Alphas::read(settings)?.never_zero().sigmas();
        let prediction = Prediction::read(settings)?;
        let times = [("discrete", false), ("continuous", true)];
        let continuous = settings.choice("timestep_type", &times)?;
        let interpolations = [("linear", false), ("log_linear", true)];
        let (min, max) = ("sigma_min", "sigma_max");
        Ok(Self {
            prediction,
            spacing: Spacing::read(settings, "linspace")?,
            levels: Levels::read(settings)?,
            log_linear: settings.choice("interpolation_type", &interpolations)?,
            continuous: continuous && prediction == Prediction::Velocity,
            sigma_range: (settings.optional_number(min)?, settings.optional_number(max)?),
            final_sigma: final_sigma(settings, &train_sigmas)?,
            train_sigmas,
        })
    }

    pub(super) fn start(&self, steps: usize) -> Result<Euler> {
        // 1. Times, the noisiest first.
        let train = self.train_sigmas.len();
        let mut timesteps = self.spacing.times(train, train, steps, 0)?;
        round_to_f32(&mut timesteps);

        // 2. Their noise levels.
        let log_sigmas: Vec<f32> = self.train_sigmas.iter().map(|sigma| sigma.ln()).collect();
        let mut sigmas = if self.log_linear {
            let (first, last) = (log_sigmas[train - 1], log_sigmas[0]);
            let floats = (Kind::Float, Device::Cpu);
            let levels =
                Tensor::linspace(f64::from(first), f64::from(last), steps as i64 + 1, floats).exp();
            levels.iter::<f64>().map_or_else(|_| Vec::new(), Iterator::collect)
        } else {
            interpolate(&timesteps, &self.train_sigmas)
        };
        let max = self.sigma_range.1.unwrap_or(sigmas[0]);
        let min = self.sigma_range.0.unwrap_or(sigmas[sigmas.len() - 1]);
        if let Some(levels) = self.levels.between(max, min, steps) {
            timesteps = levels.iter().map(|&sigma| time_of(sigma, &log_sigmas)).collect();
            sigmas = levels;
        }
        let mut sigmas: Vec<f32> = sigmas.into_iter().map(|sigma| sigma as f32).collect();
        if self.continuous {
            timesteps = sigmas.iter().map(|sigma| f64::from(0.25 * sigma.ln())).collect();
        }
        sigmas.push(self.final_sigma);
        round_to_f32(&mut timesteps);
        let leading = matches!(self.spacing, Spacing::Leading { .. });
        Ok(Euler { sigmas, timesteps, prediction: self.prediction, leading })
    }
}

fn round_to_f32(values: &mut [f64]) {
    for value in values {
        *value = f64::from(*value as f32);
    }
}

/// One run of `EulerDiscreteScheduler`.
#[derive(Debug)]
pub(super) struct Euler {
    /// Noise level before each step, and after the last.
    sigmas: Vec<f32>,
    timesteps: Vec<f64>,
    prediction: Prediction,
    leading: bool,
}

impl Scheduler for Euler {
    fn timesteps(&self) -> &[f64] {
        &self.timesteps
    }

    fn init_noise_sigma(&self) -> f64 {
        let max = self.sigmas.iter().copied().fold(0.0, f32::max);
        f64::from(if self.leading { (max * max + 1.0).sqrt() } else { max })
    }

    fn scale_model_input(&self, sample: &Tensor, index: usize) -> Tensor {
        let sigma = self.sigmas[index];
        sample / f64::from((sigma * sigma + 1.0).sqrt())
    }

    fn step(&mut self, output: &Tensor, index: usize, sample: &Tensor) -> Stepped {
        let (sigma, next) = (self.sigmas[index], self.sigmas[index + 1]);
        let sample = sample.to_kind(Kind::Float);

        // 1. The sample without noise.
        let original = match self.prediction {
            Prediction::Sample => output.shallow_clone(),
            Prediction::Epsilon => &sample - output * f64::from(sigma),
            Prediction::Velocity => {
                let variance = sigma * sigma + 1.0;
                output * f64::from(-sigma / variance.sqrt()) + &sample / f64::from(variance)
            }
        };

        // 2. Along the slope to the next noise level.
        let slope = (&sample - &original) / f64::from(sigma);
        let sample = (sample + slope * f64::from(next - sigma)).to_kind(output.kind());
        Stepped { sample, original }
    }
}
