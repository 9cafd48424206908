//! What pictures are, read and written.

use super::*;

#[test]
fn refuses_pixels_that_do_not_fill_the_picture() {
    let error = Image::new(2, 2, vec![0; 11]).unwrap_err();
    assert_eq!(error.to_string(), "pixels of a 2x2 image: expected 12 bytes, found 11 bytes");
    assert!(Image::new(0, 2, vec![]).is_err());
    // Three times the product is 17,879 beyond what 64 bits hold.
    assert!(Image::new(3_309_942_865, 1_857_710_221, vec![0; 17_879]).is_err());
}

#[cfg(feature = "image")]
#[test]
fn png_keeps_every_pixel() {
    let image = Image::new(2, 1, vec![1, 2, 3, 250, 251, 252]).unwrap();
    assert_eq!(Image::decode(&image.encode_png().unwrap()).unwrap(), image);
}

#[cfg(feature = "image")]
#[test]
fn a_format_that_is_not_written_is_refused_with_those_that_are() {
    let (folder, image) = (tempfile::tempdir().unwrap(), Image::new(1, 1, vec![1; 3]).unwrap());
    for name in ["a.avif", "a.exr", "a.xyz", "a"] {
        let error = image.save(folder.path().join(name)).unwrap_err();
        assert!(matches!(error, crate::Error::InvalidInput { .. }), "{error}");
        assert!(error.to_string().contains("png, jpg, webp, gif, bmp or tiff"), "{error}");
    }
    for name in ["a.png", "a.JPEG", "a.webp", "a.gif", "a.bmp", "a.tif"] {
        image.save(folder.path().join(name)).unwrap();
    }
}

#[cfg(feature = "image")]
#[test]
fn the_image_crates_types_hold_the_same_pixels() {
    let ours = Image::new(2, 1, vec![1, 2, 3, 250, 251, 252]).unwrap();
    let theirs = image::DynamicImage::from(ours.clone());
    assert_eq!(Image::try_from(theirs).unwrap(), ours);
    assert_eq!(image::RgbImage::from(ours.clone()).into_raw(), ours.pixels());
}

#[cfg(feature = "image")]
#[test]
fn broken_and_huge_pictures_are_errors() {
    assert!(matches!(Image::decode(b"no picture"), Err(crate::Error::InvalidInput { .. })));
    // A PNG header that claims 100,000 x 100,000 pixels.
    let mut huge = Image::new(1, 1, vec![0; 3]).unwrap().encode_png().unwrap();
    huge[16..24].copy_from_slice(&[0, 1, 0x86, 0xa0, 0, 1, 0x86, 0xa0]);
    assert!(matches!(Image::decode(&huge), Err(crate::Error::InvalidInput { .. })));
}

#[cfg(feature = "image")]
mod files {
    use std::fs;
    use std::path::PathBuf;

    use image::{DynamicImage, GrayAlphaImage, Rgba, RgbaImage};

    use super::*;
    use crate::Error;
    use crate::image::decode::{MAX_PIXELS, size};

    /// Copies of each fixture that are damaged at random.
    const ROUNDS: usize = 20;

    fn fixture(name: &str) -> PathBuf {
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/images")).join(name)
    }

    fn bytes(name: &str) -> Vec<u8> {
        fs::read(fixture(name)).unwrap()
    }

    /// The largest difference of two pictures of one size.
    fn worst(a: &Image, b: &Image) -> u8 {
        assert_eq!((a.width(), a.height()), (b.width(), b.height()));
        a.pixels().iter().zip(b.pixels()).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
    }

