//! `stats` and `verify`: what is in a gallery, what could not be taken in, and what is wrong.

use std::collections::BTreeMap;
use std::error::Error;

use imagerag::gallery::{Depth, Gallery, Rejected};
use serde_json::json;

use crate::Place;
use crate::command::tell;

#[derive(clap::Args)]
pub(crate) struct Stats {
    #[command(flatten)]
    place: Place,
    /// Lists every image that was rejected, not one for each reason.
    #[arg(long)]
    all: bool,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn stats(options: &Stats) -> Result<(), Box<dyn Error>> {
    let gallery = Gallery::open(&options.place.folder)?;
    let (stats, rejected) = (gallery.stats()?, gallery.rejected()?);
    if options.json {
        let encoder = gallery.fingerprint().encoder();
        tell!("{}", json!({ "encoder": encoder, "stats": stats, "rejected": rejected }));
        return Ok(());
    }
    tell!("encoder   {}", gallery.fingerprint());
    stats.to_string().lines().for_each(|line| tell!("{line}"));
    if options.all {
        rejected.iter().for_each(|one| tell!("rejected  {one}"));
    } else {
        tell_reasons(&rejected);
    }
    Ok(())
}

/// Each reason, with the number of images and the first.
pub(crate) fn tell_reasons(rejected: &[Rejected]) {
    let mut reasons: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
    for Rejected { source, reason } in rejected {
        reasons.entry(reason).or_insert((0, source)).0 += 1;
    }
    for (reason, (count, first)) in reasons {
        tell!("rejected  {count}, such as {first}: {reason}");
    }
}

#[derive(clap::Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    place: Place,
    /// Reads every picture's file too, and compares its content. Without this, only whether it is there
    /// and long enough is looked at.
    #[arg(long)]
    pictures: bool,
}

pub(crate) fn verify(options: &Verify) -> Result<(), Box<dyn Error>> {
    let depth = if options.pictures { Depth::Pictures } else { Depth::Gallery };
    let found = Gallery::verify(&options.place.folder, depth);
    tell!("verified   {} images", found.images);
    if found.is_whole() {
        tell!("everything is as it was written");
        return Ok(());
    }
    found.problems.iter().for_each(|problem| tell!("wrong      {}", problem.chain()));
    let wrong = match found.problems.len() {
        1 => "1 problem".to_owned(),
        many => format!("{many} problems"),
    };
    Err(format!("{wrong} in {}", options.place.folder.display()).into())
}
