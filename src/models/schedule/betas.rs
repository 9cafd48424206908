//! Turns the noise added per training step (β) into what is left of the image after each (ᾱ).

use std::f64::consts::FRAC_PI_2;

use tch::{Device, Kind, Tensor};

use crate::Result;
use crate::models::common::fields::Fields;

/// The noise schedule of the training, in the precision that diffusers keeps it in.
#[derive(Clone, Debug)]
pub(super) struct Alphas {
    /// ᾱ of each training step, in [0, 1], falling.
    pub(super) cumprod: Vec<f32>,
    /// Whether the last one was made 0 (`rescale_betas_zero_snr`).
    pub(super) zero_snr: bool,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum BetaSchedule {
    Linear,
    ScaledLinear,
    SquaredCosine,
}

impl BetaSchedule {
    pub(super) fn read(settings: &Fields) -> Result<Self> {
        Self::read_or(settings, Self::Linear)
    }

    fn read_or(settings: &Fields, default: Self) -> Result<Self> {
        let (linear, scaled) = (("linear", Self::Linear), ("scaled_linear", Self::ScaledLinear));
        let mut choices = [linear, scaled, ("squaredcos_cap_v2", Self::SquaredCosine)];
        // The first is the default.
        choices.sort_by_key(|(_, schedule)| *schedule != default);
        settings.choice("beta_schedule", &choices)
    }
}

impl Alphas {
    pub(super) fn read(settings: &Fields) -> Result<Self> {
        Self::read_or(settings, (0.0001, 0.02), BetaSchedule::Linear)
    }

    /// The same with other defaults of `beta_start` and `beta_end`, and of `beta_schedule`.
    pub(super) fn read_or(
        settings: &Fields,
        (start, end): (f64, f64),
        schedule: BetaSchedule,
    ) -> Result<Self> {
        // 1. β of each training step.
        let steps = settings.integer("num_train_timesteps", 1000, 1..=1_000_000)?;
        let start = settings.number("beta_start", start)?;
        let end = settings.number("beta_end", end)?;
        let floats = (Kind::Float, Device::Cpu);
        let schedule = BetaSchedule::read_or(settings, schedule)?;
        let mut betas = match (settings.numbers("trained_betas")?, schedule) {
            (Some(betas), _) => Tensor::from_slice(&betas).to_kind(Kind::Float),
            (None, BetaSchedule::Linear) => Tensor::linspace(start, end, steps, floats),
            (None, BetaSchedule::ScaledLinear) => {
                Tensor::linspace(start.sqrt(), end.sqrt(), steps, floats).square()
            }
            (None, BetaSchedule::SquaredCosine) => Tensor::from_slice(&squared_cosine(steps)),
        };
        if betas.size1().unwrap_or(0) != steps {
            let expected = format!("{steps} values, as num_train_timesteps says");
            return Err(settings.invalid("trained_betas", &expected, betas.numel()));
        }
        let zero_snr = settings.flag("rescale_betas_zero_snr", false)?;
        if zero_snr {
            betas = rescale_to_zero_snr(&betas);
        }

        // 2. Their product ᾱ.
        let cumprod: Vec<f32> = Vec::try_from((1_f64 - betas).cumprod(0, Kind::Float))
            .map_err(|error| settings.invalid("beta_schedule", "numbers", error))?;
        if let Some(alpha) = cumprod.iter().find(|alpha| !(0.0..=1.0).contains(*alpha)) {
            return Err(settings.invalid("beta_start to beta_end", "betas in [0, 1]", alpha));
        }
        Ok(Self { cumprod, zero_snr })
    }

    /// For schedulers that divide by ᾱ: the last one becomes the smallest 16-bit number in place
    /// of 0, as in diffusers.
    #[must_use]
    pub(super) fn never_zero(mut self) -> Self {
        if let (true, Some(last)) = (self.zero_snr, self.cumprod.last_mut()) {
            *last = 2_f32.powi(-24);
        }
        self
    }

    /// The number of training steps.
    pub(super) fn steps(&self) -> usize {
        self.cumprod.len()
    }

    /// Noise against image, σ = √((1 - ᾱ) / ᾱ), of each training step; rising. By libtorch, whose
    /// roots are not always the nearest ones.
    pub(super) fn sigmas(&self) -> Vec<f32> {
        let alphas = Tensor::from_slice(&self.cumprod);
        let sigmas = ((1_f64 - &alphas) / alphas).pow_tensor_scalar(0.5);
        let mut values = vec![0.0; self.cumprod.len()];
        sigmas.copy_data(&mut values, self.cumprod.len());
        values
    }
}

/// Nichol and Dhariwal, "Improved Denoising Diffusion Probabilistic Models", 2021, equation 17.
fn squared_cosine(steps: i64) -> Vec<f32> {
    let alpha = |time: f64| ((time + 0.008) / 1.008 * FRAC_PI_2).cos().powi(2);
    let of = |step: i64| alpha(step as f64 / steps as f64);
    (0..steps).map(|step| (1.0 - of(step + 1) / of(step)).min(0.999) as f32).collect()
}

/// Lin et al., "Common Diffusion Noise Schedules and Sample Steps are Flawed", 2023, algorithm 1.
fn rescale_to_zero_snr(betas: &Tensor) -> Tensor {
    let roots = (1_f64 - betas).cumprod(0, Kind::Float).sqrt();
    let (first, last) = (roots.get(0), roots.get(-1));
    let roots = (roots - &last) * (&first / (&first - &last));
    let cumprod = roots.square();
    let steps = cumprod.numel() as i64;
    let alphas = cumprod.narrow(0, 1, steps - 1) / cumprod.narrow(0, 0, steps - 1);
    1_f64 - Tensor::cat(&[cumprod.narrow(0, 0, 1), alphas], 0)
}
