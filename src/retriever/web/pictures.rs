//! An address to the picture there: downloaded, or from the cache.

use std::sync::Arc;

use super::Web;
use super::cache::Kind;
use super::candidate::Candidate;
use crate::reference::Picture;
use crate::{Error, Image, Result, net, pool};

impl Web {
    /// The picture of `candidate`, which is downloaded when it is needed.
    pub(super) fn picture(self: &Arc<Self>, candidate: &Candidate) -> Picture {
        let (web, address) = (Arc::clone(self), candidate.download.clone());
        let load = move || {
            let (web, address) = (Arc::clone(&web), address.clone());
            async move { Ok(web.downloaded(&address).await?.1) }
        };
        Picture::lazy(candidate.url.as_str(), load).skipping_unreadable()
    }

    /// The picture in the file `bytes`. Equal bytes are the same picture.
    pub(super) fn decodable(&self, bytes: Arc<[u8]>) -> Picture {
        let max_pixels = self.max_pixels;
        Picture::lazy(blake3::hash(&bytes).to_hex().as_str(), move || {
            let bytes = Arc::clone(&bytes);
            pool::run("decoding a picture", move || Image::decode_within(&bytes, max_pixels))
        })
    }

    /// The file at `address` and the picture in it.
    pub(super) async fn downloaded(self: &Arc<Self>, address: &str) -> Result<(Arc<[u8]>, Image)> {
        if let Some(kept) = self.kept_picture(address).await? {
            return Ok(kept);
        }
        let (web, place) = (Arc::clone(self), address.to_owned());
        let download = async move {
            let _turn = web.turns.acquire().await;
            web.downloads.get(&place).await
        };
        let bytes = net::run("the download", download).await?;
        let (max_pixels, cache, address) =
            (self.max_pixels, self.cache.clone(), address.to_owned());
        let decode = move || {
            let image = Image::decode_within(&bytes, max_pixels)?;
            if let Some(cache) = cache {
                cache.write(Kind::Pictures, &address, &bytes);
            }
            Ok((bytes.into(), image))
        };
        pool::run("decoding a picture", decode).await
    }

    /// What the cache has of `address`, if that is within the bounds of this retriever.
    async fn kept_picture(&self, address: &str) -> Result<Option<(Arc<[u8]>, Image)>> {
        let Some(cache) = self.cache.clone() else { return Ok(None) };
        let (max_bytes, max_pixels, address) =
            (self.max_bytes, self.max_pixels, address.to_owned());
        let read = move || {
            let kept = cache.read(Kind::Pictures, &address);
            let kept = kept.filter(|bytes| bytes.len() <= max_bytes);
            let image = |bytes: Vec<u8>| {
                let image = Image::decode_within(&bytes, max_pixels).ok()?;
                Some((bytes.into(), image))
            };
            Ok(kept.and_then(image))
        };
        pool::run("reading the cache", read).await
    }
}

/// A picture that could not be had, for a `reason` that is its error.
pub(super) fn missing(candidate: &Candidate, reason: String) -> Picture {
    let fail = move || std::future::ready(Err(Error::unavailable("the picture", reason.as_str())));
    Picture::lazy(candidate.url.as_str(), fail).skipping_unreadable()
}
