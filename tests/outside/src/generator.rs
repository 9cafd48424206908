//! A generator: a prompt to a picture of one colour, that of its references where there are some.

use imagerag::conditioner::{Conditioning, ConditioningKind};
use imagerag::generator::{Drawn, GenerateRequest, Step};
use imagerag::{Error, Generator, Result, Usage, async_trait};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{hash, mean, solid};

/// Draws in one colour.
#[derive(Debug, Default)]
pub struct Brush {
    busy: AtomicU32,
}

impl Brush {
    /// A brush that is busy for the first `calls` calls.
    pub fn busy_for(calls: u32) -> Self {
        Self { busy: calls.into() }
    }

    fn draw(&self, request: &GenerateRequest) -> Result<Drawn> {
        let rgb = match &request.conditioning {
            Conditioning::Images(images) if !images.is_empty() => {
                let means = images.iter().map(mean);
                let sum = means.fold([0.0; 3], |sum, rgb| [0, 1, 2].map(|n| sum[n] + rgb[n]));
                sum.map(|channel| (channel / images.len() as f32) as u8)
            }
            _ => [hash(&request.prompt), (request.seed as u8).wrapping_mul(40), 128],
        };
        let image = solid(request.width.unwrap_or(16), rgb)?;
        let steps = request.steps.unwrap_or(4);
        for index in 1..=steps {
            let mut step = Step::new(index, steps);
            step.preview = request.progress.wants_preview(index).then(|| image.clone());
            request.progress.report(step);
        }
        Ok(Drawn::from(image).with_usage(Usage::images(1)).with_note("in one colour"))
    }
}

#[async_trait]
impl Generator for Brush {
    fn accepts(&self) -> &[ConditioningKind] {
        &[ConditioningKind::None, ConditioningKind::Images]
    }

    async fn generate(&self, requests: &[GenerateRequest]) -> Result<Vec<Drawn>> {
        for request in requests {
            request.validate()?;
            request.validate_conditioning(self.accepts())?;
        }
        let is_busy =
            self.busy.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if is_busy.is_ok() {
            return Err(Error::service(self, 503, "busy"));
        }
        requests.iter().map(|request| self.draw(request)).collect()
    }
}