    /// Compares with what Pillow reads, which lies beside.
    fn is_as_in_pillow(name: &str, tolerance: u8) {
        let image = Image::open(fixture(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let pillow = Image::open(fixture(&format!("{}_rgb.png", name.replace('.', "_")))).unwrap();
        assert_eq!((image.width(), image.height()), (24, 16), "{name}");
        let worst = worst(&image, &pillow);
        assert!(worst <= tolerance, "{name} differs by {worst}");
    }

    /// References come in every colour model: what Pillow makes of them, over white.
    #[test]
    fn every_colour_model_becomes_rgb_as_in_pillow() {
        for (name, tolerance) in [
            ("rgba.png", 0),
            ("grey.png", 0),
            ("grey_alpha.png", 0),
            ("palette.png", 0),
            ("bilevel.png", 0),
            ("palette_alpha.png", 0),
            ("palette_key.gif", 0),
            ("colour_key.png", 0),
            ("grey_key.png", 0),
            ("rgb16.png", 0),
            ("rgba16.png", 0),
            ("grey16.png", 0),
            ("grey2.png", 0),
            ("lossless.webp", 0),
            ("animation.webp", 0),
            ("animation.gif", 0),
            ("animation.png", 0),
            ("alpha.bmp", 0),
            ("palette.bmp", 0),
            // Two decoders of lossy formats round differently.
            ("lossy.webp", 3),
            ("grey.jpg", 2),
            ("profile.jpg", 3),
            ("progressive.jpg", 3),
            ("cmyk.jpg", 4),
            ("ycck.jpg", 4),
        ] {
            is_as_in_pillow(name, tolerance);
        }
    }

    #[test]
    fn every_kind_of_tiff_is_read_as_in_pillow_or_refused_by_name() {
        let mut compared = 0;
        for file in fs::read_dir(fixture("tiff")).unwrap() {
            let name = format!("tiff/{}", file.unwrap().file_name().into_string().unwrap());
            if name.starts_with("tiff/refused_") {
                let model = if name.contains("lab") { "CIELab" } else { "Gray(32)" };
                let error = Image::decode(&bytes(&name)).unwrap_err().to_string();
                assert!(error.contains("support") && error.contains(model), "{name}: {error}");
            } else if name.ends_with(".tif") {
                let tolerance = if name.contains("jpeg") || name.contains("ycbcr") { 3 } else { 1 };
                is_as_in_pillow(&name, tolerance);
                compared += 1;
            }
        }
        assert_eq!(compared, 31);
    }

    #[test]
    fn transparency_of_the_image_crates_types_is_white() {
        let clear = RgbaImage::from_pixel(2, 1, Rgba([200, 0, 7, 0]));
        let image = Image::try_from(DynamicImage::ImageRgba8(clear)).unwrap();
        assert_eq!(image.pixels(), [255; 6]);
        let half = GrayAlphaImage::from_pixel(1, 1, image::LumaA([0, 51]));
        let image = Image::try_from(DynamicImage::ImageLumaA8(half)).unwrap();
        assert_eq!(image.pixels(), [204; 3]);
    }

    #[test]
    fn pictures_are_turned_upright_in_every_container() {
        let (upright, palette) =
            (fixture("upright/upright.png"), fixture("upright/palette_upright.png"));
        let (upright, palette) = (Image::open(upright).unwrap(), Image::open(palette).unwrap());
        let mut compared = 0;
        for file in fs::read_dir(fixture("upright")).unwrap() {
            let path = file.unwrap().path();
            if path.ends_with("upright.png") || path.ends_with("palette_upright.png") {
                continue;
            }
            let image = Image::open(&path).unwrap();
            assert_eq!((image.width(), image.height()), (12, 8), "{}", path.display());
            assert_eq!(
                size(&fs::read(&path).unwrap(), MAX_PIXELS).unwrap(),
                (12, 8),
                "{}",
                path.display()
            );
            let is_jpeg = path.extension().unwrap() == "jpg";
            let of_palette = path.ends_with("palette_tag_6.tif");
            let worst = worst(&image, if of_palette { &palette } else { &upright });
            assert!(worst <= if is_jpeg { 6 } else { 0 }, "{} differs by {worst}", path.display());
            compared += 1;
        }
        assert_eq!(compared, 4 * 8 + 2 * 10 + 1 + 18);
    }

    #[test]
    fn broken_orientation_is_as_none() {
        let whole = bytes("upright/exif_6.jpg");
        let exif = whole.windows(6).position(|window| window == b"Exif\0\0").unwrap() + 6;
        let stored = (8, 12);
        // The directory lies elsewhere; the order of bytes is none; the value is none of the eight.
        for (at, with) in
            [(exif + 4, &[0xff; 4][..]), (exif, b"XX"), (exif + 19, &[9]), (exif + 19, &[0])]
        {
            let mut broken = whole.clone();
            broken[at..at + with.len()].copy_from_slice(with);
            let image = Image::decode(&broken).unwrap();
            assert_eq!((image.width(), image.height()), stored, "{with:?}");
        }
        // Of type BYTE it is no number, and of two segments the second does not count; whatever the
        // first one says, XMP data do not either.
        let long = bytes("upright/type_4_6.jpg");
        let at = long.windows(8).position(|window| window == b"\x12\x01\x04\0\x01\0\0\0").unwrap();
        let mut byte = long.clone();
        byte[at + 2] = 1;
        let two = bytes("upright/two_6_1.jpg");
        let segment = 2 + usize::from(u16::from_be_bytes([two[4], two[5]]));
        let (first, second) = two[2..].split_at(segment);
        let (second, rest) = second.split_at(segment);
        let swapped = [&two[..2], second, first, rest].concat();
        let xmp = bytes("upright/two_xmp_1_6.jpg");
        let before = [&xmp[..2], second, &xmp[2..]].concat();
        for (stored_so, what) in [(byte, "BYTE"), (swapped, "1 before 6"), (before, "1 before XMP")]
        {
            let image = Image::decode(&stored_so).unwrap();
            assert_eq!((image.width(), image.height()), stored, "{what}");
        }
        let mut png = bytes("upright/exif_6.png");
        let at = png.windows(4).position(|window| window == b"eXIf").unwrap();
        png[at + 4..at + 12].fill(0xff);
        let image = Image::decode(&png).unwrap();
        assert_eq!((image.width(), image.height()), stored);
    }

    /// Beside each file, how many bytes Pillow allows to be missing at its end.
    #[test]
    fn files_that_are_cut_off_are_refused_where_pillow_refuses_them() {
        for (name, may_miss) in [
            ("baseline.jpg", 0),
            ("progressive.jpg", 0),
            ("restarts.jpg", 0),
            ("thumbnail.jpg", 0),
            ("two.mpo", 1198),
            // Without the chunk that ends the file, and the checksum before it.
            ("whole.png", 22),
            ("lossy.webp", 0),
            ("lossless.webp", 0),
            // Without the bytes that end the file and its pixels (Pillow: 2).
            ("whole.gif", 4),
            ("whole.bmp", 0),
            ("whole.tif", 0),
            ("deflate.tif", 0),
            ("jpeg.tif", 0),
        ] {
            let whole = bytes(&format!("cut/{name}"));
            let picture = Image::decode(&whole).unwrap_or_else(|error| panic!("{name}: {error}"));
            for missing in 1..whole.len() {
                match Image::decode(&whole[..whole.len() - missing]) {
                    Ok(cut) => {
                        assert!(missing <= may_miss, "{name} without {missing} bytes is read");
                        assert_eq!(cut, picture, "{name} without {missing} bytes");
                    }
                    Err(Error::InvalidInput { .. }) => {}
                    Err(error) => panic!("{name} without {missing} bytes: {error}"),
                }
            }
            let more = [&whole[..], b"\xff\xd8 garbage"].concat();
            assert_eq!(Image::decode(&more).unwrap(), picture, "{name} with garbage behind");
        }
        let cut = bytes("cut/baseline.jpg");
        let error = Image::decode(&cut[..cut.len() * 45 / 100]).unwrap_err();
        assert!(error.to_string().contains("a JPEG file that is cut off"), "{error}");
        assert!(size(&cut[..cut.len() * 45 / 100], MAX_PIXELS).is_err());
    }

    #[test]
    fn a_jpeg_with_damage_before_its_end_is_read_as_in_pillow() {
        let whole = bytes("cut/baseline.jpg");
        let mut damaged = whole.clone();
        let at = whole.len() - 200;
        damaged[at..at + 10].fill(0x55);
        assert!(Image::decode(&damaged).is_ok());
        let mut short = whole[..whole.len() * 8 / 10].to_vec();
        short.extend(b"\xff\xd9");
        assert!(Image::decode(&short).is_ok());
    }

    #[test]
    fn what_is_no_picture_is_named_by_its_content() {
        for (bytes, found) in [
            (&b""[..], "an empty file"),
            (b"<!DOCTYPE html><html>", "no known picture: it begins with `<!DOCTYPE html><`"),
            (b"\0\0\0\x1cftypavif\0\0\0\0", "AVIF, which is not read"),
            (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC, which is not read"),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG, which is not read"),
            (b"\xff\x0a\0\0", "JPEG XL, which is not read"),
        ] {
            let error = Image::decode(bytes).unwrap_err().to_string();
            assert!(error.ends_with(&format!("found {found}")), "{error}");
            assert!(error.contains("PNG, JPEG, WebP, GIF, BMP or TIFF"), "{error}");
            assert!(size(bytes, 9).unwrap_err().to_string().contains(found));
        }
    }

    #[test]
    fn the_bound_is_on_pixels_in_every_format() {
        let long = Image::new(18_000, 40, vec![9; 18_000 * 40 * 3]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        for ending in ["png", "jpg", "gif", "bmp", "tif"] {
            let path = folder.path().join(format!("long.{ending}"));
            long.save(&path).unwrap();
            let bytes = fs::read(path).unwrap();
            let image = Image::decode_within(&bytes, 720_000).unwrap();
            assert_eq!((image.width(), image.height()), (18_000, 40), "{ending}");
            let error = Image::decode_within(&bytes, 719_999).unwrap_err().to_string();
            let said = "expected at most 719999 pixels, found 18000x40, 720000 pixels";
            assert!(error.contains(said), "{ending}: {error}");
            // None of them needs more memory than the bound stands for.
            assert_eq!(Image::decode(&bytes).unwrap(), image, "{ending}");
        }
        // A row longer than what a header may take.
        let row = Image::new(6_000_000, 1, vec![9; 18_000_000]).unwrap();
        assert_eq!(Image::decode(&row.encode_png().unwrap()).unwrap(), row);
        // WebP has at most 16,383 a side.
        let webp = bytes("lossless.webp");
        assert!(Image::decode_within(&webp, 24 * 16).is_ok());
        assert!(Image::decode_within(&webp, 24 * 16 - 1).is_err());
    }

    #[test]
    fn a_small_file_that_claims_huge_sides_is_refused_by_its_header() {
        let image = Image::new(2, 2, vec![1; 12]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        for (ending, place, sides) in [
            ("png", 16, &[0, 1, 0x86, 0xa0, 0, 1, 0x86, 0xa0][..]),
            ("bmp", 18, &[0x60, 0xea, 0, 0, 0x60, 0xea, 0, 0]),
            ("gif", 6, &[0xff; 4]),
        ] {
            let path = folder.path().join(format!("a.{ending}"));
            image.save(&path).unwrap();
            let mut huge = fs::read(path).unwrap();
            huge[place..place + sides.len()].copy_from_slice(sides);
            if ending == "png" {
                let mut checksum = flate2::Crc::new();
                checksum.update(&huge[12..29]);
                huge[29..33].copy_from_slice(&checksum.sum().to_be_bytes());
            }
            let error = Image::decode(&huge).unwrap_err().to_string();
            assert!(error.contains(&format!("at most {MAX_PIXELS} pixels")), "{ending}: {error}");
        }
    }

    #[test]
    fn random_damage_is_an_error_of_the_file_or_a_picture() {
        let mut random = fastrand::Rng::with_seed(7);
        let (mut read, mut refused) = (0, 0);
        for folder in ["", "tiff", "upright", "cut"] {
            for file in fs::read_dir(fixture(folder)).unwrap().map(|file| file.unwrap().path()) {
                let Ok(whole) = fs::read(&file) else { continue };
                for _ in 0..ROUNDS {
                    let mut damaged = whole.clone();
                    for _ in 0..random.usize(1..8) {
                        let at = random.usize(..damaged.len());
                        damaged[at] = random.u8(..);
                    }
                    match Image::decode_within(&damaged, 100_000) {
                        Ok(image) => {
                            assert!(image.width() * image.height() <= 100_000);
                            read += 1;
                        }
                        Err(Error::InvalidInput { .. }) => refused += 1,
                        Err(error) => panic!("{}: {error}", file.display()),
                    }
                }
            }
        }
        assert!(read > 0 && refused > 0, "{read} read, {refused} refused");
    }
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe.png");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for (path, found) in [
        (pipe.as_path(), "found a FIFO"),
        ("/dev/zero".as_ref(), "found a device"),
        (folder.path(), "found a folder"),
    ] {
        let error = Image::open(path).unwrap_err().to_string();
        assert!(error.contains(found), "{error}");
    }
}
