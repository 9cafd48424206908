//! A generator and an embedder that answers, fails, lies, dawdles or hangs as it is told.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::{pending, poll_fn};
use imagerag::conditioner::ConditioningKind;
use imagerag::embedder::{Embedded, Embedding};
use imagerag::generator::{Drawn, GenerateRequest};
use imagerag::testing::solid;
use imagerag::{Embedder, Error, Generator, Image, Result, Usage, async_trait};

/// Longer than any test.
pub(crate) const LONG: Duration = Duration::from_secs(3600);

/// What a member makes of a call, after it has let others run so many times.
pub(crate) type Act = dyn Fn(usize) -> Result<Answer> + Send + Sync;

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Answer {
    Right,
    /// So many outputs more or fewer than there should be.
    OneFewer,
    OneMore,
    /// Embeddings of another length.
    OtherDim,
    Never,
}

/// A generator and an embedder.
pub(crate) struct Member {
    pub(crate) name: &'static str,
    /// How often it lets others run before it answers.
    pub(crate) pauses: usize,
    act: Box<Act>,
    pub(crate) calls: AtomicUsize,
    pub(crate) inside: AtomicUsize,
    pub(crate) most: AtomicUsize,
    /// The seeds of the images that it drew.
    pub(crate) drawn: Mutex<Vec<u64>>,
    /// The sizes of its calls.
    pub(crate) sizes: Mutex<Vec<usize>>,
}

/// A member whose `act` is told the number of the call, from 0.
pub(crate) fn member(
    name: &'static str,
    act: impl Fn(usize) -> Result<Answer> + Send + Sync + 'static,
) -> Arc<Member> {
    Arc::new(slow(name, 1, act))
}

pub(crate) fn slow(
    name: &'static str,
    pauses: usize,
    act: impl Fn(usize) -> Result<Answer> + Send + Sync + 'static,
) -> Member {
    Member {
        name,
        pauses,
        act: Box::new(act),
        calls: AtomicUsize::new(0),
        inside: AtomicUsize::new(0),
        most: AtomicUsize::new(0),
        drawn: Mutex::default(),
        sizes: Mutex::default(),
    }
}

pub(crate) fn fine(name: &'static str) -> Arc<Member> {
    member(name, |_| Ok(Answer::Right))
}

impl Member {
    async fn answer(&self, size: usize) -> Result<Answer> {
        struct Leave<'a>(&'a AtomicUsize);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, SeqCst);
            }
        }
        self.most.fetch_max(self.inside.fetch_add(1, SeqCst) + 1, SeqCst);
        let _leave = Leave(&self.inside);
        let call = self.calls.fetch_add(1, SeqCst);
        self.sizes.lock().unwrap().push(size);
        let mut left = self.pauses;
        poll_fn(|context| {
            context.waker().wake_by_ref();
            left = left.saturating_sub(1);
            if left == 0 { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
        match (self.act)(call)? {
            Answer::Never => pending().await,
            answer => Ok(answer),
        }
    }

    pub(crate) fn drawn(&self) -> usize {
        self.drawn.lock().unwrap().len()
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(SeqCst)
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The image that all members draw for a seed.
pub(crate) fn image(seed: u64) -> Image {
    let [r, g, b, ..] = (seed + 1).to_le_bytes();
    solid(1, 1, [r, g, b])
}

/// As many as the answer says.
pub(crate) fn outputs<T: Clone>(answer: Answer, mut right: Vec<T>) -> Vec<T> {
    match answer {
        Answer::OneFewer => drop(right.pop()),
        Answer::OneMore => right.extend(right.first().cloned()),
        _ => {}
    }
    right
}

#[async_trait]
impl Generator for Member {
    fn accepts(&self) -> &[ConditioningKind] {
        &[ConditioningKind::None]
    }

    async fn generate(&self, requests: &[GenerateRequest]) -> Result<Vec<Drawn>> {
        let answer = self.answer(requests.len()).await?;
        let seeds = requests.iter().map(|request| request.seed);
        self.drawn.lock().unwrap().extend(seeds.clone());
        Ok(outputs(answer, seeds.map(|seed| Drawn::from(image(seed))).collect()))
    }
}

/// The embedding that all members make of a text.
pub(crate) fn embedding(text: &str) -> Embedding {
    Embedding::new([text.len() as f32 + 1.0, 1.0]).unwrap()
}

#[async_trait]
impl Embedder for Member {
    fn dim(&self) -> usize {
        2
    }

    async fn embed_texts(&self, texts: &[&str]) -> Result<Embedded> {
        let answer = self.answer(texts.len()).await?;
        let right = texts.iter().map(|text| match answer {
            Answer::OtherDim => Embedding::new([1.0, 2.0, 3.0]).unwrap(),
            _ => embedding(text),
        });
        let embedded = Embedded::from(outputs(answer, right.collect()));
        Ok(embedded.with_usage(Usage::tokens(texts.len() as u64, 0)))
    }

    async fn embed_images(&self, images: &[Image]) -> Result<Embedded> {
        let texts = images.iter().map(|image| "x".repeat(image.width() as usize));
        let texts: Vec<_> = texts.collect();
        self.embed_texts(&texts.iter().map(String::as_str).collect::<Vec<_>>()).await
    }
}

pub(crate) fn request(seed: u64) -> GenerateRequest {
    GenerateRequest::new("a quetzal").with_seed(seed)
}

pub(crate) fn requests(seeds: impl IntoIterator<Item = u64>) -> Vec<GenerateRequest> {
    seeds.into_iter().map(request).collect()
}

pub(crate) fn pixels(drawn: Vec<Drawn>) -> Vec<Image> {
    drawn.into_iter().map(|drawn| drawn.image).collect()
}

pub(crate) fn dead() -> Result<Answer> {
    Err(Error::unavailable("the GPU", "it fell off the bus"))
}
