//! Everything that is found is taken in, there already, rejected or left out, and no image has the
//! license of another one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use futures::executor::block_on;
use imagerag::gallery::ingest::{
    Content, Folder, Ingest, IngestProgress, Item, LeftOut, LeftOutKind, WebDataset,
};
use imagerag::gallery::{Depth, Gallery, Pixels, Rejected};
use imagerag::testing::FakeEmbedder;
use tempfile::{TempDir, tempdir};

use super::support::*;

/// Files in a new folder.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder
}

/// What a reader found: the license of each image by its name, what is rejected, what is left out.
struct Read {
    licenses: BTreeMap<String, Option<String>>,
    rejected: Vec<String>,
    left_out: LeftOut,
}

impl Read {
    fn of<I: Iterator<Item = Result<Item, Rejected>>>(
        mut reader: I,
        left_out: impl Fn(&I) -> &LeftOut,
    ) -> Self {
        let (items, rejected) = sort(reader.by_ref());
        let licenses: BTreeMap<_, _> =
            items.iter().map(|item| (name(&item.source), item.metadata.license.clone())).collect();
        assert_eq!(licenses.len(), items.len(), "sources differ");
        Self { licenses, rejected, left_out: left_out(&reader).clone() }
    }

    fn folder(folder: &TempDir) -> Self {
        Self::of(Folder::open(folder.path()).unwrap(), Folder::left_out)
    }

    /// What is in a shard of these members.
    fn shard(members: &[(&str, &[u8])]) -> Self {
        let folder = tempdir().unwrap();
        fs::write(folder.path().join("s.tar"), tar(members)).unwrap();
        Self::of(WebDataset::open(folder.path()).unwrap(), WebDataset::left_out)
    }

    /// Names of images, with their licenses.
    fn images(&self) -> Vec<(&str, Option<&str>)> {
        self.licenses.iter().map(|(name, license)| (&**name, license.as_deref())).collect()
    }

    fn count(&self, kind: LeftOutKind) -> u64 {
        self.left_out.count(kind)
    }

    /// That what is rejected is named thus, in this order.
    fn rejects(&self, said: &[&str]) {
        assert_eq!(self.rejected.len(), said.len(), "{:?}", self.rejected);
        for (rejected, said) in self.rejected.iter().zip(said) {
            assert!(rejected.contains(said), "{said:?} is not in {rejected:?}");
        }
    }
}

/// The file's or member's own name in a source.
fn name(source: &str) -> String {
    source.rsplit(['/', '#']).next().unwrap().to_owned()
}

const CC0: &[u8] = br#"{"license": "CC0-1.0"}"#;
const RESERVED: &[u8] = br#"{"license": "all rights reserved"}"#;
const FREE: Option<&str> = Some("CC0-1.0");

#[test]
fn members_of_one_name_are_refused_with_their_texts() {
    let (a, b, c) = (png(1), png(2), png(3));
    let read = Read::shard(&[
        ("0.png", &a),
        ("0.json", RESERVED),
        ("0.png", &b),
        ("0.json", CC0),
        ("1.png", &c),
        ("1.json", CC0),
    ]);
    assert_eq!(read.images(), [("1.png", FREE)]);
    read.rejects(&["#0.png: ", "#0.json: ", "#0.png: ", "#0.json: "]);
    assert!(read.rejected[0].contains("expected one member of this name, found 2"));
    // Two texts of one picture; one text of two.
    let read = Read::shard(&[("./0.png", &a), ("0.json", RESERVED), ("./0.json", CC0)]);
    assert_eq!(read.images(), [("0.png", None)]);
    read.rejects(&["0.json", "0.json"]);
    let read = Read::shard(&[("0.png", &a), ("0.gif", &b), ("0.json", CC0)]);
    assert_eq!(read.images(), [("0.gif", None), ("0.png", None)]);
    read.rejects(&["#0.json: "]);
    // Texts in other letters of the ending are read both, and contradict each other.
    let read = Read::shard(&[("0.png", &a), ("0.json", RESERVED), ("0.JSON", CC0)]);
    assert_eq!(read.images(), [("0.png", None)]);
    read.rejects(&["license of 0.png: expected one license"]);
}

#[test]
fn members_are_joined_wherever_they_are() {
    let pictures = [png(1), png(2), png(3)];
    let read = Read::shard(&[
        ("a/2.json", CC0),
        ("0.png", &pictures[0]),
        ("1.png", &pictures[1]),
        ("0.json", RESERVED),
        ("1.JSON", CC0),
        ("a/2.JPG", &pictures[2]),
        ("3.txt", b"no picture"),
        ("4.json", CC0),
    ]);
    let reserved = Some("all rights reserved");
    assert_eq!(read.images(), [("0.png", reserved), ("1.png", FREE), ("2.JPG", FREE)]);
    read.rejects(&[]);
    let names = read.left_out.names(LeftOutKind::WithoutPicture).iter();
    assert_eq!(names.map(|source| name(source)).collect::<Vec<_>>(), ["3.txt", "4.json"]);
    assert_eq!(read.left_out.total(), 2);
}

