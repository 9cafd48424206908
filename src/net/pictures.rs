//! [`Pictures`]: images to JPEG data URLs of bounded size, each encoded once.

use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::RgbImage;
use image::imageops::{FilterType, resize};
use lru::LruCache;

use crate::{Image, Result};

/// The memory that pictures are remembered in, in bytes: about 20 of one megapixel.
const MEMORY: usize = 64 << 20;

/// Encodes pictures and keeps those that were asked for last, so that the second question about a
/// draft does not encode it again.
#[derive(Debug)]
pub(crate) struct Pictures {
    max_side: u32,
    quality: u8,
    /// The most memory for `recent`, pixels and data URLs together, in bytes.
    memory: usize,
    recent: Mutex<Recent>,
}

#[derive(Debug)]
struct Recent {
    /// By the place of a picture's pixels and its width. The picture is held, so its pixels cannot
    /// move or change, and the same place is the same picture.
    urls: LruCache<(usize, u32), (Image, Arc<str>)>,
    /// What `urls` takes.
    bytes: usize,
}

impl Pictures {
    pub(crate) fn new(max_side: u32, quality: u8) -> Self {
        let recent = Mutex::new(Recent { urls: LruCache::unbounded(), bytes: 0 });
        Self { max_side, quality, memory: MEMORY, recent }
    }

    /// `data:image/jpeg;base64,…` of an image.
    pub(crate) fn data_url(&self, image: &Image) -> Result<Arc<str>> {
        let key = (image.pixels().as_ptr().addr(), image.width());
        let recent = || self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, url)) = recent().urls.get(&key) {
            return Ok(Arc::clone(url));
        }
        let jpeg = fit(image, self.max_side)?.encode_jpeg(self.quality)?;
        let url: Arc<str> = format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg)).into();
        let size = |(image, url): &(Image, Arc<str>)| image.pixels().len() + url.len();
        let (mut recent, entry) = (recent(), (image.clone(), Arc::clone(&url)));
        recent.bytes += size(&entry);
        // Another call may have encoded the same picture meanwhile.
        let mut gone = recent.urls.push(key, entry);
        loop {
            recent.bytes -= gone.map_or(0, |(_, entry)| size(&entry));
            if recent.bytes <= self.memory {
                return Ok(url);
            }
            gone = recent.urls.pop_lru();
        }
    }
}

/// The image with no side longer than `max_side`, and its shape kept.
pub(crate) fn fit(image: &Image, max_side: u32) -> Result<Image> {
    let longest = image.width().max(image.height());
    if longest <= max_side {
        return Ok(image.clone());
    }
    let scaled = |side: u32| {
        let side = u64::from(side) * u64::from(max_side) / u64::from(longest);
        u32::try_from(side).unwrap_or(max_side).max(1)
    };
    let (width, height) = (scaled(image.width()), scaled(image.height()));
    Image::try_from(resize(&RgbImage::from(image), width, height, FilterType::CatmullRom))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(width: u32, height: u32) -> Image {
        Image::new(width, height, vec![90; (3 * width * height) as usize]).unwrap()
    }

    fn decoded(url: &str) -> Image {
        let jpeg = url.strip_prefix("data:image/jpeg;base64,").expect("a JPEG data URL");
        let jpeg = STANDARD.decode(jpeg).unwrap();
        assert_eq!(jpeg[..3], [0xff, 0xd8, 0xff]);
        Image::decode(&jpeg).unwrap()
    }

    #[test]
    fn long_sides_shrink_and_the_shape_stays() {
        let pictures = Pictures::new(64, 90);
        for (size, expected) in
            [((64, 10), (64, 10)), ((200, 100), (64, 32)), ((3, 900), (1, 64)), ((1, 1), (1, 1))]
        {
            let sent = decoded(&pictures.data_url(&image(size.0, size.1)).unwrap());
            assert_eq!((sent.width(), sent.height()), expected);
        }
    }

    #[test]
    fn the_same_picture_is_encoded_once() {
        let pictures = Pictures::new(64, 90);
        let draft = image(32, 32);
        let first = pictures.data_url(&draft).unwrap();
        let again = pictures.data_url(&draft.clone()).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        let other = pictures.data_url(&image(32, 32)).unwrap();
        assert!(!Arc::ptr_eq(&first, &other));
    }

    #[test]
    fn memory_is_bounded() {
        let mut pictures = Pictures::new(8, 90);
        pictures.memory = 10_000;
        for _ in 0..6 {
            pictures.data_url(&image(32, 32)).unwrap();
        }
        let recent = pictures.recent.lock().unwrap();
        let count = recent.urls.len();
        assert!((1..=3).contains(&count), "{count} pictures of 3,072 bytes");
    }
}
