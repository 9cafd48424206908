//! [`IngestProgress`]: how far images have come into a gallery, and how fast.

use std::fmt;
use std::time::Duration;

use crate::Usage;
use crate::folder::LeftOut;

/// The progress of [`Ingest::run`](super::Ingest::run). Only acknowledged images are counted.
///
/// At the end, everything that the reader found is accounted for: [`found`](Self::found) is the sum
/// of [`added`](Self::added), [`updated`](Self::updated), [`known`](Self::known),
/// [`rejected`](Self::rejected) and all of [`left_out`](Self::left_out), as
/// [`adds_up`](Self::adds_up) checks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct IngestProgress {
    /// Images that are new in the gallery.
    pub added: u64,
    /// Images that replaced other content from the same source.
    pub updated: u64,
    /// Images that were there already, by content.
    pub known: u64,
    /// Images that cannot be taken in, and metadata that is not understood; the gallery lists them
    /// with the reasons.
    pub rejected: u64,
    /// Files that were found and are neither images nor metadata of one, by kind. The readers of this
    /// crate tell them; a reader of your own leaves nothing out.
    pub left_out: LeftOut,
    /// What the reader has come upon so far: images, rejections and files that it left out.
    pub found: u64,
    /// Files that captions, licenses and other metadata of images were read from. They are not among
    /// those that were found.
    pub metadata_files: u64,
    /// The number of all images, if the reader knows it.
    pub total: Option<u64>,
    /// What the embedder used for images, if its service says. The probes that tell whether it works and
    /// is the gallery's are not counted.
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

    /// Whether everything that was found is accounted for. It is true at the end of an ingest that
    /// lost nothing; before, images are on their way.
    pub fn adds_up(&self) -> bool {
        self.found == self.seen() + self.left_out.total()
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
        let Self { added, updated, known, rejected, left_out, usage, .. } = self;
        write!(f, "{added} added, {updated} updated, {known} already there, {rejected} rejected")?;
        if left_out.total() > 0 {
            write!(f, ", {left_out}")?;
        }
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
        let paid = IngestProgress { usage: Usage::tokens(24, 0), ..free.clone() };
        assert_eq!(paid.to_string(), format!("{free}, used 24 + 0 tokens"));
    }

    #[test]
    fn what_was_found_is_accounted_for_by_kind() {
        let mut done = IngestProgress { added: 2, rejected: 1, found: 4, ..Default::default() };
        assert!(!done.adds_up());
        done.left_out.push(crate::folder::LeftOutKind::Hidden, ".git".to_owned());
        assert!(done.adds_up());
        let told = "2 added, 0 updated, 0 already there, 1 rejected, 1 left out (1 hidden)";
        assert_eq!(done.to_string(), told);
    }
}
