//! [`IngestProgress`]: how far images have come into a gallery, and how fast.

use std::fmt;
use std::time::Duration;

/// How far it is. What is counted here is acknowledged: it survives whatever happens next.
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
    /// Images in all, where the reader knows.
    pub total: Option<u64>,
    /// The time since it began.
    pub elapsed: Duration,
    /// The most images that were in memory at a time, with pixels that wait for their embedding to
    /// be acknowledged.
    pub most_in_flight: usize,
}

impl IngestProgress {
    /// Images that are done with, whatever became of them.
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
        let Self { added, updated, known, rejected, .. } = self;
        write!(f, "{added} added, {updated} updated, {known} already there, {rejected} rejected")
    }
}
