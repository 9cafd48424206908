//! Filters: the server lets through what [`Filter::matches`] lets through, whatever is in them.

use futures::executor::{block_on, block_on_stream};
use imagerag::index::VectorIndex;
use imagerag::reference::{Filter, Metadata};
use imagerag::retriever::{MilvusImage, MilvusIndexType};
use imagerag::{Error, Result};

use super::server::{Collection, milvus};
use super::vectors;

/// Values that would end a literal, were they not quoted.
const WICKED: [&str; 9] = [
    "\"] or id >= 0 or license in [\"",
    "' or 1 == 1 or '",
    "\\\" or id >= 0 or \"\\",
    "\\",
    "a\nb\tc\rd",
    "CC0-1.0\" and id >= 0 #",
    "{license}",
    "%",
    "Zoë 🐦",
];

fn images() -> Vec<MilvusImage> {
    let mut images = Vec::new();
    let mut add = |metadata: Metadata| {
        let id = images.len() as u64;
        images.push(MilvusImage { metadata, ..MilvusImage::new(id, format!("{id}.png")) });
    };
    add(Metadata::default());
    for license in ["CC0-1.0", "CC-BY-4.0", "cc0-1.0", ""] {
        add(Metadata { license: Some(license.into()), ..Metadata::default() });
    }
    for wicked in WICKED {
        let text = Some(wicked.to_owned());
        add(Metadata { license: text.clone(), author: text, ..Metadata::default() });
    }
    for (width, height) in [(1, 1), (512, 640), (640, 512), (u32::MAX, 2)] {
        add(Metadata { width: Some(width), height: Some(height), ..Metadata::default() });
    }
    for caption in ["a quetzal on a branch", "A Quetzal", "", "50 % off_er"] {
        add(Metadata { caption: Some(caption.into()), ..Metadata::default() });
    }
    for json in [
        r#"{"lang": "en", "nsfw": false, "likes": 12}"#,
        r#"{"lang": "12", "nsfw": true, "likes": 12.5}"#,
        r#"{"lang": null, "likes": "12", "nsfw": "false"}"#,
        r#"{"la\"ng": "en", "": 1, "lang": {"lang": "en"}}"#,
        "{}",
    ] {
        add(Metadata { json: Some(json.into()), ..Metadata::default() });
    }
    images
}

fn filters() -> Vec<Filter> {
    let all = Filter::all;
    let mut filters = vec![
        all(),
        all().licenses(["CC0-1.0", "CC-BY-4.0"]),
        all().licenses([""]),
        all().licenses::<&str>([]),
        all().licenses(["nobody's"]),
        all().width(512..=4096),
        all().width(512..=640).height(512..=512),
        all().width(7..=8),
        all().height(0..=u32::MAX),
        all().caption("quetzal"),
        all().caption("Quetzal"),
        all().caption("\" or id >= 0 or \""),
        all().field("lang", "en"),
        all().field("lang", "12"),
        all().field("nsfw", false),
        all().field("nsfw", true),
        all().field("likes", 12),
        all().field("likes", 12.5),
        all().field("la\"ng", "en"),
        all().field("none", "en"),
        all().field("likes", f64::INFINITY),
        all().field("\"] == 1 or id >= 0 or json[\"x", 1),
    ];
    filters.extend(WICKED.map(|wicked| all().licenses([wicked])));
    filters.extend(WICKED.map(|wicked| all().authors([wicked]).licenses([wicked, "x"])));
    filters.extend(WICKED.map(|wicked| all().field("lang", wicked)));
    filters
}

#[test]
fn the_server_lets_through_what_the_filter_does() {
    let Some(milvus) = milvus() else { return };
    let collection = Collection::of(&milvus, "filters", 4, MilvusIndexType::Flat);
    let images = images();
    let vectors = vectors(images.len(), 4);
    let rows: Vec<_> = images.iter().cloned().zip(vectors.iter().cloned()).collect();
    block_on(collection.index.add(&rows, |_, _| {})).unwrap();
    for filter in filters() {
        let let_through = images.iter().filter(|image| filter.matches(&image.metadata));
        let expected: Vec<u64> = let_through.map(|image| image.id).collect();
        let found =
            block_on(collection.index.search_filtered(&vectors[..1], 100, &filter)).unwrap();
        let mut found = super::ids(&found[0]);
        found.sort_unstable();
        assert_eq!(found, expected, "{filter}");
        assert_eq!(
            block_on(collection.index.count_filtered(&filter)).unwrap(),
            expected.len(),
            "{filter}"
        );
        let listed = block_on_stream(Box::pin(collection.index.iter(&filter).unwrap()));
        let listed: Result<Vec<u64>> = listed.map(|row| row.map(|(image, _)| image.id)).collect();
        assert_eq!(listed.unwrap(), expected, "{filter}");
    }
    assert_eq!(block_on(collection.index.count()).unwrap(), images.len(), "nothing was removed");
}

#[test]
fn what_milvus_cannot_express_is_refused() {
    let Some(milvus) = milvus() else { return };
    let collection = Collection::of(&milvus, "refused", 4, MilvusIndexType::Flat);
    for filter in [
        Filter::all().licenses(["a\0b"]),
        Filter::all().caption("100 %"),
        Filter::all().caption("snake_case"),
        Filter::all().caption("back\\slash"),
    ] {
        let result = block_on(collection.index.search_filtered(&vectors(1, 4), 1, &filter));
        assert!(matches!(result, Err(Error::InvalidInput { .. })), "{filter}: {result:?}");
    }
}
