//! Every part of imagerag as a crate of its own makes it, with default features and no other
//! dependency: pictures of one colour, which the embedder sees and the generator copies.

mod conditioner;
mod critic;
mod embedder;
mod generator;
mod index;
mod reranker;
mod retriever;
mod vlm;

pub use conditioner::Gallery;
pub use critic::Judge;
pub use embedder::Eye;
pub use generator::Brush;
pub use index::Rows;
pub use reranker::Lightest;
pub use retriever::Shelf;
pub use vlm::Oracle;

use std::future::poll_fn;
use std::task::Poll;

use imagerag::Image;

/// A picture of one colour.
pub fn solid(side: u32, rgb: [u8; 3]) -> imagerag::Result<Image> {
    Image::new(side, side, rgb.repeat(side as usize * side as usize))
}

/// The mean of each channel of `image`, in [0, 255].
pub fn mean(image: &Image) -> [f32; 3] {
    let mut sums = [0.0; 3];
    for pixel in image.pixels().chunks_exact(3) {
        for (sum, byte) in sums.iter_mut().zip(pixel) {
            *sum += f32::from(*byte);
        }
    }
    sums.map(|sum| sum / (image.pixels().len() / 3) as f32)
}

/// A byte that depends on `text` alone.
pub(crate) fn hash(text: &str) -> u8 {
    text.bytes().fold(7, |hash: u8, byte| hash.wrapping_mul(31).wrapping_add(byte))
}

/// Lets others go on, as a part does that waits for a service.
pub(crate) async fn pause() {
    let mut has_waited = false;
    poll_fn(|context| {
        if has_waited {
            return Poll::Ready(());
        }
        has_waited = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Calls a part by its name.
macro_rules! named {
    ($($part:ident)*) => {
        $(impl std::fmt::Display for $part {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(stringify!($part))
            }
        })*
    };
}

named!(Gallery Judge Eye Brush Rows Lightest Shelf Oracle);
