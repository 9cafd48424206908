//! What a request asks for to what services take of it.

/// A side that a request leaves out although it has the other, in pixels: what services draw where they
/// are told nothing.
pub(super) const SIDE: u32 = 1024;
/// The largest seed that is sent: servers keep it in a signed integer of 64 bits, of which
/// stable-diffusion.cpp takes the negative half for random seeds.
pub(super) const MAX_SEED: u64 = i64::MAX as u64;

/// Width and height that a request asks for; `None` where it leaves both to the service.
pub(super) fn size(width: Option<u32>, height: Option<u32>) -> Option<(u32, u32)> {
    (width.is_some() || height.is_some()).then(|| (width.unwrap_or(SIDE), height.unwrap_or(SIDE)))
}

/// What to tell of the `settings`, by their names, that are set and that the model has no field for.
pub(super) fn not_sent(settings: &[(&str, bool)]) -> Option<String> {
    let set: Vec<&str> = settings.iter().filter(|(_, set)| *set).map(|(name, _)| *name).collect();
    (!set.is_empty()).then(|| format!("not sent, as the model takes none: {}", set.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_alone_has_the_other() {
        assert_eq!(size(Some(1536), None), Some((1536, 1024)));
        assert_eq!(size(None, Some(512)), Some((1024, 512)));
        assert_eq!(size(None, None), None);
    }
}
