//! A trace and its pictures to a page that needs nothing from elsewhere.

use std::fmt::Write;

use image::RgbImage;
use image::imageops::{FilterType, resize};
use imagerag::Image;
use imagerag::pipeline::{Hit, RagTrace, Record};
use imagerag::reference::{Reference, Source};

use super::picture::base64;

/// The longest side of a picture on the page, in pixels.
const SIDE: u32 = 512;
/// The quality of its JPEG, in 1 to 100.
const QUALITY: u8 = 85;

/// Pictures whose longest side is at most half of this many pixels are shown larger, in whole pixels.
const SMALL: u32 = 256;

/// `light dark` has browsers choose the colors.
const STYLE: &str = "\
    :root{color-scheme:light dark}\
    body{font:15px/1.5 system-ui,sans-serif;margin:1.5rem auto;max-width:70rem;padding:0 1rem;overflow-wrap:anywhere}\
    h1{font-size:1.25rem;display:-webkit-box;-webkit-line-clamp:3;-webkit-box-orient:vertical;overflow:hidden}\
    .pictures{display:flex;flex-wrap:wrap;gap:1rem}\
    figure{flex:0 1 20rem;min-width:0;margin:0}\
    img{max-width:100%;height:auto}\
    .small{image-rendering:pixelated}\
    pre{white-space:pre-wrap;unicode-bidi:plaintext}";

/// A picture, and what the page says of it.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    title: String,
    lines: Vec<String>,
    image: Image,
}

impl Shown {
    pub(crate) fn new(title: &str, image: Image) -> Self {
        Self { title: title.to_owned(), lines: Vec::new(), image }
    }

    /// A reference that was used; its picture was decoded for that.
    pub(crate) fn reference(reference: &Reference) -> Option<Self> {
        let image = reference.picture.loaded()?.clone();
        let provenance = &reference.provenance;
        let metadata = &provenance.metadata;
        let mut lines = vec![format!("for: {}", reference.caption.text)];
        lines.push(format!("source: {}", without_folder(provenance.source.clone())));
        lines.push(format!("license: {}", metadata.license.as_deref().unwrap_or("unknown")));
        for (name, value) in [("author", &metadata.author), ("origin", &metadata.origin)] {
            lines.extend(value.as_ref().map(|value| format!("{name}: {value}")));
        }
        Some(Self { title: "Reference".to_owned(), lines, image })
    }
}

/// The source by the name of its file, where it is a path of this machine: traces are at addresses for
/// which no key is needed.
fn without_folder(source: Source) -> Source {
    match source {
        Source::Uri(uri) => {
            let is_windows = uri.get(1..3).is_some_and(|colon| matches!(colon, ":\\" | ":/"));
            let is_path = uri.starts_with(['/', '\\']) || uri.starts_with("file:") || is_windows;
            let name = uri.rsplit(['/', '\\']).next().filter(|name| is_path && !name.is_empty());
            Source::Uri(name.map(str::to_owned).unwrap_or(uri))
        }
        other => other,
    }
}

/// The trace as it is shown: files of this machine by their names.
pub(crate) fn without_folders(mut trace: RagTrace) -> RagTrace {
    for stage in &mut trace.stages {
        if let Some(Record::Hits(hits) | Record::Conditioned { references: hits, .. }) =
            &mut stage.record
        {
            for Hit { provenance, .. } in hits {
                provenance.source = without_folder(provenance.source.clone());
            }
        }
    }
    trace
}

/// The page.
pub(crate) fn of(trace: &RagTrace, shown: &[Shown]) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{prompt}</title>\
         <style>{STYLE}</style>\n<h1 dir=\"auto\">{prompt}</h1>\n",
        prompt = escaped(&trace.prompt)
    );
    if let Some(stop) = &trace.stop {
        let _ = writeln!(page, "<p>{}</p>", escaped(&stop.to_string()));
    }
    if let Some(error) = &trace.error {
        let _ = writeln!(page, "<p><strong>{}</strong></p>", escaped(error));
    }
    page += "<div class=\"pictures\">\n";
    for Shown { title, lines, image } in shown {
        // A block each, so that the direction of one text is nothing to the next.
        let block = |line: &String| format!("<div dir=\"auto\">{}</div>", escaped(line));
        let lines: String = lines.iter().map(block).collect();
        let _ = writeln!(
            page,
            "<figure>{}<figcaption><b>{}</b>{lines}</figcaption></figure>",
            thumbnail(image, title),
            escaped(title)
        );
    }
    page += "</div>\n";
    let _ = writeln!(page, "<h2>What happened</h2>\n<pre>{}</pre>", escaped(&trace.to_string()));
    page
}

/// A picture in the page itself.
fn thumbnail(image: &Image, title: &str) -> String {
    let longest = image.width().max(image.height());
    let small = match longest > SIDE {
        false => Ok(image.clone()),
        true => {
            let side = |length: u32| {
                (u64::from(length) * u64::from(SIDE) / u64::from(longest)).max(1) as u32
            };
            let (width, height) = (side(image.width()), side(image.height()));
            Image::try_from(resize(&RgbImage::from(image), width, height, FilterType::Triangle))
        }
    };
    match small.and_then(|small| small.encode_jpeg(QUALITY)) {
        Ok(jpeg) => {
            let data = base64(&jpeg);
            let title = escaped(title);
            let times = SMALL / longest.max(1);
            let enlarged = match times > 1 {
                true => format!(" class=\"small\" width=\"{}\"", image.width() * times),
                false => String::new(),
            };
            format!("<img alt=\"{title}\" src=\"data:image/jpeg;base64,{data}\"{enlarged}>")
        }
        Err(error) => escaped(&error.to_string()),
    }
}

/// Text as HTML shows it.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            // What turns the direction of the text that follows is shown, and turns nothing.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                let _ = write!(escaped, "\\u{{{:x}}}", u32::from(c));
            }
            c => escaped.push(c),
        }
    }
    escaped
}
