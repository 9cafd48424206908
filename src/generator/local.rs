//! What every generator on this machine shares: a model on a thread of its own, requests checked
//! and filled in, and those that agree drawn as one batch.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use tch::Tensor;

use super::denoise::denoise;
use super::loading::Loader;
use super::settings::Settings;
use super::size::{bounded, checked_size};
use super::{Drawn, GenerateRequest, Generator, Progress};
use crate::conditioner::{ConditionImage, Conditioning, ConditioningKind};
use crate::models::common::free_memory::trim_heap;
use crate::models::common::worker::{Cancel, Worker};
use crate::models::schedule::Scheduler;
use crate::models::{DType, Device};
use crate::{Error, Image, Result};

/// How a family of models makes images of checked requests. It lives on the thread of its model.
pub(super) trait Program: fmt::Debug + Sized + 'static {
    /// What requests are checked with before they get to that thread.
    type Config: fmt::Debug + Send + Sync + 'static;

    /// Refuses what the checkpoint cannot do, leaves out of `job` what has no effect, notes what of its
    /// texts is not read, and says which size is drawn where it is not the one that is asked for.
    fn check(config: &Self::Config, job: &mut Job) -> Result<()>;

    /// Encodes what `jobs` ask for, of which there is at least one: one batch, for they agree in
    /// all that [`Job::agrees`] names.
    fn start<'a>(&'a mut self, jobs: &'a [Arc<Job>], cancel: &Cancel) -> Result<Run<'a>>;
}

type Predict<'a> = Box<dyn Fn(usize, &Tensor) -> Result<Tensor> + 'a>;
type Decode<'a> = Box<dyn Fn(&Tensor) -> Result<Image> + 'a>;

/// A batch between its prompts and its images.
pub(super) struct Run<'a> {
    pub(super) scheduler: Box<dyn Scheduler>,
    /// What the first step is given, `[n, ..]`.
    pub(super) latents: Tensor,
    /// What the network says at a step, from 0, of the sample that it is shown, `[n, ..]`.
    pub(super) predict: Predict<'a>,
    /// A small image of one request's latents, `[1, ..]`.
    pub(super) preview: Decode<'a>,
    /// The image of one request's latents, `[1, ..]`.
    pub(super) decode: Decode<'a>,
}

/// A request with every value filled in and checked.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) prompt: String,
    pub(super) negative_prompt: Option<String>,
    pub(super) conditioning: Conditioning,
    pub(super) seed: u64,
    /// Width and height in pixels of what is drawn.
    pub(super) size: (u32, u32),
    /// Width and height in pixels of the image that the caller gets. Differs from `size` where
    /// [`Program::check`] says so.
    pub(super) asked: (u32, u32),
    pub(super) steps: usize,
    pub(super) guidance: Option<f64>,
    /// The tokens of its longest text, where texts are read whole.
    pub(super) tokens: usize,
    /// What the caller is told of the request, with the first step and with the image.
    pub(super) note: Option<String>,
    progress: Progress,
}

impl Job {
    /// Whether both go through the network in one batch.
    fn agrees(&self, other: &Self) -> bool {
        let shape = |job: &Self| {
            (job.size, job.steps, job.guidance, job.negative_prompt.is_some(), job.tokens)
        };
        self.asked == other.asked
            && shape(self) == shape(other)
            && agree(&self.conditioning, &other.conditioning)
    }

    fn pixels(&self) -> u64 {
        u64::from(self.size.0) * u64::from(self.size.1)
    }
}

/// Whether references of both enter the network in the same shape and in the same way.
fn agree(one: &Conditioning, other: &Conditioning) -> bool {
    match (one, other) {
        (Conditioning::None, Conditioning::None) => true,
        // Rows of a batch may be of different lengths.
        (Conditioning::Images(_), Conditioning::Images(_)) => true,
        (Conditioning::Tokens(one), Conditioning::Tokens(other)) => {
            one.tokens == other.tokens && one.strength == other.strength
        }
        (Conditioning::Condition(one), Conditioning::Condition(other)) => {
            let size = |image: &Image| (image.width(), image.height());
            // All but the picture is equal.
            size(&one.image) == size(&other.image)
                && *one == ConditionImage { image: one.image.clone(), ..other.clone() }
        }
        _ => false,
    }
}