#[test]
fn dots_and_named_parts_are_understood_where_they_are_plain() {
    let pictures: Vec<Vec<u8>> = (1..9).map(png).collect();
    let read = Read::shard(&[
        ("dog.v1.1.jpg", &pictures[0]),
        ("dog.v1.1.json", CC0),
        ("000.image.jpg", &pictures[1]),
        ("000.json", CC0),
        ("001.left.jpg", &pictures[2]),
        ("001.right.jpg", &pictures[3]),
        ("001.json", CC0),
        ("001.right.txt", b"the right one"),
        ("cat.jpg", &pictures[4]),
        ("cat.v2.jpg", &pictures[5]),
        ("cat.json", CC0),
        ("bee.png", &pictures[6]),
        ("bee.png.json", CC0),
        ("noending", &pictures[7]),
        ("README", b"what this is"),
        ("000.cls", b"7"),
    ]);
    let expected = [
        ("000.image.jpg", FREE),
        ("001.left.jpg", None),
        ("001.right.jpg", None),
        ("bee.png", FREE),
        ("cat.jpg", FREE),
        ("cat.v2.jpg", None),
        ("dog.v1.1.jpg", FREE),
        ("noending", None),
    ];
    assert_eq!(read.images(), expected);
    read.rejects(&["#001.json: "]);
    assert!(read.rejected[0].contains("found 001.left.jpg and 001.right.jpg"));
    assert_eq!((read.count(LeftOutKind::Other), read.left_out.total()), (2, 2));
}

#[test]
fn names_of_members_are_taken_as_they_are() {
    let pictures: Vec<Vec<u8>> = (1..7).map(png).collect();
    let mut archive = tar::Builder::new(Vec::new());
    let names: [&[u8]; 5] = [b"12:30.png", b"a\\b.png", b"a b.png", b"caf\xe9.png", b"caf%E9.png"];
    for (name, bytes) in names.iter().zip(&pictures) {
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name);
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        archive.append(&header, &bytes[..]).unwrap();
    }
    append(&mut archive, "caf%E9.json", CC0, tar::EntryType::Regular);
    // Names that are too long for a header, as GNU and PAX write them.
    let long = format!("{}/x.png", "d".repeat(150));
    let mut header = tar::Header::new_gnu();
    header.set_size(pictures[5].len() as u64);
    archive.append_data(&mut header, &long, &pictures[5][..]).unwrap();
    let longer = format!("{}/y.png", "e".repeat(120));
    archive.append_pax_extensions([("path", longer.as_bytes())]).unwrap();
    append(&mut archive, "short.png", &png(7), tar::EntryType::Regular);
    // A sparse file, whose pieces are not in one place.
    archive.append_pax_extensions([("GNU.sparse.major", &b"1"[..])]).unwrap();
    append(&mut archive, "pax.png", &png(8), tar::EntryType::Regular);
    append(&mut archive, "last.png", &png(9), tar::EntryType::Regular);
    let folder = folder(&[("s.tar", &archive.into_inner().unwrap())]);
    let (items, rejected) = sort(WebDataset::open(folder.path()).unwrap());
    let prefix = format!("{}#", folder.path().join("s.tar").display());
    let sources: Vec<&str> =
        items.iter().map(|item| item.source.strip_prefix(&prefix).unwrap()).collect();
    let expected = [
        "12:30.png",
        "a\\b.png",
        "a b.png",
        "file:caf%E9.png",
        "caf%E9.png",
        &long,
        &longer,
        "last.png",
    ];
    assert_eq!(sources, expected);
    assert_eq!(items[3].metadata.license, None);
    assert_eq!(items[4].metadata.license.as_deref(), FREE);
    assert_eq!(rejected.len(), 1);
    assert!(
        rejected[0].contains("pax.png") && rejected[0].contains("a sparse file"),
        "{rejected:?}"
    );
}

#[test]
fn compressed_shards_are_told_as_what_they_are() {
    let names =
        [("a.tar", "gzip", &b"\x1f\x8b\x08\0rest"[..]), ("b.tar.gz", "gzip", b"\x1f\x8b\x08")];
    let others: [(&str, &str, &[u8]); 3] = [
        ("c.tgz", "zstd", b"\x28\xb5\x2f\xfd...."),
        ("d.tar.bz2", "bzip2", b"BZh91AY&SY"),
        ("e.txz", "xz", b"\xfd7zXZ\0\0\0"),
    ];
    let all: Vec<_> = names.into_iter().chain(others).collect();
    let files: Vec<(&str, &[u8])> = all.iter().map(|(name, _, bytes)| (*name, *bytes)).collect();
    let folder = folder(&files);
    let (items, rejected) = sort(WebDataset::open(folder.path()).unwrap());
    assert_eq!((items.len(), rejected.len()), (0, all.len()));
    for (rejected, (name, with, _)) in rejected.iter().zip(all) {
        assert!(rejected.contains(name), "{rejected}");
        assert!(rejected.contains(&format!("compressed with {with}")), "{rejected}");
    }
}

