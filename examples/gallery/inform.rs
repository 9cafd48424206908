//! `stats`: what is in a gallery, and what could not be taken in.

use std::collections::BTreeMap;

use imagerag::Result;
use imagerag::gallery::{Gallery, Pixels, Rejected};
use serde_json::json;

use crate::Place;

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// Lists every image that was rejected, not the first of each reason.
    #[arg(long)]
    all: bool,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// What there is of something, by name.
type Counts = BTreeMap<String, u64>;

/// What a gallery holds.
#[derive(Default)]
struct Holdings {
    licences: Counts,
    pixels: Counts,
    captioned: u64,
    /// Shorter sides, in pixels.
    sides: Vec<u32>,
}

pub(crate) fn run(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    let gallery = Gallery::open(&options.place.folder)?;
    let holdings = Holdings::of(&gallery)?;
    let rejected = gallery.rejected()?;
    let (count, fingerprint) = (gallery.count()?, gallery.fingerprint());
    if options.json {
        let rejected: Vec<_> =
            rejected.iter().map(|r| json!({ "source": r.source, "reason": r.reason })).collect();
        let stats = json!({
            "images": count,
            "encoder": fingerprint.encoder(),
            "dim": fingerprint.dim(),
            "licences": holdings.licences,
            "pixels": holdings.pixels,
            "captioned": holdings.captioned,
            "rejected": rejected,
        });
        println!("{stats}");
        return Ok(());
    }
    println!("images     {count}, {} with a caption", holdings.captioned);
    println!("encoder    {fingerprint}");
    println!("pixels     {}", listed(&holdings.pixels));
    println!("licences   {}", listed(&holdings.licences));
    if let [shortest, .., longest] = holdings.sides[..] {
        let median = holdings.sides[holdings.sides.len() / 2];
        println!("sides      {shortest} to {longest} pixels, half of them at least {median}");
    }
    println!("rejected   {}", rejected.len());
    tell(&rejected, options.all);
    Ok(())
}

impl Holdings {
    fn of(gallery: &Gallery) -> Result<Self> {
        let mut holdings = Self::default();
        for image in gallery.iter()? {
            let record = image?.0.record;
            let licence = record.metadata.licence.unwrap_or_else(|| "unknown".to_owned());
            let pixels = match record.pixels {
                Pixels::File(_) => "in files",
                Pixels::Member { .. } => "in archives",
                _ => "elsewhere",
            };
            *holdings.licences.entry(licence).or_default() += 1;
            *holdings.pixels.entry(pixels.to_owned()).or_default() += 1;
            holdings.captioned += u64::from(record.metadata.caption.is_some());
            let side = record.metadata.width.zip(record.metadata.height);
            holdings.sides.extend(side.map(|(width, height)| width.min(height)));
        }
        holdings.sides.sort_unstable();
        Ok(holdings)
    }
}

fn listed(counts: &Counts) -> String {
    let mut counts: Vec<_> = counts.iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let counts: Vec<String> =
        counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
    if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
}

/// Every rejected image, or the first of each reason.
fn tell(rejected: &[Rejected], all: bool) {
    let mut reasons: BTreeMap<&str, (u64, &Rejected)> = BTreeMap::new();
    for one in rejected {
        reasons.entry(&one.reason).or_insert((0, one)).0 += 1;
        if all {
            println!("           {}: {}", one.source, one.reason);
        }
    }
    if !all {
        for (reason, (count, first)) in reasons {
            println!("           {count} x {reason}: {}", first.source);
        }
    }
}
