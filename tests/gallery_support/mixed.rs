//! A folder of 1,000 picture files as people have them: six formats, every colour model, copies,
//! wrong endings, and files that are broken in every way.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageFormat, RgbaImage};

/// What is in the folder.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Mixed {
    /// Pictures that differ.
    pub(crate) good: usize,
    /// Copies of good ones.
    pub(crate) copies: usize,
    /// Files that are no pictures, whatever they are called.
    pub(crate) bad: usize,
}

const FORMATS: [(ImageFormat, &[&str]); 6] = [
    (ImageFormat::Png, &["png", "PNG"]),
    (ImageFormat::Jpeg, &["jpg", "jpeg"]),
    (ImageFormat::WebP, &["webp"]),
    (ImageFormat::Bmp, &["bmp"]),
    (ImageFormat::Gif, &["gif"]),
    (ImageFormat::Tiff, &["tif", "tiff"]),
];

/// Fills `folder`; file `n` is of a kind that depends on `n` alone.
pub(crate) fn write(folder: &Path) -> Mixed {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/images");
    let rare: Vec<(String, Vec<u8>)> = ["cmyk.jpg", "palette.png", "bilevel.png", "grey_alpha.png"]
        .map(|name| (name[name.len() - 3..].to_owned(), fs::read(fixtures.join(name)).unwrap()))
        .to_vec();
    let mut mixed = Mixed::default();
    let mut last_good = Vec::new();
    for n in 0..1000 {
        let below = folder.join(format!("{}", n % 7)).join(format!("{}", n % 3));
        fs::create_dir_all(&below).unwrap();
        let (format, endings) = FORMATS[n % FORMATS.len()];
        let ending = endings[n / FORMATS.len() % endings.len()];
        let encoded = encode(n, format);
        let (ending, bytes) = match n % 20 {
            // What the `image` crate does not write; what follows the picture tells them apart.
            3 => {
                let (ending, bytes) = rare[n / 20 % rare.len()].clone();
                (ending, [&bytes[..], &n.to_le_bytes()].concat())
            }
            7 => ("jpg".to_owned(), encode(n, ImageFormat::Png)),
            11 => (ending.to_owned(), last_good.clone()),
            17 => broken(n / 20, &encoded),
            _ => (ending.to_owned(), encoded),
        };
        match n % 20 {
            11 => mixed.copies += 1,
            17 => mixed.bad += 1,
            _ => {
                mixed.good += 1;
                last_good.clone_from(&bytes);
            }
        }
        fs::write(below.join(format!("{n:04}.{ending}")), bytes).unwrap();
        if n % 2 == 0 {
            let license = if n % 4 == 0 { "CC0-1.0" } else { "CC-BY-4.0" };
            let notes = format!(r#"{{"caption": "picture {n}", "license": "{license}"}}"#);
            fs::write(below.join(format!("{n:04}.json")), notes).unwrap();
        }
    }
    mixed
}

/// Picture `n`, in one of the colour models of `format`.
fn encode(n: usize, format: ImageFormat) -> Vec<u8> {
    let picture = RgbaImage::from_fn(24 + n as u32 % 40, 20 + n as u32 % 30, |x, y| {
        let wave = |f: u32| (128.0 + 127.0 * ((x * f + y * (7 - f)) as f64 / 9.0).sin()) as u8;
        image::Rgba([wave(n as u32 % 7), (n * 53) as u8, (n / 5) as u8, 255 - (x % 2) as u8 * 90])
    });
    let picture = DynamicImage::ImageRgba8(picture);
    let picture = match (format, n / 6 % 4) {
        (ImageFormat::Gif | ImageFormat::WebP, _) => picture,
        (ImageFormat::Jpeg, 0) | (ImageFormat::Png | ImageFormat::Tiff, 1) => {
            picture.grayscale().to_luma8().into()
        }
        (ImageFormat::Png | ImageFormat::Tiff, 2) => picture.to_rgb16().into(),
        (ImageFormat::Png | ImageFormat::Bmp, 3) => picture,
        _ => picture.to_rgb8().into(),
    };
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// Bytes that are no picture, and what they are called.
fn broken(n: usize, encoded: &[u8]) -> (String, Vec<u8>) {
    let (ending, bytes) = match n % 8 {
        0 => ("png", Vec::new()),
        1 => ("jpg", b"<html><body>404 Not Found</body></html>".to_vec()),
        2 => ("png", encode(n, ImageFormat::Png)[..60].to_vec()),
        3 => ("jpg", encode(n, ImageFormat::Jpeg)[..30].to_vec()),
        // A bitmap that claims to be 16,384 pixels a side.
        4 => {
            let mut bytes = encode(n, ImageFormat::Bmp);
            bytes[18..26].copy_from_slice(&[0, 0x40, 0, 0, 0, 0x40, 0, 0]);
            ("bmp", bytes)
        }
        5 => ("webp", encoded.iter().map(|byte| !byte).collect()),
        6 => ("gif", encode(n, ImageFormat::Gif)[..12].to_vec()),
        _ => ("tiff", vec![0; 5000]),
    };
    (ending.to_owned(), bytes)
}
