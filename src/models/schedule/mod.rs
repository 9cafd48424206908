//! Turns a `scheduler_config.json` and a number of steps into the steps from noise to latents.

mod betas;
mod ddim;
mod dpm_solver;
mod euler;
mod flow_match;
mod lcm;
mod settings;
mod sigmas;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use tch::Tensor;

use crate::{Error, Result};

use super::common::fields::Fields;
use super::common::noise::Noise;
use ddim::DdimConfig;
use dpm_solver::DpmSolverConfig;
use euler::EulerConfig;
use lcm::LcmConfig;

pub(crate) use flow_match::FlowMatchConfig;

/// The most steps that a run may have: more than any model is trained with, and still bounded.
const MAX_STEPS: usize = 10_000;

/// A way from noise to an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SchedulerKind {
    /// Euler's method on the noise levels; what SDXL is released with.
    Euler,
    /// Denoising diffusion implicit models, without added noise (η = 0).
    Ddim,
    /// DPM-Solver++ of several steps, the second order being "2M".
    DpmSolver,
    /// Latent consistency models, for networks that were distilled to draw in 1 to 8 steps.
    Lcm,
}

impl SchedulerKind {
    /// The kind that diffusers calls `class`.
    fn of_class(class: &str) -> Option<Self> {
        match class {
            "EulerDiscreteScheduler" => Some(Self::Euler),
            "DDIMScheduler" => Some(Self::Ddim),
            "DPMSolverMultistepScheduler" => Some(Self::DpmSolver),
            "LCMScheduler" => Some(Self::Lcm),
            _ => None,
        }
    }
}

impl fmt::Display for SchedulerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Euler => "Euler",
            Self::Ddim => "DDIM",
            Self::DpmSolver => "DPM-Solver++",
            Self::Lcm => "LCM",
        })
    }
}

impl FromStr for SchedulerKind {
    type Err = Error;

    /// `euler`, `ddim`, `dpm++` or `lcm`.
    fn from_str(name: &str) -> Result<Self> {
        match name {
            "euler" => Ok(Self::Euler),
            "ddim" => Ok(Self::Ddim),
            "dpm++" => Ok(Self::DpmSolver),
            "lcm" => Ok(Self::Lcm),
            _ => Err(Error::invalid_input("scheduler", "euler, ddim, dpm++ or lcm", name)),
        }
    }
}

/// The settings of a checkpoint's scheduler: shared by all runs, changed by none.
#[derive(Clone, Debug)]
pub(crate) enum SchedulerConfig {
    Euler(EulerConfig),
    Ddim(DdimConfig),
    DpmSolver(DpmSolverConfig),
    Lcm(LcmConfig),
}

impl SchedulerConfig {
    /// Reads `scheduler_config.json`. The scheduler is `kind`, or else what `class` (from
    /// `model_index.json`) or the file itself names. A kind of another class reads the same file,
    /// with its own defaults for what is missing there, as diffusers'
    /// `OtherScheduler.from_config(scheduler.config)` does.
    pub(crate) fn open(
        path: &Path,
        class: Option<&str>,
        kind: Option<SchedulerKind>,
    ) -> Result<Self> {
        Self::read(&settings::open(path)?, class, kind)
    }

    fn read(settings: &Fields, class: Option<&str>, kind: Option<SchedulerKind>) -> Result<Self> {
        let kind = match kind {
            Some(kind) => kind,
            None => {
                let class = class.map_or_else(|| settings.name("_class_name"), Ok)?;
                let expected = "EulerDiscreteScheduler, DDIMScheduler, \
                                DPMSolverMultistepScheduler or LCMScheduler (or choose one)";
                let unknown = || settings.invalid("_class_name", expected, class);
                SchedulerKind::of_class(class).ok_or_else(unknown)?
            }
        };
        Ok(match kind {
            SchedulerKind::Euler => Self::Euler(EulerConfig::new(settings)?),
            SchedulerKind::Ddim => Self::Ddim(DdimConfig::new(settings)?),
            SchedulerKind::DpmSolver => Self::DpmSolver(DpmSolverConfig::new(settings)?),
            SchedulerKind::Lcm => Self::Lcm(LcmConfig::new(settings)?),
        })
    }

    /// Which scheduler this is.
    pub(crate) fn kind(&self) -> SchedulerKind {
        match self {
            Self::Euler(_) => SchedulerKind::Euler,
            Self::Ddim(_) => SchedulerKind::Ddim,
            Self::DpmSolver(_) => SchedulerKind::DpmSolver,
            Self::Lcm(_) => SchedulerKind::Lcm,
        }
    }

    /// A run of `steps` steps.
    pub(crate) fn start(&self, steps: usize) -> Result<Box<dyn Scheduler>> {
        if !(1..=MAX_STEPS).contains(&steps) {
            return Err(Error::invalid_input("steps", format!("1 to {MAX_STEPS}"), steps));
        }
        Ok(match self {
            Self::Euler(config) => Box::new(config.start(steps)?),
            Self::Ddim(config) => Box::new(config.start(steps)?),
            Self::DpmSolver(config) => Box::new(config.start(steps)?),
            Self::Lcm(config) => Box::new(config.start(steps)?),
        })
    }
}

/// One run from noise to latents. Tensors keep the type of the network's output; calculations are
/// done in the types that diffusers does them in.
pub(crate) trait Scheduler {
    /// The time that the network is told at each step. Its length is the number of steps.
    fn timesteps(&self) -> &[f64];

    /// Standard deviation of the noise to begin with.
    fn init_noise_sigma(&self) -> f64 {
        1.0
    }

    /// Draws what the steps will add to `latents`, `[n, ..]`, from the `noise` of each of the batch;
    /// before the first step. Most schedulers add nothing.
    fn take_noise(&mut self, _noise: &mut [Noise], _latents: &Tensor) {}

    /// What the network is shown of `sample` at step `index`, from 0.
    fn scale_model_input(&self, sample: &Tensor, _index: usize) -> Tensor {
        sample.shallow_clone()
    }

    /// Takes step `index`, from 0, with what the network said of it.
    fn step(&mut self, output: &Tensor, index: usize, sample: &Tensor) -> Stepped;
}

/// Where a step leads.
#[derive(Debug)]
pub(crate) struct Stepped {
    /// The sample of the next step.
    pub(crate) sample: Tensor,
    /// The latents without noise, as far as the network could tell; for previews.
    pub(crate) original: Tensor,
}

/// What the network predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prediction {
    /// The noise in the sample.
    Epsilon,
    /// The sample without noise.
    Sample,
    /// A mix of both, of the same size at every step.
    Velocity,
}

impl Prediction {
    fn read(settings: &Fields) -> Result<Self> {
        let (epsilon, sample) = (("epsilon", Self::Epsilon), ("sample", Self::Sample));
        settings.choice("prediction_type", &[epsilon, sample, ("v_prediction", Self::Velocity)])
    }
}
