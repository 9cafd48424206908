//! What is kept, for how long, and what is downloaded again.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use futures::executor::block_on;
use imagerag::retriever::WebRetriever;

use crate::server::{Server, answer, results};
use crate::{find, openverse};

const BY: &str = "by 4.0";

fn server() -> Server {
    Server::new([("/v1/images/", vec![results(&[("ORIGIN/red.png", BY)])])])
}

fn read(retriever: &WebRetriever) {
    let list = find(retriever, "a quetzal", 1).unwrap();
    assert_eq!(list[0].provenance.metadata.license.as_deref(), Some("CC-BY-4.0"));
    assert_eq!(block_on(list[0].image()).unwrap().pixels()[..3], [200, 0, 0]);
}

fn files(folder: &Path, kind: &str) -> Vec<PathBuf> {
    fs::read_dir(folder.join(kind)).unwrap().map(|file| file.unwrap().path()).collect()
}

/// Searches and downloads so far.
fn asked(server: &Server) -> (usize, usize) {
    (server.asked("/v1/images/").len(), server.asked("/red.png").len())
}

#[test]
fn what_is_kept_is_not_asked_for_again_by_another_process() {
    let (server, folder) = (server(), tempfile::tempdir().unwrap());
    for _ in 0..3 {
        // Each time a new retriever, which remembers nothing.
        read(&openverse(&server).cache(folder.path()).build().unwrap());
        assert_eq!(asked(&server), (1, 1));
    }
    let (pictures, searches) = (files(folder.path(), "pictures"), files(folder.path(), "searches"));
    assert_eq!((pictures.len(), searches.len()), (1, 1));

    // What is too old.
    let old = SystemTime::now() - Duration::from_secs(2 * 24 * 60 * 60);
    for path in pictures.iter().chain(&searches) {
        fs::File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
    }
    read(&openverse(&server).cache(folder.path()).build().unwrap());
    assert_eq!(asked(&server), (2, 1), "a search is kept for a day, a picture for thirty");
    let day = Duration::from_secs(24 * 60 * 60);
    read(&openverse(&server).cache(folder.path()).picture_age(day).build().unwrap());
    assert_eq!(asked(&server), (2, 2));

    // What is damaged.
    for path in pictures.iter().chain(&searches) {
        let mut bytes = fs::read(path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(path, bytes).unwrap();
    }
    read(&openverse(&server).cache(folder.path()).build().unwrap());
    assert_eq!(asked(&server), (3, 3));
    read(&openverse(&server).cache(folder.path()).build().unwrap());
    assert_eq!(asked(&server), (3, 3), "it was mended");
}

#[test]
fn without_a_folder_searches_are_remembered_and_pictures_are_not() {
    let server = server();
    let retriever = openverse(&server).build().unwrap();
    read(&retriever);
    read(&retriever.clone());
    assert_eq!(asked(&server), (1, 2));
    let forgetful = openverse(&server).search_age(Duration::ZERO).build().unwrap();
    read(&forgetful);
    read(&forgetful);
    assert_eq!(asked(&server), (3, 4));
}

#[test]
fn no_key_is_written_and_nothing_that_is_no_picture() {
    let key = "sk-very-secret-token";
    let echo = results(&[(&format!("ORIGIN/page.png?as={key}"), BY)]);
    let page = answer(200, "<!DOCTYPE html>");
    let server = Server::new([("/v1/images/", vec![echo]), ("/page.png", vec![page])]);
    let folder = tempfile::tempdir().unwrap();
    let retriever = openverse(&server).api_key(key).cache(folder.path()).build().unwrap();
    let list = find(&retriever, "a quetzal", 1).unwrap();
    assert!(!format!("{:?}", list[0].provenance).contains("secret"));
    assert!(block_on(list[0].image()).is_err());
    assert!(files(folder.path(), "pictures").is_empty());
    let [search] = files(folder.path(), "searches").try_into().unwrap();
    let text = String::from_utf8_lossy(&fs::read(search).unwrap()).into_owned();
    assert!(text.contains("page.png") && !text.contains("secret"), "{text}");
    assert!(!format!("{retriever:?}").contains("secret"));
}

#[test]
fn another_filter_or_bound_is_kept_to_also_by_what_is_kept() {
    let (server, folder) = (server(), tempfile::tempdir().unwrap());
    read(&openverse(&server).cache(folder.path()).build().unwrap());
    let filter = imagerag::reference::Filter::all().licenses(["CC0-1.0"]);
    let strict = openverse(&server).cache(folder.path()).filter(filter).build().unwrap();
    assert!(find(&strict, "a quetzal", 1).unwrap().is_empty());
    let small = openverse(&server).cache(folder.path()).max_pixels(10).build().unwrap();
    let list = find(&small, "a quetzal", 1).unwrap();
    assert!(block_on(list[0].image()).is_err());
}

#[test]
fn the_size_is_bounded_and_a_folder_that_cannot_be_made_is_told() {
    let (server, folder) = (server(), tempfile::tempdir().unwrap());
    read(&openverse(&server).cache(folder.path()).cache_bytes(50).build().unwrap());
    assert!(files(folder.path(), "pictures").is_empty());
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let said = openverse(&server).cache(&file).build().unwrap_err().chain().to_string();
    assert!(said.contains("cannot access"), "{said}");
}
