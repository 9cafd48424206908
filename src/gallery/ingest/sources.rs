//! The sources of an ingest to those that two different images have.

use std::collections::HashMap;

use super::rejected;
use super::workers::Outcome;
use crate::Error;
use crate::gallery::ImageRecord;

/// The first half of a BLAKE3 hash.
type Half = [u8; 16];

/// The sources of the images of an ingest so far, with what they stand for: some 40 bytes an image.
#[derive(Debug, Default)]
pub(super) struct Sources(HashMap<Half, Half>);

impl Sources {
    /// `outcome`, which is rejected where its source is that of an earlier image with other content
    /// or another license: one would take the place of the other.
    pub(super) fn check(&mut self, outcome: Outcome) -> Outcome {
        let (Outcome::Image(record, _) | Outcome::Embedded(record, _) | Outcome::Known(record)) =
            &outcome
        else {
            return outcome;
        };
        let ImageRecord { hash, source, metadata, .. } = record;
        let license = metadata.license.as_deref().unwrap_or_default();
        let image = half(&[hash.as_bytes(), license.as_bytes()]);
        if *self.0.entry(half(&[source.as_bytes()])).or_insert(image) == image {
            return outcome;
        }
        let expected = "one that no other image has";
        let found = "that of an earlier image with other content or another license";
        let reason = Error::invalid_input("source", expected, found);
        Outcome::Rejected(rejected(source.as_str(), reason))
    }
}

fn half(parts: &[&[u8]]) -> Half {
    let mut hasher = blake3::Hasher::new();
    parts.iter().for_each(|part| {
        hasher.update(part);
    });
    let mut half = Half::default();
    hasher.finalize_xof().fill(&mut half);
    half
}
