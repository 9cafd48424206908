//! A folder as people have them: pictures of every kind under every name, texts and shards that
//! make sense and that do not, and what systems leave behind.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};

const CC0: &[u8] = br#"{"license": "CC0-1.0"}"#;
const RESERVED: &[u8] = br#"{"license": "all rights reserved"}"#;

/// What is in the folder.
#[derive(Debug, Default)]
pub(crate) struct Wild {
    /// Files, members of shards, and folders that are not entered.
    pub(crate) found: u64,
    /// The license of each picture that is taken in, by the end of its source.
    pub(crate) licenses: BTreeMap<&'static str, Option<&'static str>>,
    /// What each rejection contains.
    pub(crate) rejected: Vec<&'static str>,
    pub(crate) left_out: u64,
    pub(crate) metadata_files: u64,
}

/// Writes it.
pub(crate) fn write(root: &Path) -> Wild {
    let mut wild = Wild::default();
    pictures(root, &mut wild);
    texts(root, &mut wild);
    others(root, &mut wild);
    shards(root, &mut wild);
    wild
}

/// A picture that differs for each `n`.
fn picture(n: u8, format: ImageFormat) -> Vec<u8> {
    let picture = RgbImage::from_fn(40, 30, |x, y| Rgb([(x * 6) as u8, (y * 8) as u8, n]));
    encode(picture, format)
}