/// What the rest of the program must know of a model.
#[derive(Debug)]
pub(super) struct LocalConfig<C> {
    /// The model's name, of the family, the folder and what else tells two apart.
    pub(super) name: String,
    /// Width and height where a request asks for none, in pixels.
    pub(super) default_size: (u32, u32),
    /// Sides of images are multiples of this many pixels.
    pub(super) size_multiple: u32,
    pub(super) accepts: Vec<ConditioningKind>,
    /// Where a request asks for none, as the two below.
    pub(super) steps: usize,
    pub(super) guidance_scale: Option<f64>,
    pub(super) negative_prompt: Option<String>,
    /// What only the family knows.
    pub(super) family: C,
}

/// A model of any family, on a thread of its own.
#[derive(Debug)]
pub(super) struct Local<P: Program> {
    pub(super) config: LocalConfig<P::Config>,
    worker: Worker<P>,
    /// The most pixels of a batch, all its images together.
    batch_pixels: AtomicU64,
}

impl<P: Program> Local<P> {
    /// Starts the thread and lets it `load` the model's `parts`, as many as that.
    pub(super) fn load(
        config: LocalConfig<P::Config>,
        Settings { device, dtype, listener, batch_pixels, .. }: Settings,
        parts: usize,
        load: impl FnOnce(&Loader) -> Result<P> + Send + 'static,
    ) -> Result<Self> {
        let worker = Worker::spawn(config.name.clone(), device, move |device| {
            let (kind, done) = (dtype.kind(), Cell::new(0));
            load(&Loader { device, kind, listener, done, total: parts })
        })?;
        let batch_pixels = batch_pixels.unwrap_or(default_batch_pixels(device, dtype));
        Ok(Self { config, worker, batch_pixels: AtomicU64::new(batch_pixels) })
    }

    /// The checked `request` with every value filled in.
    pub(super) fn job(&self, request: &GenerateRequest) -> Result<Arc<Job>> {
        request.validate()?;
        let config = &self.config;
        request.validate_conditioning(&config.accepts)?;
        let (width, height) = config.default_size;
        let size = (request.width.unwrap_or(width), request.height.unwrap_or(height));
        bounded("image size", size.0, size.1)?;
        let negative_prompt = request.negative_prompt.as_ref().or(config.negative_prompt.as_ref());
        let mut job = Job {
            prompt: request.prompt.clone(),
            negative_prompt: negative_prompt.cloned(),
            conditioning: request.conditioning.clone(),
            seed: request.seed,
            size,
            asked: size,
            steps: request.steps.unwrap_or(config.steps),
            guidance: request.guidance_scale.or(config.guidance_scale),
            tokens: 0,
            note: None,
            progress: Progress::default(),
        };
        P::check(&config.family, &mut job)?;
        checked_size(job.size, config.size_multiple)?;
        job.progress = request.progress.clone().once(job.note.clone());
        Ok(Arc::new(job))
    }

    /// The positions of those of `jobs` that are drawn together, batch by batch.
    fn batches(&self, jobs: &[Arc<Job>]) -> VecDeque<Vec<usize>> {
        let most = self.batch_pixels.load(Ordering::Relaxed);
        let mut batches = VecDeque::<Vec<usize>>::new();
        for (i, job) in jobs.iter().enumerate() {
            let has_room = |batch: &&mut Vec<usize>| {
                (batch.len() as u64 + 1) * job.pixels() <= most && jobs[batch[0]].agrees(job)
            };
            match batches.iter_mut().find(has_room) {
                Some(batch) => batch.push(i),
                None => batches.push_back(vec![i]),
            }
        }
        batches
    }
}

/// See `batch_pixels` of the builders.
const fn default_batch_pixels(device: Device, dtype: DType) -> u64 {
    match (dtype, device) {
        // Those of the largest image that is decoded whole: see `VaeTiling::Auto`.
        (DType::F32, Device::Cuda(_)) => 2048 * 2048,
        // Four images of the embedded world, 64 pixels a side, take 0.73 of the time that they take alone
        // on two cores; of 128 pixels a side, 1.07.
        (DType::F32, Device::Cpu) => 128 * 128,
        (DType::F16 | DType::Bf16, _) => 0,
    }
}

