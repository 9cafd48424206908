//! [`Picture`]: an image that is decoded when somebody needs its pixels.

use std::fmt;
#[cfg(feature = "image")]
use std::path::Path;
use std::sync::{Arc, OnceLock};

use futures::future::{BoxFuture, FutureExt};

use crate::Result;
use crate::image::Image;
#[cfg(feature = "image")]
use crate::pool;

/// The picture of a reference: its pixels, or where to get them.
///
/// Nothing is read or decoded before [`load`](Self::load) is called. Then all clones of the picture
/// share the pixels.
///
/// Two pictures are equal if both are decoded and their pixels are equal. Otherwise they are equal
/// if they come from the same file, the same bytes or the same key.
///
/// ```
/// # use imagerag::{Image, reference::Picture};
/// # futures::executor::block_on(async {
/// // Pixels that somebody else holds. `download` runs when the picture is needed, and not again
/// // once it has given them.
/// # async fn download(_: &str) -> imagerag::Result<Image> { Image::new(1, 1, vec![0, 90, 40]) }
/// let address = "https://example.org/quetzal.jpg";
/// let picture = Picture::lazy(address, move || download(address));
/// assert!(picture.loaded().is_none());
/// assert_eq!(picture.load().await?.width(), 1);
/// assert!(picture.loaded().is_some());
/// # Ok::<(), imagerag::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct Picture {
    origin: Origin,
    memory: Arc<OnceLock<Image>>,
    skips_unreadable: bool,
}

#[derive(Clone)]
enum Origin {
    Decoded(Image),
    #[cfg(feature = "image")]
    File(Arc<Path>),
    #[cfg(feature = "image")]
    Bytes(Arc<[u8]>),
    Lazy(Arc<str>, Arc<Load>),
}

type Load = dyn Fn() -> BoxFuture<'static, Result<Image>> + Send + Sync;

impl Picture {
    /// The picture file at `path`, read as [`Image::open`] does.
    #[cfg(feature = "image")]
    pub fn file(path: impl AsRef<Path>) -> Self {
        Origin::File(path.as_ref().into()).into()
    }

    /// The picture in the bytes of a file, read as [`Image::decode`] does.
    #[cfg(feature = "image")]
    pub fn bytes(bytes: impl Into<Arc<[u8]>>) -> Self {
        Origin::Bytes(bytes.into()).into()
    }

