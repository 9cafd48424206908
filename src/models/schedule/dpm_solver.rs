//! DPM-Solver++ of several steps (Lu et al. 2022): uses what the network said at earlier steps.

use std::collections::VecDeque;

use tch::{Kind, Tensor};

use super::betas::{Alphas, BetaSchedule};
use super::sigmas::{Levels, Spacing, final_sigma, interpolate, time_of};
use super::{Prediction, Scheduler, Stepped};
use crate::models::common::fields::Fields;
use crate::{Error, Result};

/// Runs of fewer steps than this end with lower orders, where `lower_order_final` says so.
/// diffusers, `DPMSolverMultistepScheduler.step`.
const FEW_STEPS: usize = 15;

/// `DPMSolverMultistepScheduler`'s settings.
#[derive(Clone, Debug)]
pub(crate) struct DpmSolverConfig {
    train_sigmas: Vec<f32>,
    /// The training steps before those that `lambda_min_clipped` cuts off.
    last_timestep: usize,
    spacing: Spacing,
    levels: Levels,
    /// Whether times found from noise levels are rounded before they are cut to whole numbers.
    round_times: bool,
    final_sigma: f32,
    solver: Solver,
}

#[derive(Clone, Copy, Debug)]
struct Solver {
    prediction: Prediction,
    order: usize,
    heun: bool,
    lower_order_final: bool,
    euler_at_final: bool,
    ends_at_zero: bool,
}

impl DpmSolverConfig {
    pub(super) fn new(settings: &Fields) -> Result<Self> {
        settings.refuse(&["thresholding", "use_dynamic_shifting"])?;
        settings.choice("algorithm_type", &[("dpmsolver++", ()), ("deis", ())])?;
        let fixed = ["fixed_small", "fixed_small_log", "fixed_large", "fixed_large_log"];
        let variances = fixed.map(|name| (name, false)).into_iter();
        let variances: Vec<_> =
            variances.chain([("learned", true), ("learned_range", true)]).collect();
        if settings.choice("variance_type", &variances)? {
            return Err(settings.invalid("variance_type", "no learned variance", "a learned one"));
        }
        let alphas = Alphas::read(settings)?.never_zero();
        let train_sigmas = alphas.sigmas();
        let lambda = |alpha: f32| f64::from(alpha.sqrt().ln() - (1.0 - alpha).sqrt().ln());
        let min = settings.number("lambda_min_clipped", f64::NEG_INFINITY)?;
        let clipped = alphas.cumprod.iter().rev().take_while(|&&alpha| lambda(alpha) < min).count();
        if clipped == alphas.steps() {
            return Err(settings.invalid("lambda_min_clipped", "a level of the training", min));
        }
        let lu = settings.flag("use_lu_lambdas", false)?;
        let levels = match Levels::read(settings)? {
            // Lu et al. spread the logarithms evenly too.
            Levels::Timesteps | Levels::Exponential | Levels::Beta if lu => Levels::Exponential,
            levels => levels,
        };
        let cosine = BetaSchedule::read(settings)? == BetaSchedule::SquaredCosine;
        let final_sigma = final_sigma(settings, &train_sigmas)?;
        // Other classes name three solvers of theirs; diffusers takes the midpoint for them.
        let solvers =
            ["midpoint", "heun", "logrho", "bh1", "bh2"].map(|name| (name, name == "heun"));
        Ok(Self {
            last_timestep: alphas.steps() - clipped,
            spacing: Spacing::read(settings, "linspace")?,
            round_times: (levels == Levels::Karras || lu) && !cosine,
            levels,
            solver: Solver {
                prediction: Prediction::read(settings)?,
                order: settings.integer("solver_order", 2, 1..=3)? as usize,
                heun: settings.choice("solver_type", &solvers)?,
                lower_order_final: settings.flag("lower_order_final", true)?,
                euler_at_final: settings.flag("euler_at_final", false)?,
                ends_at_zero: final_sigma == 0.0,
            },
            final_sigma,
            train_sigmas,
        })
    }

    pub(super) fn start(&self, steps: usize) -> Result<DpmSolver> {
        // 1. Times, the noisiest first; of `steps + 1` the last one is left out.
        let (train, last) = (self.train_sigmas.len(), self.last_timestep);
        let mut timesteps = self.spacing.times(last, train, steps, 1)?;
        timesteps.iter_mut().for_each(|time| *time = time.round_ties_even());

        // 2. Their noise levels.
        let [min, max] = [0, train - 1].map(|i| f64::from(self.train_sigmas[i]));
        let sigmas = match self.levels.between(max, min, steps) {
            None => interpolate(&timesteps, &self.train_sigmas),
            Some(sigmas) => {
                let log_sigmas: Vec<_> = self.train_sigmas.iter().map(|sigma| sigma.ln()).collect();
                timesteps = sigmas.iter().map(|&sigma| time_of(sigma, &log_sigmas)).collect();
                if self.round_times {
                    timesteps.iter_mut().for_each(|time| *time = time.round_ties_even());
                }
                sigmas
            }
        };
        timesteps.iter_mut().for_each(|time| *time = time.trunc());
        let sigmas: Vec<_> = sigmas.into_iter().map(|sigma| sigma as f32).collect();
        // The step behind one between equal levels would divide by the way that came, which is 0.
        if sigmas.windows(2).any(|pair| pair[0] == pair[1]) {
            let expected = format!(
                "fewer: the {train} levels that the model is trained with do not make as many"
            );
            return Err(Error::invalid_input("steps", expected, steps));
        }
        Ok(DpmSolver {
            levels: sigmas.into_iter().chain([self.final_sigma]).map(Level::new).collect(),
            timesteps,
            solver: self.solver,
            originals: VecDeque::new(),
        })
    }
}

