//! A retriever: captions to the pictures on a shelf that are named in them.

use imagerag::reference::{Caption, Metadata, Picture, Provenance, Reference, Source};
use imagerag::retriever::RetrieveRequest;
use imagerag::{Result, Retriever, async_trait};

use crate::solid;

/// Holds a picture for each of a few names, which is made when it is looked at.
#[derive(Debug)]
pub struct Shelf(pub Vec<(&'static str, [u8; 3])>);

impl Shelf {
    fn find(&self, caption: &Caption, limit: usize) -> Vec<Reference> {
        let named = self.0.iter().filter(|(name, _)| caption.text.contains(name)).take(limit);
        let reference = |(rank, (name, rgb)): (usize, &(&str, [u8; 3]))| {
            let (source, rgb) = (Source::Uri(format!("{name}.png")), *rgb);
            let metadata = Metadata { license: Some("CC0-1.0".into()), ..Metadata::default() };
            Reference {
                picture: Picture::lazy(*name, move || async move { solid(8, rgb) }),
                caption: caption.clone(),
                provenance: Provenance::new(source, self, 1.0, rank).with_metadata(metadata),
            }
        };
        named.enumerate().map(reference).collect()
    }
}

#[async_trait]
impl Retriever for Shelf {
    async fn retrieve(&self, request: &RetrieveRequest) -> Result<Vec<Vec<Reference>>> {
        Ok(request.captions.iter().map(|caption| self.find(caption, request.limit)).collect())
    }
}
