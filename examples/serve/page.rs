//! A trace and its pictures to a page that needs nothing from elsewhere.

use std::fmt::Write;

use image::RgbImage;
use image::imageops::{FilterType, resize};
use imagerag::Image;
use imagerag::pipeline::RagTrace;
use imagerag::reference::Reference;

use super::picture::base64;

/// The longest side of a picture on the page, in pixels.
const SIDE: u32 = 512;
/// The quality of its JPEG, in 1 to 100.
const QUALITY: u8 = 85;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}\
     figure{display:inline-block;vertical-align:top;margin:0 1rem 1rem 0;max-width:20rem}\
     img{max-width:100%;image-rendering:auto}pre{white-space:pre-wrap;overflow-wrap:anywhere}";

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
        lines.push(format!("source: {}", provenance.source));
        lines.push(format!("license: {}", metadata.license.as_deref().unwrap_or("unknown")));
        for (name, value) in [("author", &metadata.author), ("origin", &metadata.origin)] {
            lines.extend(value.as_ref().map(|value| format!("{name}: {value}")));
        }
        Some(Self { title: "Reference".to_owned(), lines, image })
    }
}

/// The page.
pub(crate) fn of(trace: &RagTrace, shown: &[Shown]) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{prompt}</title>\
         <style>{STYLE}</style>\n<h1>{prompt}</h1>\n",
        prompt = escaped(&trace.prompt)
    );
    if let Some(stop) = &trace.stop {
        let _ = writeln!(page, "<p>{}</p>", escaped(&stop.to_string()));
    }
    if let Some(error) = &trace.error {
        let _ = writeln!(page, "<p><strong>{}</strong></p>", escaped(error));
    }
    for Shown { title, lines, image } in shown {
        let lines: String = lines.iter().map(|line| format!("<br>{}", escaped(line))).collect();
        let _ = writeln!(
            page,
            "<figure>{}<figcaption><b>{}</b>{lines}</figcaption></figure>",
            thumbnail(image, title),
            escaped(title)
        );
    }
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
            format!("<img alt=\"{}\" src=\"data:image/jpeg;base64,{data}\">", escaped(title))
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
            c => escaped.push(c),
        }
    }
    escaped
}
