//! Every reader on what it is for.

use std::fs;

use imagerag::Image;
use imagerag::gallery::Pixels;
use imagerag::gallery::ingest::{ClipRetrieval, Content, Folder, Item, WebDataset};
use tempfile::tempdir;

use super::support::*;

#[test]
fn a_folder_is_walked_in_order_with_what_is_said_of_its_pictures() {
    let folder = tempdir().unwrap();
    let root = folder.path();
    fs::create_dir_all(root.join("deep/er")).unwrap();
    for (n, name) in ["b.PNG", "deep/er/c.webp", "deep/a.jpg", "z.tiff"].iter().enumerate() {
        fs::write(root.join(name), png(n as u32)).unwrap();
    }
    fs::write(root.join("notes.md"), "no picture").unwrap();
    fs::write(root.join("deep/a.txt"), "from the text").unwrap();
    fs::write(root.join("deep/a.json"), r#"{"caption": "x", "license": "MIT", "n": 1}"#).unwrap();
    fs::write(
        root.join("catalog.json"),
        r#"[{"file": "b.PNG", "caption": "a bee", "license": "CC0-1.0", "author": "me",
             "source": "https://example.org", "concept": "bee"},
            {"file": "deep/none.png"}]"#,
    )
    .unwrap();
    let reader = Folder::open(root).unwrap();
    assert_eq!(reader.size_hint(), (0, None));
    let reader = reader.counted();
    assert_eq!(reader.size_hint(), (0, Some(4)));
    let (items, rejected) = sort(reader);
    let names: Vec<_> = items
        .iter()
        .map(|item| item.source.strip_prefix(root.to_str().unwrap()).unwrap())
        .collect();
    assert_eq!(names, ["/b.PNG", "/deep/a.jpg", "/deep/er/c.webp", "/z.tiff"]);
    let bee = &items[0].metadata;
    assert_eq!((bee.caption.as_deref(), bee.license.as_deref()), (Some("a bee"), Some("CC0-1.0")));
    assert_eq!(bee.author.as_deref(), Some("me"));
    assert_eq!(bee.origin.as_deref(), Some("https://example.org"));
    assert_eq!(bee.json.as_deref(), Some(r#"{"concept":"bee"}"#));
    let beside = &items[1].metadata;
    assert_eq!(beside.caption.as_deref(), Some("from the text"));
    assert_eq!(
        (beside.license.as_deref(), beside.json.as_deref()),
        (Some("MIT"), Some(r#"{"n":1}"#))
    );
    assert_eq!(rejected.len(), 1);
    assert!(rejected[0].contains("none.png in the folder, found no such picture"), "{rejected:?}");
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_never_in_circles() {
    use std::os::unix::fs::symlink;
    let folder = tempdir().unwrap();
    let (root, elsewhere) = (folder.path().join("root"), folder.path().join("elsewhere"));
    fs::create_dir_all(root.join("deep")).unwrap();
    fs::create_dir(&elsewhere).unwrap();
    fs::write(root.join("deep/a.png"), png(1)).unwrap();
    fs::write(elsewhere.join("b.png"), png(2)).unwrap();
    symlink(&root, root.join("deep/up")).unwrap();
    symlink(&elsewhere, root.join("one")).unwrap();
    symlink(&elsewhere, root.join("two")).unwrap();
    symlink(root.join("one"), elsewhere.join("back")).unwrap();
    symlink("nowhere", root.join("broken.png")).unwrap();
    let (items, rejected) = sort(Folder::open(&root).unwrap());
    let names: Vec<_> = items.iter().map(|item| item.source.rsplit('/').next().unwrap()).collect();
    // The broken link is a picture that cannot be opened, which is found out when it is.
    assert_eq!((names, rejected), (vec!["broken.png", "a.png", "b.png"], vec![]));
}

#[test]
fn shards_of_img2dataset_are_read_without_unpacking() {
    let shard = fixture("shards/00000.tar");
    let reader = WebDataset::open(fixture("shards")).unwrap();
    assert_eq!(reader.size_hint(), (0, Some(4)));
    let (items, rejected) = sort(reader);
    assert_eq!(rejected, Vec::<String>::new());
    assert_eq!(items.len(), 4);
    let bytes = fs::read(&shard).unwrap();
    for (item, n) in items.iter().zip([0, 1, 2, 4]) {
        assert_eq!(item.source, format!("{}#00000000{n}.jpg", shard.display()));
        let Content::At(Pixels::Member { archive, offset, length }) = &item.content else {
            panic!("{item:?}")
        };
        assert_eq!(*archive, shard);
        let (from, to) = (*offset as usize, (offset + length) as usize);
        let image = Image::decode(&bytes[from..to]).unwrap();
        let metadata = &item.metadata;
        assert_eq!((metadata.width, metadata.height), (Some(12 + n), Some(8)));
        assert_eq!((image.width(), image.height()), (12 + n, 8));
        assert_eq!(metadata.origin, Some(format!("https://example.org/{n}.jpg")));
        let caption = format!("picture {n}: ein Löwe");
        assert_eq!(metadata.caption, (n != 4).then_some(caption));
        assert_eq!(metadata.license.as_deref(), (n != 2).then_some("CC-BY-4.0"));
        let json = metadata.json.as_ref().unwrap();
        assert!(json.contains(r#""similarity":0."#) && json.contains("original_width"), "{json}");
    }
    // One file of them alone is the same.
    assert_eq!(sort(WebDataset::open(&shard).unwrap()).0.len(), 4);
}

#[test]
fn samples_are_what_follows_each_other_under_one_key() {
    let folder = tempdir().unwrap();
    let (a, b, c) = (png(1), png(2), png(3));
    let members: [(&str, &[u8]); 7] = [
        ("./x/a.b/1.png", &a),
        ("./x/a.b/1.txt", b"one"),
        ("x/a.b/2.JPG", &b),
        ("x/a.b/2.caption.txt", b"not the caption"),
        ("3.txt", b"a caption without a picture"),
        ("README", b"no ending"),
        ("4.png", &c),
    ];
    fs::write(folder.path().join("s.tar"), tar(&members)).unwrap();
    let (items, rejected) = sort(WebDataset::open(folder.path()).unwrap());
    assert_eq!(rejected, Vec::<String>::new());
    let captions: Vec<_> = items.iter().map(|item| item.metadata.caption.as_deref()).collect();
    assert_eq!(captions, [Some("one"), None, None]);
}

#[test]
fn embeddings_of_clip_retrieval_are_used_as_they_are() {
    let reader = ClipRetrieval::open(fixture("clip_retrieval")).unwrap();
    assert_eq!((reader.dim(), reader.size_hint()), (8, (0, Some(12))));
    let (items, rejected) = sort(reader);
    assert_eq!(rejected, Vec::<String>::new());
    assert_eq!(items.len(), 12);
    for (i, item) in items.iter().enumerate() {
        let key = format!("{}{:08}", i / 6, i % 6);
        assert_eq!(item.source, format!("https://example.org/{key}.jpg"));
        assert!(matches!(item.content, Content::At(Pixels::Remote)));
        let metadata = &item.metadata;
        assert_eq!(metadata.origin.as_deref(), Some(item.source.as_str()));
        assert_eq!(metadata.caption, Some(format!("caption of {key}")));
        assert_eq!(metadata.license.as_deref(), key.ends_with('1').then_some("CC0-1.0"));
        assert_eq!(metadata.width, Some(640));
        assert_eq!(metadata.height, (!key.ends_with('2')).then_some(480));
        assert_eq!(metadata.json.as_deref(), Some(r#"{"NSFW":"UNLIKELY"}"#));
    }
    // The bytes NumPy wrote, as they are.
    let bytes = fs::read(fixture("clip_retrieval/img_emb/img_emb_1.npy")).unwrap();
    let written = bytes[bytes.len() - 6 * 8 * 2..].chunks_exact(2);
    let written: Vec<f32> =
        written.map(|v| half::f16::from_le_bytes([v[0], v[1]]).to_f32()).collect();
    for (row, item) in written.chunks(8).zip(&items[6..]) {
        let found = item.embedding.as_ref().unwrap().values();
        assert!(row.iter().zip(found).all(|(a, b)| (a - b).abs() < 1e-3), "{row:?} {found:?}");
    }
}

#[test]
fn pixels_of_embeddings_are_the_local_file_where_there_is_one() {
    let folder = tempdir().unwrap();
    let root = folder.path();
    for name in ["img_emb", "metadata"] {
        fs::create_dir(root.join(name)).unwrap();
    }
    let local = root.join("a.png");
    fs::write(&local, png(1)).unwrap();
    fs::write(root.join("img_emb/img_emb_0.npy"), npy(&[3, 2], &[1.0_f32, 0., 0., 1., 3., 4.]))
        .unwrap();
    let paths = [local.to_str().unwrap(), "gone/b.png", ""];
    parquet(
        &root.join("metadata/metadata_0.parquet"),
        &[("image_path", &paths), ("url", &["https://x/a", "", ""])],
    );
    let (items, rejected) = sort(ClipRetrieval::open(root).unwrap());
    assert!(matches!(&items[0].content, Content::At(Pixels::File(path)) if *path == local));
    assert_eq!(items[0].source, paths[0]);
    assert_eq!(items[1].source, "gone/b.png");
    assert!(matches!(items[1].content, Content::At(Pixels::Remote)));
    assert_eq!(items[1].embedding.as_ref().unwrap().values(), [0.0, 1.0]);
    assert_eq!(items.len(), 2);
    assert!(rejected[0].ends_with("row: expected an image_path or a url, found neither"));
}

#[test]
fn pixels_of_embeddings_are_in_the_shards_that_they_were_made_of() {
    let folder = tempdir().unwrap();
    let root = folder.path();
    for name in ["img_emb", "metadata", "shards"] {
        fs::create_dir(root.join(name)).unwrap();
    }
    fs::write(root.join("img_emb/img_emb_0.npy"), npy(&[2, 1], &[1.0_f32, 1.0])).unwrap();
    let keys = ["000000001", "000000009"];
    parquet(
        &root.join("metadata/metadata_0.parquet"),
        &[("image_path", &keys), ("url", &["https://x/1", "https://x/9"])],
    );
    let reader = ClipRetrieval::open(root).unwrap();
    let (items, _) = sort(reader.with_shards(fixture("shards")).unwrap());
    let of_shard = WebDataset::open(fixture("shards")).unwrap().nth(1).unwrap().unwrap();
    assert_eq!(items[0].source, of_shard.source);
    let pixels = |item: &Item| match &item.content {
        Content::At(pixels) => pixels.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(pixels(&items[0]), pixels(&of_shard));
    assert_eq!(pixels(&items[1]), Pixels::Remote);
    let reader = ClipRetrieval::open(root).unwrap();
    assert!(reader.with_shards(root.join("shards")).is_err(), "there is none");
}

#[test]
fn a_key_of_two_pictures_in_the_shards_gives_no_pixels() {
    let folder = tempdir().unwrap();
    let root = folder.path();
    for name in ["img_emb", "metadata", "shards"] {
        fs::create_dir(root.join(name)).unwrap();
    }
    let shard = |name: &str, members: &[(&str, &[u8])]| {
        fs::write(root.join("shards").join(name), tar(members)).unwrap();
    };
    shard("0.tar", &[("1.png", &png(1)), ("2.png", &png(2)), ("3.a.png", &png(3))]);
    shard("1.tar", &[("1.png", &png(4)), ("3.b.png", &png(5)), ("4.jfif", &png(6))]);
    fs::write(root.join("img_emb/img_emb_0.npy"), npy(&[4, 1], &[1.0_f32; 4])).unwrap();
    parquet(
        &root.join("metadata/metadata_0.parquet"),
        &[
            ("image_path", &["1", "2", "3", "4"]),
            ("license", &["CC0-1.0", "CC0-1.0", "CC0-1.0", "CC0-1.0"]),
            ("licence", &["", "MIT", "", "cc0-1.0"]),
        ],
    );
    let reader = ClipRetrieval::open(root).unwrap().with_shards(root.join("shards")).unwrap();
    let (items, rejected) = sort(reader);
    let found: Vec<_> = items
        .iter()
        .map(|item| (item.source.rsplit('#').next().unwrap(), item.metadata.license.as_deref()))
        .collect();
    assert_eq!(found, [("2.png", None), ("4.jfif", Some("CC0-1.0"))]);
    let said = [
        "picture 1 in the shards: expected one, found several",
        "#2.png: expected one license, found \"CC0-1.0\" and \"MIT\"",
        "picture 3 in the shards: expected one, found several",
    ];
    assert_eq!(rejected.len(), said.len(), "{rejected:?}");
    for (rejected, said) in rejected.iter().zip(said) {
        assert!(rejected.contains(said), "{rejected}");
    }
}