fn encode(picture: RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::from(picture).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn put(root: &Path, name: &str, bytes: &[u8]) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

impl Wild {
    fn takes(&mut self, name: &'static str, license: Option<&'static str>) {
        assert!(self.licenses.insert(name, license).is_none(), "{name}");
        self.found += 1;
    }

    fn rejects(&mut self, said: &'static str) {
        self.rejected.push(said);
        self.found += 1;
    }

    fn leaves_out(&mut self, count: u64) {
        self.left_out += count;
        self.found += count;
    }
}

fn pictures(root: &Path, wild: &mut Wild) {
    use ImageFormat::{Jpeg, Png};
    for (n, (name, format)) in [
        ("/a.jfif", Jpeg),
        ("/b.jpe", Jpeg),
        ("/c.jpg_large", Jpeg),
        ("/d.apng", Png),
        ("/noending", Png),
        ("/called.avif", Jpeg),
        ("/called.jpg", Png),
    ]
    .into_iter()
    .enumerate()
    {
        put(root, &name[1..], &picture(n as u8, format));
        wild.takes(name, None);
    }
    let noise =
        RgbImage::from_fn(96, 96, |x, y| Rgb([(x * y * 7 % 251) as u8, (x * 37) as u8, y as u8]));
    let jpeg = encode(noise, Jpeg);
    put(root, "cut.jpg", &jpeg[..jpeg.len() * 45 / 100]);
    wild.rejects("cut.jpg");
    put(root, "wide.png", &encode(RgbImage::from_pixel(18_000, 40, Rgb([9, 8, 7])), Png));
    wild.takes("/wide.png", None);
    for (name, bytes) in [
        ("x.avif", &b"\0\0\0\x1cftypavif\0\0\0\0avifmif1"[..]),
        ("x.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"),
        ("x.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("x.jxl", b"\xff\x0a"),
        ("empty.png", b""),
        ("html.jpg", b"<html>404 Not Found</html>"),
    ] {
        put(root, name, bytes);
        wild.rejects(name);
    }
    // A copy is there already.
    put(root, "copy.jfif", &picture(0, Jpeg));
    wild.found += 1;
}

fn texts(root: &Path, wild: &mut Wild) {
    let mark = b"\xef\xbb\xbf";
    let wide: Vec<u8> = "\u{feff}ein Löwe".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cc0 = Some("CC0-1.0");
    let cases: [(&'static str, &str, &[u8], Option<&'static str>); 8] = [
        ("/t/mark.png", "json", &[mark, CC0].concat(), cc0),
        ("/t/nan.png", "json", br#"{"license": "CC0-1.0", "aesthetic": NaN}"#, cc0),
        ("/t/half.png", "json", br#"{"license": "CC0-1.0", "caption": "\ud83d"}"#, cc0),
        ("/t/wide.png", "txt", &wide, None),
        ("/t/dog.v1.1.png", "json", CC0, cc0),
        ("/t/list.png", "json", b"[1]", None),
        ("/t/two.png", "json", br#"{"license": "CC0-1.0", "licence": "MIT"}"#, None),
        ("/t/html.png", "json", b"<html>", None),
    ];
    for (n, (name, ending, text, license)) in cases.into_iter().enumerate() {
        put(root, &name[1..], &picture(100 + n as u8, ImageFormat::Png));
        put(root, &format!("{}.{ending}", &name[1..name.len() - 4]), text);
        wild.takes(name, license);
        wild.metadata_files += u64::from(license.is_some() || ending == "txt");
    }
    ["list.json", "two.json", "html.json"].into_iter().for_each(|name| wild.rejects(name));
    // Whose is it?
    put(root, "t/bee.jpg", &picture(120, ImageFormat::Jpeg));
    put(root, "t/bee.png", &picture(121, ImageFormat::Png));
    put(root, "t/bee.json", CC0);
    wild.takes("/t/bee.jpg", None);
    wild.takes("/t/bee.png", None);
    wild.rejects("bee.json");
    // Somebody else's.
    put(root, "catalog.json", br#"{"images": [{"id": 1, "license": 4}]}"#);
    wild.rejects("catalog.json");
}

fn others(root: &Path, wild: &mut Wild) {
    for name in [
        "._a.png",
        "__MACOSX/._a.jfif",
        "Thumbs.db",
        ".DS_Store",
        ".git/a.png",
        "film.mp4",
        "README",
        "lonely.txt",
    ] {
        put(root, name, b"\0\x05\x16\x07");
    }
    wild.leaves_out(8);
    #[cfg(unix)]
    {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        for name in ["pipe.png", "a.json"] {
            assert!(
                std::process::Command::new("mkfifo")
                    .arg(root.join(name))
                    .status()
                    .unwrap()
                    .success()
            );
            wild.rejects(name);
        }
        if cfg!(not(target_os = "macos")) {
            let name = OsStr::from_bytes(b"caf\xe9.png");
            fs::write(root.join(name), picture(130, ImageFormat::Png)).unwrap();
            fs::write(root.join(OsStr::from_bytes(b"caf\xe9.json")), CC0).unwrap();
            wild.takes("/caf%E9.png", Some("CC0-1.0"));
            wild.metadata_files += 1;
        }
    }
}

fn shards(root: &Path, wild: &mut Wild) {
    let pictures: Vec<Vec<u8>> = (150..170).map(|n| picture(n, ImageFormat::Jpeg)).collect();
    let (cc0, reserved) = (Some("CC0-1.0"), Some("all rights reserved"));
    let members: [(&str, &[u8]); 21] = [
        // Twice the same name.
        ("0.jpg", &pictures[0]),
        ("0.json", RESERVED),
        ("0.jpg", &pictures[1]),
        ("0.json", CC0),
        // Not side by side.
        ("1.jpg", &pictures[2]),
        ("2.jpg", &pictures[3]),
        ("1.json", RESERVED),
        ("2.json", CC0),
        ("dog.v1.1.jpg", &pictures[4]),
        ("dog.v1.1.json", CC0),
        ("000.image.jpg", &pictures[5]),
        ("000.json", CC0),
        ("12:30.jpg", &pictures[6]),
        ("12:30.txt", b"\xef\xbb\xbfhalf past twelve"),
        ("b.jfif", &pictures[7]),
        ("b.json", b"[]"),
        ("c.heic", b"\0\0\0\x18ftypheic"),
        ("._1.jpg", b"\0\x05\x16\x07"),
        ("lonely.txt", b"no picture"),
        ("__MACOSX/._1.jpg", b"\0\x05\x16\x07"),
        ("d.mp4", b"\0\0\0\x18ftypmp42"),
    ];
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        archive.append_data(&mut header, name, bytes).unwrap();
    }
    put(root, "s/0.tar", &archive.into_inner().unwrap());
    (0..2).for_each(|_| ["#0.jpg", "#0.json"].into_iter().for_each(|name| wild.rejects(name)));
    wild.takes("#1.jpg", reserved);
    wild.takes("#2.jpg", cc0);
    wild.takes("#dog.v1.1.jpg", cc0);
    wild.takes("#000.image.jpg", cc0);
    wild.takes("#12:30.jpg", None);
    wild.takes("#b.jfif", None);
    ["#b.json", "#c.heic"].into_iter().for_each(|name| wild.rejects(name));
    wild.leaves_out(4);
    wild.metadata_files += 5;
    put(root, "s/gzip.tar", b"\x1f\x8b\x08\0");
    wild.rejects("gzip.tar");
}