/// A noise level: the shares of image and noise in a sample, and λ = log(alpha / sigma).
#[derive(Clone, Copy, Debug)]
struct Level {
    alpha: f32,
    sigma: f32,
    lambda: f32,
}

impl Level {
    fn new(sigma: f32) -> Self {
        let alpha = 1.0 / (sigma * sigma + 1.0).sqrt();
        let sigma = sigma * alpha;
        Self { alpha, sigma, lambda: alpha.ln() - sigma.ln() }
    }
}

/// One run of `DPMSolverMultistepScheduler`.
#[derive(Debug)]
pub(super) struct DpmSolver {
    /// Before each step, and after the last.
    levels: Vec<Level>,
    timesteps: Vec<f64>,
    solver: Solver,
    /// Samples without noise, as the latest steps saw them; the newest first.
    originals: VecDeque<Tensor>,
}

impl DpmSolver {
    /// How many steps this one may look back to, counting itself.
    fn order(&self, index: usize) -> usize {
        let Solver { order, lower_order_final, euler_at_final, ends_at_zero, .. } = self.solver;
        let few = lower_order_final && self.timesteps.len() < FEW_STEPS;
        let left = self.timesteps.len() - index;
        let allowed = match left {
            1 if euler_at_final || few || ends_at_zero => 1,
            2 if few => 2,
            _ => order,
        };
        allowed.min(order).min(self.originals.len())
    }

    fn original(&self, output: &Tensor, index: usize, sample: &Tensor) -> Tensor {
        let Level { alpha, sigma, .. } = self.levels[index];
        let (alpha, sigma) = (f64::from(alpha), f64::from(sigma));
        match self.solver.prediction {
            Prediction::Epsilon => (sample - output * sigma) / alpha,
            Prediction::Sample => output.shallow_clone(),
            Prediction::Velocity => sample * alpha - output * sigma,
        }
    }
}

impl Scheduler for DpmSolver {
    fn timesteps(&self) -> &[f64] {
        &self.timesteps
    }

    fn step(&mut self, output: &Tensor, index: usize, sample: &Tensor) -> Stepped {
        // 1. The sample without noise, now and at the steps before.
        let original = self.original(output, index, sample);
        self.originals.truncate(self.solver.order - 1);
        self.originals.push_front(original.shallow_clone());

        // 2. Coefficients: h is the way to go, e = exp(-h) - 1, in the paper's letters.
        let (now, next) = (self.levels[index], self.levels[index + 1]);
        let h = next.lambda - now.lambda;
        let e = (-h).exp() - 1.0;
        let before = |steps: usize| self.levels[index - steps].lambda;
        let d0 = &self.originals[0];
        let base = sample.to_kind(Kind::Float) * f64::from(next.sigma / now.sigma)
            - d0 * f64::from(next.alpha * e);
        let slope = |newer: usize, r: f32| {
            (&self.originals[newer] - &self.originals[newer + 1]) * f64::from(1.0 / r)
        };

        // 3. The sample at the next level: order 1, 2 or 3.
        let sample = match self.order(index) {
            0 | 1 => base,
            2 => {
                let d1 = slope(0, (now.lambda - before(1)) / h);
                if self.solver.heun {
                    base + d1 * f64::from(next.alpha * (e / h + 1.0))
                } else {
                    base - d1 * f64::from(0.5 * (next.alpha * e))
                }
            }
            _ => {
                let (r0, r1) = ((now.lambda - before(1)) / h, (before(1) - before(2)) / h);
                let (d1_0, d1_1) = (slope(0, r0), slope(1, r1));
                let bend = &d1_0 - d1_1;
                let d1 = d1_0 + &bend * f64::from(r0 / (r0 + r1));
                let d2 = bend * f64::from(1.0 / (r0 + r1));
                base + d1 * f64::from(next.alpha * (e / h + 1.0))
                    - d2 * f64::from(next.alpha * ((e + h) / (h * h) - 0.5))
            }
        };
        Stepped { sample: sample.to_kind(output.kind()), original }
    }
}
