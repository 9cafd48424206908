//! [`IngestProgress`]: how far images have come into a gallery, and how fast.

use std::fmt;
use std::time::Duration;

use crate::Usage;

/// The progress of [`Ingest::run`](super::Ingest::run). Only acknowledged images are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct IngestProgress {
    /// Images that are new in the gallery.
    pub added: u64,
    /// Images that replaced other content from the same source.
    pub updated: u64,
    /// Images that were there already, by content.
    pub known: u64,
    /// Images that cannot be taken in; the gallery lists them with the reasons.
    pub rejected: u64,
    /// The number of all images, if the reader knows it.
    pub total: Option<u64>,
    /// What the embedder used, if its service says.
    pub usage: Usage,
    /// The time since it began; seconds in JSON.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::seconds::serialize"))]
    pub elapsed: Duration,
    /// The most images whose pixels were in memory at a time.
    pub most_in_flight: usize,
}

impl IngestProgress {
    /// The number of images that are done, whatever the result.
    pub const fn seen(&self) -> u64 {
        self.added + self.updated + self.known + self.rejected
    }

    /// Images a second, from the beginning until now.
    pub fn rate(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { self.seen() as f64 / seconds } else { 0.0 }
    }

    /// The time that is left at this rate, where the number of images is known.
    pub fn remaining(&self) -> Option<Duration> {
        let left = self.total?.saturating_sub(self.seen()) as f64;
        Duration::try_from_secs_f64(left / self.rate()).ok()
    }
}

impl fmt::Display for IngestProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { added, updated, known, rejected, usage, .. } = self;
        write!(f, "{added} added, {updated} updated, {known} already there, {rejected} rejected")?;
        if *usage == Usage::default() {
            return Ok(());
        }
        write!(f, ", used {usage}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_told_where_there_is_any() {
        let free = IngestProgress { added: 2, rejected: 1, ..IngestProgress::default() };
        assert_eq!(free.to_string(), "2 added, 0 updated, 0 already there, 1 rejected");
        let paid = IngestProgress { usage: Usage::tokens(24, 0), ..free };
        assert_eq!(paid.to_string(), format!("{free}, used 24 + 0 tokens"));
    }
}
