//! The smallest generator on this machine, for tests: noise and a prompt through one linear layer.

use std::sync::{Arc, Mutex};

use futures::executor::block_on;
use tch::{Device, Kind, Tensor};

use super::local::{Job, Local, LocalConfig, Program, Run};
use super::settings::Settings;
use crate::conditioner::ConditioningKind;
use crate::models::common::golden::fixture;
use crate::models::common::layers::Linear;
use crate::models::common::noise::Noise;
use crate::models::common::worker::Cancel;
use crate::models::schedule::FlowMatchConfig;
use crate::{Image, Result};

/// Width and height where a request asks for none.
const SIZE: (u32, u32) = (24, 16);

#[derive(Debug)]
pub(super) struct OneLayer {
    layer: Linear,
    scheduler: FlowMatchConfig,
    /// The most of a batch that there is memory for.
    fits: usize,
    /// How many requests each batch had.
    batches: Batches,
}

pub(super) type Batches = Arc<Mutex<Vec<usize>>>;

impl OneLayer {
    /// The generator, and what it will tell of its batches.
    pub(super) fn load(fits: usize) -> (Local<Self>, Batches) {
        let path = fixture("flux/schnell/scheduler/scheduler_config.json");
        let scheduler = FlowMatchConfig::open(&path, None).unwrap();
        let config = LocalConfig {
            name: "OneLayer".into(),
            default_size: SIZE,
            size_multiple: 8,
            accepts: vec![ConditioningKind::None],
            steps: 4,
            guidance_scale: None,
            negative_prompt: None,
            family: scheduler.clone(),
        };
        let batches = Batches::default();
        let told = Arc::clone(&batches);
        let load = Local::load(config, Settings::new("".as_ref()), 1, move |loader| {
            let w = || Ok(Noise::new(7).normal_of(&[3, 3], loader.kind).to_device(loader.device));
            let layer = Linear { w: loader.part("layer", w)?, b: None };
            Ok(Self { layer, scheduler, fits, batches: told })
        });
        (load.unwrap(), batches)
    }
}

impl Program for OneLayer {
    type Config = FlowMatchConfig;

    fn check(config: &FlowMatchConfig, job: &mut Job) -> Result<()> {
        config.start(job.steps, 1).map(drop)
    }

    fn start<'a>(&'a mut self, jobs: &'a [Arc<Job>], _: &Cancel) -> Result<Run<'a>> {
        let Self { layer, scheduler, fits, batches } = &*self;
        batches.lock().unwrap().push(jobs.len());
        // 1. a number that stands for each prompt
        let number = |job: &Arc<Job>| job.prompt.bytes().map(f32::from).sum::<f32>() / 500.0;
        let prompts = Tensor::from_slice(&jobs.iter().map(number).collect::<Vec<_>>());

        // 2. noise
        let shape = [1, i64::from(jobs[0].size.1), i64::from(jobs[0].size.0), 3];
        let noise = jobs.iter().map(|job| Noise::new(job.seed).normal(&shape));
        let latents = Tensor::cat(&noise.collect::<Vec<_>>(), 0); // [n, height, width, 3]

        // 3. the flow, which lacks memory at the second step of too large a batch
        let predict = move |index: usize, latents: &Tensor| {
            assert!(index == 0 || jobs.len() <= *fits, "CUDA out of memory.");
            Ok(layer.forward(latents) + prompts.view([-1, 1, 1, 1]))
        };
        let scheduler = Box::new(scheduler.start(jobs[0].steps, 1)?);
        let (predict, decode) = (Box::new(predict), Box::new(decode));
        Ok(Run { scheduler, latents, predict, preview: decode.clone(), decode })
    }
}

/// `[1, height, width, 3]` to an image.
fn decode(latents: &Tensor) -> Result<Image> {
    let (_, height, width, _) = latents.size4().unwrap();
    let bytes = (latents.sigmoid() * 255.0).round().to_kind(Kind::Uint8).to_device(Device::Cpu);
    let bytes = Vec::<u8>::try_from(bytes.flatten(0, -1)).unwrap();
    Image::new(width as u32, height as u32, bytes)
}

#[cfg(feature = "testing")]
#[test]
fn keeps_the_contract_of_every_generator() {
    block_on(crate::testing::conformance::generator(&OneLayer::load(2).0));
}