#[async_trait]
impl<P: Program> Generator for Local<P> {
    fn accepts(&self) -> &[ConditioningKind] {
        &self.config.accepts
    }

    async fn generate(&self, requests: &[GenerateRequest]) -> Result<Vec<Drawn>> {
        let jobs = requests.iter().map(|one| self.job(one)).collect::<Result<Vec<_>>>()?;
        let mut batches = self.batches(&jobs);
        let mut images: Vec<Option<Image>> = vec![None; jobs.len()];
        while let Some(mut batch) = batches.pop_front() {
            let together: Vec<_> = batch.iter().map(|&i| Arc::clone(&jobs[i])).collect();
            let drawn =
                self.worker.run(move |program, cancel| draw(program, &together, cancel)).await;
            match drawn {
                Ok(drawn) => {
                    batch.iter().zip(drawn).for_each(|(&i, image)| images[i] = Some(image));
                }
                Err(Error::OutOfMemory { .. }) if batch.len() > 1 => {
                    // Half as many at once, now and later.
                    let half = batch.split_off(batch.len().div_ceil(2));
                    let fits = batch.len() as u64 * jobs[batch[0]].pixels();
                    self.batch_pixels.fetch_min(fits, Ordering::Relaxed);
                    batches.push_front(half);
                    batches.push_front(batch);
                }
                Err(error) => return Err(error),
            }
        }
        let drawn = images.into_iter().flatten().zip(&jobs);
        Ok(drawn.map(|(image, job)| Drawn { note: job.note.clone(), ..image.into() }).collect())
    }
}

/// One image for each of `jobs`, which are one batch.
fn draw<P: Program>(program: &mut P, jobs: &[Arc<Job>], cancel: &Cancel) -> Result<Vec<Image>> {
    let Run { mut scheduler, latents, predict, preview, decode } = program.start(jobs, cancel)?;
    let progress: Vec<_> = jobs.iter().map(|job| &job.progress).collect();
    let latents = denoise(scheduler.as_mut(), latents, &progress, cancel, predict, preview)?;
    // What comes now is another network, of tensors of other sizes.
    trim_heap(latents.device());
    let image = |i| {
        cancel.check()?;
        decode(&latents.narrow(0, i, 1))
    };
    (0..jobs.len() as i64).map(image).collect()
}

impl<P: Program> fmt::Display for Local<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LocalConfig { name, default_size, steps, guidance_scale, negative_prompt, .. } =
            &self.config;
        f.write_str(name)?;
        if f.alternate() {
            let (width, height) = default_size;
            write!(f, ", by default {width} x {height} pixels, {steps} steps")?;
            write!(f, ", guidance {guidance_scale:?}, negative prompt {negative_prompt:?}")?;
        }
        Ok(())
    }
}

/// Makes the public type of a family, a struct around its [`Local`], the generator that this is; with
/// the `image_mark` by which its prompts name images, where they do.
macro_rules! local_generator {
    ($generator:ident $(, image_mark: $mark:literal)?) => {
        #[async_trait::async_trait]
        impl crate::generator::Generator for $generator {
            fn accepts(&self) -> &[crate::conditioner::ConditioningKind] {
                self.0.accepts()
            }

            $(fn image_mark(&self) -> Option<&str> {
                Some($mark)
            })?

            async fn generate(
                &self,
                requests: &[crate::generator::GenerateRequest],
            ) -> crate::Result<Vec<crate::generator::Drawn>> {
                self.0.generate(requests).await
            }
        }

        impl $generator {
            /// Width and height of an image, in pixels, if the request names no size.
            pub const fn default_size(&self) -> (u32, u32) {
                self.0.config.default_size
            }

            /// Sides of images are multiples of this many pixels.
            pub const fn size_multiple(&self) -> u32 {
                self.0.config.size_multiple
            }
        }

        impl std::fmt::Display for $generator {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

pub(super) use local_generator;
