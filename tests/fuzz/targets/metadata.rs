//! What people write of their pictures: `catalog.json`, and after a byte of 0 `bee.json` and `bee.txt`.
#![no_main]

#[allow(dead_code, reason = "each target needs a part of it")]
mod support;

use std::sync::Once;

use imagerag::gallery::ingest::Folder;
use imagerag::retriever::Catalog;
use imagerag::testing::solid;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    static PICTURE: Once = Once::new();
    PICTURE.call_once(|| solid(1, 1, [1, 2, 3]).save(support::folder().join("bee.png")).unwrap());
    let (catalog, beside) = match data.iter().position(|&byte| byte == 0) {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, data),
    };
    support::file("catalog.json", catalog);
    support::file("bee.json", beside);
    support::file("bee.txt", beside);
    let _ = Catalog::from_folder(support::folder());
    // Whatever is said of it, the picture is found.
    if let Ok(folder) = Folder::open(support::folder()) {
        let found = folder.filter(|item| {
            item.as_ref().is_ok_and(|item| item.source.ends_with("bee.png"))
        });
        assert_eq!(found.count(), 1);
    }
});