#[test]
fn pictures_are_told_by_content_whatever_they_are_called() {
    let pictures: Vec<Vec<u8>> = (1..9).map(png).collect();
    let heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic";
    let files: [(&str, &[u8]); 16] = [
        ("a.jfif", &pictures[0]),
        ("b.jpe", &pictures[1]),
        ("c.jpg_large", &pictures[2]),
        ("d.apng", &pictures[3]),
        ("e", &pictures[4]),
        ("f.jpg:orig", &pictures[5]),
        ("g.avif", &pictures[6]),
        ("h.avif", b"no picture"),
        ("i.bin", heic),
        ("j.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("k.jxl", b"\xff\x0a\0"),
        ("README", b"BM is how a text may begin"),
        ("film.mp4", b"\0\0\0\x18ftypmp42"),
        ("old.zip", b"PK\x03\x04"),
        ("notes.txt", b"about nothing"),
        ("l.tga", b"no signature"),
    ];
    let read = Read::folder(&folder(&files));
    let names: Vec<&str> = read.images().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a.jfif", "b.jpe", "c.jpg_large", "d.apng", "e", "f.jpg:orig", "g.avif"]);
    read.rejects(&["found AVIF", "found HEIC", "found SVG", "found JPEG XL", "found TGA"]);
    assert_eq!(read.count(LeftOutKind::Other), 3);
    assert_eq!(read.count(LeftOutKind::WithoutPicture), 1);
    // The same in a shard.
    let read = Read::shard(&files);
    assert_eq!((read.licenses.len(), read.rejected.len(), read.left_out.total()), (7, 5, 4));
}

#[test]
fn what_systems_leave_behind_is_no_picture() {
    let double = b"\0\x05\x16\x07\0\x02\0\0Mac OS X";
    let picture = png(1);
    let files: [(&str, &[u8]); 12] = [
        ("a.png", &picture),
        ("a.json", CC0),
        ("._a.png", double),
        ("b.bin", double),
        ("__MACOSX/._a.png", double),
        ("__MACOSX/sub/._a.json", double),
        ("Thumbs.db", b"\xd0\xcf\x11\xe0"),
        (".DS_Store", b"\0\0\0\x01Bud1"),
        ("desktop.ini", b"[.ShellClassInfo]"),
        ("@eaDir/a.png/SYNOPHOTO.jpg", &picture),
        ("a.json~", CC0),
        (".git/a.png", &picture),
    ];
    let read = Read::folder(&folder(&files));
    assert_eq!(read.images(), [("a.png", FREE)]);
    read.rejects(&[]);
    // A folder that is not entered is one.
    let counts = |read: &Read| [read.count(LeftOutKind::System), read.count(LeftOutKind::Hidden)];
    assert_eq!(counts(&read), [8, 1]);
    let read = Read::shard(&files);
    assert_eq!(read.images(), [("a.png", FREE)]);
    assert_eq!((counts(&read), read.left_out.total()), ([9, 1], 10));
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_refused_without_opening_it() {
    use std::os::unix::fs::symlink;
    let folder = folder(&[("a.png", &png(1)), ("sub.png/b.png", &png(2)), ("c.txt", b"")]);
    let path = |name: &str| folder.path().join(name);
    for name in ["pipe.png", "a.json", "pipe", "catalog.json"] {
        let made = std::process::Command::new("mkfifo").arg(path(name)).status().unwrap();
        assert!(made.success());
    }
    let _socket = std::os::unix::net::UnixListener::bind(path("socket.jpg")).unwrap();
    symlink("/dev/zero", path("zero.png")).unwrap();
    symlink("/dev/zero", path("sub.png/b.json")).unwrap();
    symlink("nowhere", path("gone.dat")).unwrap();
    symlink("loop", path("loop")).unwrap();
    let read = Read::folder(&folder);
    assert_eq!(read.images(), [("a.png", None), ("b.png", None)]);
    let said = [
        "catalog.json: kind: expected a file, found a FIFO",
        "a.json: kind: expected a file, found a FIFO",
        "gone.dat",
        "loop",
        "pipe: kind: expected a file, found a FIFO",
        "pipe.png: kind: expected a file, found a FIFO",
        "socket.jpg: kind: expected a file, found a socket",
        "b.json: kind: expected a file, found a device",
        "zero.png: kind: expected a file, found a device",
    ];
    read.rejects(&said);
    assert_eq!(read.count(LeftOutKind::WithoutPicture), 1);
    // Nor is it opened where somebody says that it is a picture.
    let gallery = block_on(Gallery::open_or_create(path(".g"), &FakeEmbedder)).unwrap();
    let items = [Ok(Item::file(path("pipe.png"))), Ok(Item::file(path("zero.png")))];
    let done = block_on(Ingest::into(&gallery).with_embedder(FakeEmbedder).run(items, |_| {}));
    assert_eq!(done.unwrap().rejected, 2);
}

/// On macOS and Windows there are no such names.
#[cfg(all(unix, not(target_os = "macos")))]
#[test]
fn names_that_are_not_utf_8_are_kept_everywhere() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let home = tempdir().unwrap();
    let photos = home.path().join(OsStr::from_bytes(b"photos\xff"));
    fs::create_dir(&photos).unwrap();
    let write = |name: &[u8], bytes: &[u8]| {
        fs::write(photos.join(OsStr::from_bytes(name)), bytes).unwrap();
    };
    write(b"caf\xe9.png", &png(1));
    write(b"caf\xe9.json", CC0);
    write(b"caf%E9.png", &png(2));
    write(b"a\nb #1%.png", &png(3));
    write(b"s.tar#0.png", &png(4));
    write(b"s.tar", &tar(&[("0.png", &png(5)), ("0.json", CC0)]));
    let take_in = |ingest: &Ingest| {
        let reader = Folder::open(&photos).unwrap().with_shards();
        let done = block_on(ingest.run(reader, |_| {})).unwrap();
        assert!(done.adds_up(), "{done:?}");
        [done.added, done.updated, done.known, done.rejected, done.metadata_files]
    };
    let gallery = |name| block_on(Gallery::open_or_create(home.path().join(name), &FakeEmbedder));
    for relative in [false, true] {
        let gallery = gallery(format!("g{relative}")).unwrap();
        let mut ingest = Ingest::into(&gallery).with_embedder(FakeEmbedder);
        if relative {
            ingest = ingest.with_relative_paths();
        }
        assert_eq!(take_in(&ingest), [5, 0, 0, 0, 2]);
        assert_eq!(take_in(&ingest), [0, 0, 5, 0, 2]);
        let root = if relative {
            "file:../photos%FF".to_owned()
        } else {
            format!("file://{}/photos%FF", home.path().display())
        };
        let of = |name: &str| gallery.by_source(&format!("{root}/{name}")).unwrap().unwrap().record;
        for (name, n, license) in [
            ("caf%E9.png", 1, FREE),
            ("caf%25E9.png", 2, None),
            ("a%0Ab%20%231%25.png", 3, None),
            ("s.tar%230.png", 4, None),
            ("s.tar#0.png", 5, FREE),
        ] {
            let record = of(name);
            assert_eq!(record.image().unwrap(), picture(n), "{name}");
            assert_eq!(record.metadata.license.as_deref(), license, "{name}");
        }
        assert!(Gallery::verify(gallery.folder(), Depth::Pictures).is_whole());
        let out = tempdir().unwrap();
        assert_eq!(gallery.export(out.path()).unwrap(), 5);
        let lines = fs::read_to_string(out.path().join("images.jsonl")).unwrap();
        assert!(lines.contains("photos%FF/caf%E9.png\""), "{lines}");
        let entry = serde_json::to_value(of("caf%E9.png")).unwrap();
        assert!(entry["pixels"]["file"].as_str().unwrap().ends_with("caf%E9.png"));
    }
    // The folder gets another name, and back.
    let gallery = gallery("gfalse".to_owned()).unwrap();
    let plain = home.path().join("plain");
    fs::rename(&photos, &plain).unwrap();
    assert_eq!(gallery.writer().unwrap().relocate(&photos, &plain).unwrap(), 5);
    assert!(Gallery::verify(gallery.folder(), Depth::Pictures).is_whole());
    let caf = gallery.by_source(&format!("{}/a\nb #1%.png", plain.display())).unwrap().unwrap();
    assert_eq!(caf.record.pixels, Pixels::File(plain.join("a\nb #1%.png")));
    assert!(gallery.by_source(&format!("{}/s.tar#0.png", plain.display())).unwrap().is_some());
    fs::rename(&plain, &photos).unwrap();
    assert_eq!(gallery.writer().unwrap().relocate(&plain, &photos).unwrap(), 5);
    let ingest = Ingest::into(&gallery).with_embedder(FakeEmbedder);
    assert_eq!(take_in(&ingest), [0, 0, 5, 0, 2]);
}

#[test]
fn a_text_that_fits_two_pictures_gives_none_of_them_a_license() {
    let pictures: Vec<Vec<u8>> = (1..7).map(png).collect();
    let folder = folder(&[
        ("bee.jpg", &pictures[0]),
        ("bee.png", &pictures[1]),
        ("bee.json", CC0),
        ("bee.png.json", RESERVED),
        ("fly.png", &pictures[2]),
        ("fly.JSON", CC0),
        ("fly.png.json", RESERVED),
        ("ant.png", &pictures[3]),
        ("Ant.json", CC0),
        ("dog.v1.1.png", &pictures[4]),
        ("dog.v1.1.json", CC0),
        ("dog.json", CC0),
        ("e\u{301}.png", &pictures[5]),
        ("é.json", CC0),
    ]);
    let read = Read::folder(&folder);
    let expected = [
        ("ant.png", None),
        ("bee.jpg", None),
        ("bee.png", Some("all rights reserved")),
        ("dog.v1.1.png", FREE),
        ("e\u{301}.png", FREE),
        ("fly.png", None),
    ];
    assert_eq!(read.images(), expected);
    read.rejects(&[
        "bee.json: pictures of this name: expected one, found bee.jpg and bee.png",
        "fly",
    ]);
    assert!(read.rejected[1].contains("expected one license, found"), "{:?}", read.rejected);
    assert_eq!(read.count(LeftOutKind::WithoutPicture), 2);
}

#[test]
fn catalog_json_names_files_as_people_write_them() {
    let outside = folder(&[("x.png", &png(99))]);
    let pictures: Vec<Vec<u8>> = (1..8).map(png).collect();
    let folder = folder(&[
        ("a.png", &pictures[0]),
        ("sub/b.png", &pictures[1]),
        ("c.png", &pictures[2]),
        ("e\u{301}.png", &pictures[3]),
        ("d.png", &pictures[4]),
        ("twice.png", &pictures[5]),
        ("same.png", &pictures[6]),
    ]);
    let absolute = folder.path().join("c.png");
    let entry = |file: &str, license: &str| serde_json::json!({"file": file, "license": license});
    let entries = [
        entry("./a.png", "A"),
        entry("sub\\b.png", "B"),
        entry(absolute.to_str().unwrap(), "C"),
        entry("é.png", "E"),
        entry("sub/../d.png", "D"),
        entry("twice.png", "CC0-1.0"),
        entry("./twice.png", "all rights reserved"),
        entry("same.png", "S"),
        entry("sub/../same.png", "s"),
        entry("D.png", "no"),
        entry(outside.path().join("x.png").to_str().unwrap(), "no"),
        serde_json::json!(7),
    ];
    let text = serde_json::to_string(&entries).unwrap();
    fs::write(folder.path().join("catalog.json"), text).unwrap();
    let read = Read::folder(&folder);
    let expected = [
        ("a.png", Some("A")),
        ("b.png", Some("B")),
        ("c.png", Some("C")),
        ("d.png", Some("D")),
        ("e\u{301}.png", Some("E")),
        ("same.png", Some("S")),
        ("twice.png", None),
    ];
    assert_eq!(read.images(), expected);
    let outside = outside.path().join("x.png");
    let outside = outside.display().to_string();
    read.rejects(&["1 of 12 others, such as 7", "license of", &outside, "D.png"]);
    assert!(read.rejected[1].contains("twice.png"), "{:?}", read.rejected);
}

#[test]
fn text_is_read_as_people_have_it() {
    let utf_16 = |text: &str, big: bool| -> Vec<u8> {
        let units = std::iter::once(0xfeff).chain(text.encode_utf16());
        units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    };
    let marked = |text: &[u8]| [b"\xef\xbb\xbf", text].concat();
    let nan = br#"{"caption": "a bee", "license": "CC0-1.0", "aesthetic": NaN, "n": -Infinity}"#;
    let (json, txt) = (marked(CC0), marked(b"a bee"));
    let (wide, wide_json) = (utf_16("ein Löwe", false), utf_16(r#"{"license": "CC0-1.0"}"#, true));
    let pictures: Vec<Vec<u8>> = (1..7).map(png).collect();
    let half: &[u8] = br#"{"caption": "a bee \ud83d", "license": "CC0-1.0"}"#;
    let files: [(&str, &[u8]); 12] = [
        ("mark.png", &pictures[0]),
        ("mark.json", &json),
        ("mark.txt", &txt),
        ("wide.png", &pictures[1]),
        ("wide.txt", &wide),
        ("wide.json", &wide_json),
        ("nan.png", &pictures[2]),
        ("nan.json", nan),
        ("half.png", &pictures[3]),
        ("half.json", half),
        ("kohya.png", &pictures[4]),
        ("kohya.caption", b"by kohya\n"),
    ];
    let folder = folder(&files);
    fs::write(folder.path().join("s.tar"), tar(&files)).unwrap();
    let listed = marked(br#"[{"file": "kohya.png", "license": "CC0-1.0", "score": NaN}]"#);
    fs::write(folder.path().join("catalog.json"), listed).unwrap();
    let (items, rejected) = sort(Folder::open(folder.path()).unwrap().with_shards());
    assert_eq!((items.len(), rejected), (10, Vec::<String>::new()));
    for item in items {
        let caption = match &*name(&item.source) {
            "mark.png" | "nan.png" => "a bee",
            "wide.png" => "ein Löwe",
            "half.png" => "a bee \u{fffd}",
            _ => "by kohya",
        };
        assert_eq!(item.metadata.caption.as_deref(), Some(caption), "{}", item.source);
        let listed = item.source.contains('#') && caption == "by kohya";
        assert_eq!(item.metadata.license.as_deref(), FREE.filter(|_| !listed), "{}", item.source);
    }
}

#[test]
fn metadata_that_is_not_understood_is_named_and_forgotten_once_it_is() {
    let bad: [(&str, &[u8]); 8] = [
        ("list", b"[1, 2]"),
        ("text", b"\"CC0-1.0\""),
        ("broken", br#"{"license": "CC0-1.0""#),
        ("empty", b""),
        ("html", b"<html>404</html>"),
        ("null", b"null"),
        ("licenses", br#"{"license": "CC0-1.0", "licence": "MIT"}"#),
        ("key", br#"{"license": "CC0-1.0", "__key__": "another"}"#),
    ];
    let folder = tempdir().unwrap();
    let photos = folder.path().join("photos");
    fs::create_dir(&photos).unwrap();
    for (n, (name, text)) in bad.iter().enumerate() {
        fs::write(photos.join(format!("{name}.png")), png(n as u32)).unwrap();
        fs::write(photos.join(format!("{name}.json")), text).unwrap();
    }
    // Of this one 5 GB; nothing is on the disk.
    fs::write(photos.join("long.png"), png(100)).unwrap();
    fs::File::create(photos.join("long.json")).unwrap().set_len(5 << 30).unwrap();
    fs::write(photos.join("catalog.json"), br#"{"version": 1}"#).unwrap();
    let gallery =
        block_on(Gallery::open_or_create(folder.path().join("g"), &FakeEmbedder)).unwrap();
    let run = || -> IngestProgress {
        let ingest = Ingest::into(&gallery).with_embedder(FakeEmbedder);
        block_on(ingest.run(Folder::open(&photos).unwrap(), |_| {})).unwrap()
    };
    let done = run();
    assert_eq!([done.added, done.rejected, done.found], [9, 10, 19]);
    assert!(done.adds_up());
    for entry in gallery.iter().unwrap() {
        assert_eq!(entry.unwrap().0.record.metadata.license, None);
    }
    let rejected = gallery.rejected().unwrap();
    assert_eq!(rejected.len(), 10);
    assert!(rejected.iter().all(|one| one.source.ends_with(".json")), "{rejected:?}");
    // Mended one by one: what is understood is rejected no more.
    for (name, _) in bad {
        fs::write(photos.join(format!("{name}.json")), CC0).unwrap();
    }
    fs::write(photos.join("catalog.json"), "[]").unwrap();
    let done = run();
    assert_eq!([done.known, done.rejected, done.metadata_files], [9, 1, 9]);
    let rejected = gallery.rejected().unwrap();
    assert_eq!(rejected.len(), 1);
    assert!(rejected[0].to_string().contains("long.json: length: expected at most 4194304 bytes"));
}

#[test]
fn two_images_of_one_source_and_two_reasons_of_one_source_are_all_accounted_for() {
    let folder = tempdir().unwrap();
    let gallery =
        block_on(Gallery::open_or_create(folder.path().join("g"), &FakeEmbedder)).unwrap();
    let broken = |reason: &str| Err(Rejected { source: "b".into(), reason: reason.into() });
    let items = || {
        vec![
            Ok(Item::new("a", Content::Image(picture(1)))),
            Ok(Item::new("a", Content::Image(picture(2)))),
            Ok(Item::new("a", Content::Image(picture(1)))),
            broken("one"),
            broken("two"),
            broken("two"),
        ]
    };
    for expected in [[1, 0, 1, 4], [0, 0, 2, 4]] {
        let ingest = Ingest::into(&gallery).with_embedder(FakeEmbedder);
        let done = block_on(ingest.run(items(), |_| {})).unwrap();
        assert_eq!([done.added, done.updated, done.known, done.rejected], expected);
        assert_eq!((done.adds_up(), done.found), (true, 6));
        let rejected = gallery.rejected().unwrap();
        assert_eq!(rejected.len(), 4, "{rejected:?}");
        assert!(rejected[0].reason.contains("one that no other image has"), "{rejected:?}");
        assert_eq!(gallery.by_source("a").unwrap().unwrap().record.image().unwrap(), picture(1));
    }
}

#[test]
fn what_a_reader_leaves_out_is_counted_through_whatever_it_is_inside() {
    let folder = folder(&[
        ("photos/a.png", &png(1)),
        ("photos/b.png", &png(1)),
        ("photos/c.avif", b"?"),
        ("photos/Thumbs.db", b""),
        ("photos/notes.txt", b"no picture"),
        ("shards/s.tar", &tar(&[("0.png", &png(2)), ("1.txt", b"no picture"), ("._0.png", b"")])),
        ("shards/s_stats.json", br#"{"successes": 1}"#),
        ("shards/s.parquet", b"PAR1"),
        ("shards/x.png", &png(3)),
    ]);
    let path = |name: &str| folder.path().join(name);
    let gallery = block_on(Gallery::open_or_create(path("g"), &FakeEmbedder)).unwrap();
    let both: Box<dyn Iterator<Item = Result<Item, Rejected>> + Send> = Box::new(
        Folder::open(path("photos")).unwrap().chain(WebDataset::open(path("shards")).unwrap()),
    );
    let ingest = Ingest::into(&gallery).with_embedder(FakeEmbedder);
    let done = block_on(ingest.run(both, |_| {})).unwrap();
    assert_eq!([done.added, done.known, done.rejected, done.left_out.total()], [2, 1, 2, 5]);
    assert_eq!((done.found, done.adds_up()), (10, true));
    let told = "2 added, 0 updated, 1 already there, 2 rejected, \
                5 left out (2 system, 2 text without a picture, 1 no picture)";
    assert_eq!(done.to_string(), told);
    assert_eq!(serde_json::to_value(&done).unwrap()["left_out"]["system"]["count"], 2);
}

/// What links lead to is met once, where it really is if that is in the tree too.
#[cfg(unix)]
#[test]
fn what_catalog_json_says_is_found_behind_links() {
    use std::os::unix::fs::symlink;
    let elsewhere = folder(&[("b.png", &png(2))]);
    let folder = folder(&[("real/a.png", &png(1))]);
    symlink(folder.path().join("real"), folder.path().join("first")).unwrap();
    symlink(elsewhere.path(), folder.path().join("one")).unwrap();
    symlink(elsewhere.path(), folder.path().join("two")).unwrap();
    let listed =
        r#"[{"file": "first/a.png", "license": "A"}, {"file": "two/b.png", "license": "B"}]"#;
    fs::write(folder.path().join("catalog.json"), listed).unwrap();
    let read = Read::folder(&folder);
    assert_eq!(read.images(), [("a.png", Some("A")), ("b.png", Some("B"))]);
    read.rejects(&[]);
}

/// As img2dataset's captions do: what a person wrote is believed more than what was scraped.
#[test]
fn a_caption_of_its_own_is_believed_wherever_it_is() {
    let picture = png(1);
    let json = br#"{"Caption": "scraped", "license": "CC0-1.0"}"#;
    for members in [
        [("0.png", &picture[..]), ("0.txt", b"written"), ("0.json", json)],
        [("0.json", json), ("0.png", &picture), ("0.caption", b"written")],
    ] {
        let folder = folder(&members);
        fs::write(folder.path().join("s.tar"), tar(&members)).unwrap();
        let (items, _) = sort(Folder::open(folder.path()).unwrap().with_shards());
        assert_eq!(items.len(), 2);
        for item in items {
            assert_eq!(item.metadata.caption.as_deref(), Some("written"), "{}", item.source);
            assert_eq!(item.metadata.license.as_deref(), FREE);
        }
    }
}

/// A gallery of an earlier version, whose list of rejected images had one reason a source.
#[test]
fn a_gallery_of_the_version_before_is_brought_up_to_date() {
    let folder = tempdir().unwrap();
    let path: &Path = &folder.path().join("g");
    let gallery = block_on(Gallery::open_or_create(path, &FakeEmbedder)).unwrap();
    let one = |reason: &str| Rejected { source: "a".to_owned(), reason: reason.to_owned() };
    gallery.writer().unwrap().reject(&[one("old")]).unwrap();
    drop(gallery);
    let older = rusqlite::Connection::open(path.join("catalog.sqlite")).unwrap();
    older
        .execute_batch(
            "ALTER TABLE rejected RENAME TO newer;
             CREATE TABLE rejected (source TEXT PRIMARY KEY, reason TEXT NOT NULL,
                                    checksum BLOB NOT NULL) STRICT;
             INSERT INTO rejected SELECT source, reason, checksum FROM newer;
             DROP TABLE newer;
             PRAGMA user_version = 1;",
        )
        .unwrap();
    drop(older);
    let gallery = Gallery::open(path).unwrap();
    assert_eq!(gallery.rejected().unwrap(), [one("old")]);
    gallery.writer().unwrap().reject(&[one("new"), one("newer")]).unwrap();
    assert_eq!(gallery.rejected().unwrap(), [one("new"), one("newer")]);
    assert!(Gallery::verify(path, Depth::Gallery).is_whole());
}

#[test]
fn statistics_with_a_byte_order_mark_tell_how_many_there_are() {
    let folder = folder(&[
        ("s.tar", &tar(&[("0.png", &png(1))])),
        ("s_stats.json", b"\xef\xbb\xbf{\"successes\": 1, \"rate\": NaN}"),
    ]);
    assert_eq!(WebDataset::open(folder.path()).unwrap().size_hint(), (0, Some(1)));
    let both = Folder::open(folder.path()).unwrap().with_shards().counted();
    assert_eq!(both.size_hint(), (0, Some(1)));
    fs::remove_file(folder.path().join("s_stats.json")).unwrap();
    let both = Folder::open(folder.path()).unwrap().counted().with_shards();
    assert_eq!(both.size_hint(), (0, None));
    assert_eq!(Folder::open(folder.path()).unwrap().counted().size_hint(), (0, Some(0)));
}

/// What an archive claims costs neither memory nor the members behind it.
#[test]
fn sparse_members_and_endless_headers_are_refused() {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNUSparse);
    header.set_size(512);
    let gnu = header.as_gnu_mut().unwrap();
    gnu.name[..10].copy_from_slice(b"sparse.png");
    let octal = |field: &mut [u8], value: u64| {
        field.copy_from_slice(format!("{value:0width$o}\0", width = field.len() - 1).as_bytes());
    };
    octal(&mut gnu.sparse[0].offset, (1 << 33) - 512 - 1024);
    octal(&mut gnu.sparse[0].numbytes, 512);
    octal(&mut gnu.realsize, (1 << 33) - 1024);
    header.set_cksum();
    archive.append(&header, &[7_u8; 512][..]).unwrap();
    append(&mut archive, "0.png", &png(0), tar::EntryType::Regular);
    append(&mut archive, "1.png", &png(1), tar::EntryType::Regular);
    // A name of 2 MiB.
    let long = vec![b'x'; 2 << 20];
    append(&mut archive, "././@LongLink", &long, tar::EntryType::GNULongName);
    append(&mut archive, "2.png", &png(2), tar::EntryType::Regular);
    let folder = folder(&[("s.tar", &archive.into_inner().unwrap())]);
    let (items, rejected) = sort(WebDataset::open(folder.path()).unwrap());
    assert_eq!(items.iter().map(|item| name(&item.source)).collect::<Vec<_>>(), ["0.png", "1.png"]);
    assert_eq!(rejected.len(), 2, "{rejected:?}");
    assert!(rejected[0].contains("sparse.png") && rejected[0].contains("a sparse file"));
    assert!(rejected[1].contains("a header of more than 1048576 bytes"), "{rejected:?}");
}

#[test]
fn a_picture_that_is_not_read_is_another_one_of_its_name() {
    let license: &[u8] = br#"{"license": "CC0-1.0"}"#;
    let picture = png(1);
    for other in ["1.HEIC", "1.avif", "1.svg", "1.CR2"] {
        let files: [(&str, &[u8]); 4] =
            [("1.png", &picture), (other, b"?"), ("1.json", license), ("1.mp4", b"?")];
        for read in [Read::folder(&folder(&files)), Read::shard(&files)] {
            assert_eq!(read.images(), [("1.png", None)], "{other}");
            assert_eq!(read.rejected.len(), 2, "{other}: {:?}", read.rejected);
            let of_text = read.rejected.iter().find(|one| one.contains("1.json")).unwrap();
            assert!(of_text.contains("1.png") && of_text.contains(other), "{of_text}");
        }
        // The whole name tells them apart; what is about the other one has no picture.
        let named = format!("{other}.json");
        let files: [(&str, &[u8]); 4] = [
            ("1.png", &picture),
            (other, b"?"),
            ("1.png.json", license),
            (&named, br#"{"license": "MIT"}"#),
        ];
        for read in [Read::folder(&folder(&files)), Read::shard(&files)] {
            assert_eq!(read.images(), [("1.png", Some("CC0-1.0"))], "{other}");
            assert_eq!(read.left_out.count(LeftOutKind::WithoutPicture), 1, "{other}");
        }
        // Without another picture, it is about the one that is not read.
        let files: [(&str, &[u8]); 3] = [("2.png", &picture), (other, b"?"), ("1.json", license)];
        for read in [Read::folder(&folder(&files)), Read::shard(&files)] {
            assert_eq!(read.images(), [("2.png", None)], "{other}");
            assert_eq!(read.left_out.count(LeftOutKind::WithoutPicture), 1, "{other}");
        }
    }
}

#[cfg(unix)]
#[test]
fn what_is_no_file_may_be_another_picture_of_its_name() {
    let license: &[u8] = br#"{"license": "CC0-1.0"}"#;
    let picture = png(1);
    let files: [(&str, &[u8]); 2] = [("1.png", &picture), ("1.json", license)];
    for (name, expected) in [("1.jpg", None), ("1", None), ("1.caption", Some("CC0-1.0"))] {
        let folder = folder(&files);
        let socket = std::os::unix::net::UnixListener::bind(folder.path().join(name)).unwrap();
        assert_eq!(Read::folder(&folder).images(), [("1.png", expected)], "{name}");
        drop(socket);
        let mut archive = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            append(&mut archive, name, bytes, tar::EntryType::Regular);
        }
        append(&mut archive, name, b"", tar::EntryType::Symlink);
        let folder = tempdir().unwrap();
        fs::write(folder.path().join("s.tar"), archive.into_inner().unwrap()).unwrap();
        let read = Read::of(WebDataset::open(folder.path()).unwrap(), WebDataset::left_out);
        assert_eq!(read.images(), [("1.png", expected)], "{name}");
        assert!(
            read.rejected.iter().any(|one| one.contains("found a link")),
            "{:?}",
            read.rejected
        );
    }
}

#[test]
fn a_license_in_an_encoding_that_is_not_read_is_none() {
    let picture = png(1);
    let files: [(&str, &[u8]); 4] = [
        ("a.png", &picture),
        ("a.json", b"{\"license\": \"\xa9 2020 Andr\xe9\", \"caption\": \"caf\xe9\"}"),
        ("b.png", &picture),
        ("b.json", b"{\"license\": \"CC0-1.0\", \"author\": \"Andr\xe9\"}"),
    ];
    for read in [Read::folder(&folder(&files)), Read::shard(&files)] {
        assert_eq!(read.images(), [("a.png", None), ("b.png", Some("CC0-1.0"))]);
        assert_eq!(read.rejected.len(), 1, "{:?}", read.rejected);
        let said = &read.rejected[0];
        assert!(said.contains("a.json") && said.contains("UTF-8"), "{said}");
    }
}

#[test]
fn what_follows_the_end_of_an_archive_is_named() {
    let picture = png(1);
    let (one, two) = (tar(&[("0.png", &picture)]), tar(&[("1.png", &picture)]));
    let read = |bytes: &[u8]| {
        let folder = tempdir().unwrap();
        fs::write(folder.path().join("s.tar"), bytes).unwrap();
        Read::of(WebDataset::open(folder.path()).unwrap(), WebDataset::left_out)
    };
    for behind in [&two[..], b"a signature"] {
        let found = read(&[&one, behind].concat());
        assert_eq!(found.images(), [("0.png", None)]);
        assert_eq!(found.rejected.len(), 1, "{:?}", found.rejected);
        let said = &found.rejected[0];
        assert!(said.contains("s.tar: what follows the end of the archive"), "{said}");
    }
    // Zeros up to the next record, however long it is.
    let found = read(&[&one[..], &vec![0; 3 << 20]].concat());
    assert_eq!((found.images().len(), found.rejected.len()), (1, 0), "{:?}", found.rejected);
}

#[test]
fn what_is_no_archive_is_told_as_such() {
    let page = b"<!DOCTYPE html><html>404</html>".repeat(40);
    for bytes in [&page[..31], &page[..], &[7, 0].repeat(600)] {
        let folder = tempdir().unwrap();
        fs::write(folder.path().join("s.tar"), bytes).unwrap();
        let read = Read::of(WebDataset::open(folder.path()).unwrap(), WebDataset::left_out);
        assert_eq!(read.rejected.len(), 1);
        assert!(read.rejected[0].contains("expected a tar archive"), "{:?}", read.rejected);
    }
}

#[test]
fn a_sample_before_damage_is_lost_under_its_own_name() {
    let picture = png(1);
    let mut bytes = tar(&[("0.png", &picture), ("0.json", b"{}"), ("1.png", &picture)]);
    let bad = bytes.len() - 1024 - picture.len().next_multiple_of(512) - 512;
    bytes[bad..bad + 100].fill(7);
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("s.tar"), &bytes).unwrap();
    let read = Read::of(WebDataset::open(folder.path()).unwrap(), WebDataset::left_out);
    assert_eq!(read.images(), []);
    assert_eq!(read.left_out.total(), 0, "{}", read.left_out);
    assert_eq!(read.rejected.len(), 1, "{:?}", read.rejected);
    for said in ["s.tar#0.png: ", "0.png and 0.json not taken in"] {
        assert!(read.rejected[0].contains(said), "{:?}", read.rejected);
    }
}