    /// A picture that `load` gets, such as an item of an archive or the file at an address. Equal
    /// keys name the same picture.
    pub fn lazy<F>(key: impl Into<Arc<str>>, load: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Image>> + Send + 'static,
    {
        Origin::Lazy(key.into(), Arc::new(move || load().boxed())).into()
    }

    /// Marks a picture that may be missing. If it cannot be loaded, the pipeline takes the next
    /// candidate instead, for up to 64 pictures of one caption; without the mark it returns an
    /// error.
    #[must_use]
    pub const fn skipping_unreadable(mut self) -> Self {
        self.skips_unreadable = true;
        self
    }

    /// Whether [`skipping_unreadable`](Self::skipping_unreadable) was called.
    pub const fn skips_unreadable(&self) -> bool {
        self.skips_unreadable
    }

    /// The pixels. Files and bytes are decoded on a thread of the crate, and what
    /// [`lazy`](Self::lazy) was given runs where this is polled. The pixels are kept, an error is
    /// not. Nobody waits for a clone that is being loaded: two at the same time are loaded twice.
    ///
    /// # Errors
    /// Those of [`Image::open`](crate::Image::open) and [`Image::decode`](crate::Image::decode), or
    /// of what [`lazy`](Self::lazy) was given.
    pub async fn load(&self) -> Result<Image> {
        if let Some(image) = self.loaded() {
            return Ok(image.clone());
        }
        let image = match &self.origin {
            Origin::Decoded(image) => image.clone(),
            #[cfg(feature = "image")]
            Origin::File(path) => {
                let path = Arc::clone(path);
                pool::run("decoding a picture", move || Image::open(path)).await?
            }
            #[cfg(feature = "image")]
            Origin::Bytes(bytes) => {
                let bytes = Arc::clone(bytes);
                pool::run("decoding a picture", move || Image::decode(&bytes)).await?
            }
            Origin::Lazy(_, load) => load().await?,
        };
        Ok(self.memory.get_or_init(|| image).clone())
    }

    /// The pixels, if they are decoded already.
    pub fn loaded(&self) -> Option<&Image> {
        match &self.origin {
            Origin::Decoded(image) => Some(image),
            _ => self.memory.get(),
        }
    }

    /// The key that [`lazy`](Self::lazy) was given.
    #[cfg(feature = "evaluation")]
    pub(crate) fn key(&self) -> Option<&str> {
        match &self.origin {
            Origin::Lazy(key, _) => Some(key),
            _ => None,
        }
    }

    /// The same picture, whose pixels are not remembered here.
    pub(crate) fn forgetful(&self) -> Self {
        Self { memory: Arc::default(), ..self.clone() }
    }
}

impl From<Origin> for Picture {
    fn from(origin: Origin) -> Self {
        Self { origin, memory: Arc::default(), skips_unreadable: false }
    }
}

impl From<Image> for Picture {
    fn from(image: Image) -> Self {
        Origin::Decoded(image).into()
    }
}

impl PartialEq for Picture {
    fn eq(&self, other: &Self) -> bool {
        if let (Some(own), Some(others)) = (self.loaded(), other.loaded()) {
            return own == others;
        }
        match (&self.origin, &other.origin) {
            #[cfg(feature = "image")]
            (Origin::File(own), Origin::File(others)) => own == others,
            #[cfg(feature = "image")]
            (Origin::Bytes(own), Origin::Bytes(others)) => own == others,
            (Origin::Lazy(own, _), Origin::Lazy(others, _)) => own == others,
            _ => false,
        }
    }
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::Decoded(image) => write!(f, "{image:?}"),
            #[cfg(feature = "image")]
            Origin::File(path) => write!(f, "Picture({})", path.display()),
            #[cfg(feature = "image")]
            Origin::Bytes(bytes) => write!(f, "Picture({} bytes)", bytes.len()),
            Origin::Lazy(key, _) => write!(f, "Picture({key})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::executor::block_on;
    use futures::future::join;

    use super::*;

    fn dot() -> Image {
        Image::new(1, 1, vec![1, 2, 3]).unwrap()
    }

    #[test]
    fn it_is_loaded_once_for_all_clones_and_an_error_is_tried_again() {
        let loads = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&loads);
        let picture = Picture::lazy("dot", move || {
            let first = counted.fetch_add(1, Ordering::Relaxed) == 0;
            async move { if first { Err(crate::Error::Cancelled) } else { Ok(dot()) } }
        });
        assert!(block_on(picture.load()).is_err() && picture.loaded().is_none());
        let clone = picture.clone();
        let (one, other) = block_on(join(picture.load(), clone.load()));
        assert_eq!((one.unwrap(), other.unwrap()), (dot(), dot()));
        assert_eq!((picture.loaded(), loads.load(Ordering::Relaxed)), (Some(&dot()), 2));
        assert!(picture.forgetful().loaded().is_none());
        assert_eq!(picture, Picture::from(dot()));
    }

    #[test]
    fn nobody_waits_for_a_clone_that_nobody_polls() {
        let slow = Arc::new(AtomicUsize::new(0));
        let picture = Picture::lazy("dot", move || {
            let first = slow.fetch_add(1, Ordering::Relaxed) == 0;
            async move { if first { std::future::pending().await } else { Ok(dot()) } }
        });
        let mut parked = Box::pin(picture.load());
        assert!(parked.as_mut().now_or_never().is_none());
        assert_eq!(block_on(picture.clone().load()).unwrap(), dot());
    }

    #[cfg(feature = "image")]
    #[test]
    fn files_and_bytes_are_the_same_before_they_are_decoded() {
        let png = dot().encode_png().unwrap();
        let bytes = Picture::bytes(png.as_slice());
        assert_eq!((&bytes, bytes.loaded()), (&Picture::bytes(png), None));
        assert_eq!(block_on(bytes.load()).unwrap(), dot());
        assert_eq!(Picture::file("a.png"), Picture::file("a.png"));
        assert_ne!(Picture::file("a.png"), Picture::file("b.png"));
        assert_ne!(Picture::file("a.png"), bytes);
        assert!(block_on(Picture::file("no such file").load()).is_err());
    }
}
