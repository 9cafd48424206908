//! What is asked of each service, and what is read in its answers.

use futures::executor::block_on;
use imagerag::Error;
use imagerag::reference::{Caption, Filter, Metadata};
use imagerag::retriever::{RetrieveRequest, Retriever, WebRetriever};
use serde_json::{Value, json};

use crate::server::{Server, answer, results};
use crate::{find, names, near, openverse};

const OPENVERSE: &str = include_str!("answers/openverse.json");
const COMMONS: &str = include_str!("answers/commons.json");
const BRAVE: &str = include_str!("answers/brave.json");
const SEARXNG: &str = include_str!("answers/searxng.json");

fn more(metadata: &Metadata) -> Value {
    serde_json::from_str(metadata.json.as_deref().unwrap()).unwrap()
}

#[test]
fn openverse_is_asked_and_read() {
    let server = Server::new([("/v1/images/", vec![answer(200, OPENVERSE)])]);
    let retriever = openverse(&server).api_key("token-of-openverse").build().unwrap();
    let list = find(&retriever, "a quetzal, perched", 9).unwrap();
    assert_eq!(names(&list), ["red.png", "green.png"]);
    let [query] = server.queries("/v1/images/").try_into().unwrap();
    assert_eq!((query["q"].as_str(), query["page_size"].as_str()), ("a quetzal perched", "20"));
    assert_eq!(query.len(), 2);
    let head = server.asked("/v1/images/").remove(0).to_lowercase();
    assert!(head.contains("authorization: bearer token-of-openverse\r\n"), "{head}");

    let about = &list[0].provenance.metadata;
    assert_eq!(about.license.as_deref(), Some("CC-BY-SA-2.0"));
    assert_eq!(about.author.as_deref(), Some("Francesco Veronesi"));
    let page = "https://www.flickr.com/photos/8070463@N03/4123456789";
    assert_eq!(about.origin.as_deref(), Some(page));
    assert_eq!(about.caption.as_deref(), Some("Resplendent Quetzal"));
    assert_eq!((about.width, about.height), (Some(1024), Some(768)));
    let more = more(about);
    assert_eq!(more["license_url"], "https://creativecommons.org/licenses/by-sa/2.0/");
    assert_eq!(more["author_url"], "https://www.flickr.com/photos/8070463@N03");
    assert!(more["attribution"].as_str().unwrap().contains("is licensed under CC BY-SA 2.0"));
    assert_eq!((&more["service"], &more["provider"]), (&"Openverse".into(), &"flickr".into()));

    let plate = &list[1].provenance.metadata;
    assert_eq!((plate.license.as_deref(), plate.author.as_deref()), (Some("CC-PDM-1.0"), None));
    assert_eq!((plate.width, plate.height), (None, None));
    // Pictures are downloaded when they are needed, without the key.
    assert!(server.asked("/red.png").is_empty());
    assert_eq!(block_on(list[0].image()).unwrap().pixels()[..3], [200, 0, 0]);
    let head = server.asked("/red.png").remove(0).to_lowercase();
    for secret in ["authorization", "token", "cookie", "referer"] {
        assert!(!head.contains(secret), "{head}");
    }
}

#[test]
fn what_is_not_for_everybody_is_there_if_it_is_asked_for() {
    let server = Server::new([("/v1/images/", vec![answer(200, OPENVERSE)])]);
    let retriever = openverse(&server).safe_search(false).build().unwrap();
    let list = find(&retriever, "a quetzal", 9).unwrap();
    assert_eq!(names(&list), ["red.png", "green.png", "blue.png"]);
    assert_eq!(server.queries("/v1/images/")[0]["mature"], "true");
    // A license without a version is none.
    assert_eq!(list[2].provenance.metadata.license, None);
}

#[test]
fn commons_is_asked_and_read() {
    let server = Server::new([("/w/api.php", vec![answer(200, COMMONS)])]);
    for base in ["/w", "/w/api.php", "/w/"] {
        let commons = WebRetriever::commons().base_url(format!("{}{base}", server.origin));
        let retriever = near(commons).contact("ada@example.org").build().unwrap();
        let list = find(&retriever, "a quetzal", 9).unwrap();
        assert_eq!(names(&list), ["Resplendent_quetzal.jpg", "Quetzal_drawing.svg"]);

        let about = &list[0].provenance.metadata;
        assert_eq!(about.license.as_deref(), Some("CC-BY-SA-3.0-DE"));
        assert_eq!(about.author.as_deref(), Some("Cephas"));
        let shown = "A male quetzal & its tail, Costa Rica";
        assert_eq!(about.caption.as_deref(), Some(shown));
        assert!(about.origin.as_deref().unwrap().ends_with("(Pharomachrus_mocinno).jpg"));
        assert_eq!((about.width, about.height), (Some(4000), Some(3000)));
        let more = more(about);
        assert_eq!(more["title"], "Resplendent quetzal (Pharomachrus mocinno)");
        assert_eq!(more["credit"], "Own work");
        assert_eq!(more["restrictions"], Value::Null);
        // Of a drawing, the copy in pixels is what is downloaded.
        let drawing = &list[1].provenance.metadata;
        assert_eq!(drawing.license.as_deref(), Some("Public domain"));
        assert_eq!(drawing.author.as_deref(), Some("Unknown author"));
        assert_eq!(drawing.caption.as_deref(), Some("Quetzal drawing"));
        assert_eq!(block_on(list[1].image()).unwrap().pixels()[..3], [0, 0, 200]);
    }
    let query = &server.queries("/w/api.php")[0];
    for (name, value) in [
        ("action", "query"),
        ("format", "json"),
        ("generator", "search"),
        ("gsrnamespace", "6"),
        ("gsrsearch", "filetype:bitmap|drawing a quetzal"),
        ("gsrlimit", "20"),
        ("prop", "imageinfo"),
        ("iiprop", "url|size|mime|extmetadata"),
        ("iiurlwidth", "1280"),
    ] {
        assert_eq!(query[name], value, "{name}");
    }
    for path in ["/w/api.php", "/blue.png"] {
        let head = &server.asked(path)[0];
        assert!(head.contains("user-agent: imagerag/"), "{head}");
        assert!(head.contains(" (ada@example.org; https://"), "{head}");
    }
}

#[test]
fn commons_finds_nothing_and_says_what_is_wrong() {
    let nothing = answer(200, r#"{"batchcomplete":""}"#);
    let wrong = r#"{"error":{"code":"badvalue","info":"Unrecognized value","docref":"See"}}"#;
    let server = Server::new([("/w/api.php", vec![nothing, answer(200, wrong)])]);
    let commons = WebRetriever::commons().base_url(format!("{}/w", server.origin));
    let retriever = near(commons).max_retries(0).build().unwrap();
    assert!(find(&retriever, "a quetzal", 9).unwrap().is_empty());
    let said = find(&retriever, "a bee", 9).unwrap_err().to_string();
    assert!(said.contains("Unrecognized value"), "{said}");
}

#[test]
fn brave_is_asked_and_read() {
    let server = Server::new([("/res/v1/images/search", vec![answer(200, BRAVE)])]);
    let brave = WebRetriever::brave("key-of-brave").base_url(format!("{}/res/v1", server.origin));
    let retriever = near(brave).build().unwrap();
    let list = find(&retriever, "a quetzal", 9).unwrap();
    assert_eq!(names(&list), ["red.png", "green.png"]);
    let about = &list[0].provenance.metadata;
    assert_eq!((about.license.as_deref(), about.width), (None, Some(1600)));
    assert_eq!(about.origin.as_deref(), Some("https://birds.example/quetzal"));
    assert_eq!(about.caption.as_deref(), Some("The resplendent quetzal"));
    let query = &server.queries("/res/v1/images/search")[0];
    let asked = [&query["q"], &query["count"], &query["safesearch"]];
    assert_eq!(asked, ["a quetzal", "20", "strict"]);
    let head = server.asked("/res/v1/images/search").remove(0).to_lowercase();
    assert!(head.contains("x-subscription-token: key-of-brave\r\n"), "{head}");
    assert!(!head.contains("authorization"), "{head}");
    assert!(WebRetriever::brave(" ").build().unwrap_err().to_string().contains("key of Brave"));
}

#[test]
fn searxng_is_asked_and_read() {
    let server = Server::new([("/search", vec![answer(200, SEARXNG)])]);
    let retriever = near(WebRetriever::searxng(&server.origin)).build().unwrap();
    let list = find(&retriever, "a quetzal", 9).unwrap();
    assert_eq!(names(&list), ["red.png", "green.png"]);
    let (flickr, other) = (&list[0].provenance.metadata, &list[1].provenance.metadata);
    assert_eq!((flickr.license.as_deref(), flickr.author.as_deref()), (None, Some("Ada")));
    assert_eq!((flickr.width, flickr.height), (Some(1920), Some(1080)));
    assert_eq!(flickr.caption.as_deref(), Some("Quetzal male"));
    assert_eq!((other.caption.as_deref(), other.width), (Some("Through the instance"), None));
    // An address that is relative to the instance.
    assert_eq!(block_on(list[1].image()).unwrap().pixels()[..3], [0, 200, 0]);
    let query = &server.queries("/search")[0];
    let asked = [&query["q"], &query["categories"], &query["format"], &query["safesearch"]];
    assert_eq!(asked, ["a quetzal", "images", "json", "2"]);
}

#[test]
fn an_instance_without_json_is_told_what_to_set() {
    let page = "<!doctype html><title>403 Forbidden</title>";
    let server = Server::new([("/search", vec![answer(403, page)])]);
    let retriever = near(WebRetriever::searxng(&server.origin)).build().unwrap();
    let said = find(&retriever, "a quetzal", 9).unwrap_err().to_string();
    assert!(said.contains("403") && said.contains("search.formats"), "{said}");
}

#[test]
fn only_licenses_that_are_allowed_are_downloaded() {
    let found = results(&[
        ("ORIGIN/1.png", "by-nc 4.0"),
        ("ORIGIN/red.png", "by 4.0"),
        ("ORIGIN/2.png", "by 2.0"),
        ("ORIGIN/3.png", "by"),
        ("ORIGIN/4.png", ""),
        ("ORIGIN/green.png", "cc0 1.0"),
    ]);
    let server = Server::new([("/v1/images/", vec![found])]);
    let filter = Filter::all().licenses(["CC-BY-4.0", "CC0-1.0"]);
    let retriever = openverse(&server).filter(filter).candidates(2).build().unwrap();
    let list = find(&retriever, "a quetzal", 9).unwrap();
    assert_eq!(names(&list), ["red.png", "green.png"]);
    assert_eq!(retriever.to_string(), "Web(Openverse, license in [CC-BY-4.0, CC0-1.0])");
    for reference in &list {
        block_on(reference.image()).unwrap();
    }
    for refused in 1..=4 {
        assert!(server.asked(&format!("/{refused}.png")).is_empty());
    }
    let query = &server.queries("/v1/images/")[0];
    // More is asked for than is looked at, because the filter refuses some.
    assert_eq!((query["license"].as_str(), query["page_size"].as_str()), ("cc0,by", "20"));
}

#[test]
fn a_long_text_is_asked_for_by_its_concept_where_it_finds_nothing() {
    let (nothing, found) = (results(&[]), results(&[("ORIGIN/red.png", "by 4.0")]));
    let server = Server::new([("/v1/images/", vec![nothing, found])]);
    let retriever = openverse(&server).build().unwrap();
    let caption = Caption::new("a quetzal, perched on a mossy branch at dawn", "a quetzal");
    let request = RetrieveRequest::new([caption.clone()], 3);
    let list = block_on(retriever.retrieve(&request)).unwrap().remove(0);
    assert_eq!((names(&list), &list[0].caption), (vec!["red.png".to_owned()], &caption));
    let asked: Vec<_> =
        server.queries("/v1/images/").iter().map(|query| query["q"].clone()).collect();
    assert_eq!(asked, ["a quetzal perched on a mossy branch at dawn", "a quetzal"]);
    // Of a caption without a word nothing is asked.
    assert!(find(&retriever, "?!", 3).unwrap().is_empty());
    assert_eq!(server.asked("/v1/images/").len(), 2);
}

#[test]
fn errors_of_a_service_name_it_and_hold_no_key() {
    let key = "sk-very-secret-token";
    let echo = format!(r#"{{"detail":"Bearer {key} is not valid"}}"#);
    for (status, body, expected) in [
        (401, echo.as_str(), "12 hours"),
        (400, r#"{"detail":{"license":["License 'x' does not exist."]}}"#, "does not exist"),
        (500, "<html><title>Oh no</title></html>", "Oh no"),
        (200, "<html><title>Sign in</title></html>", "Sign in"),
        (200, r#"{"hits":[]}"#, "image search"),
        (200, "", "an empty body"),
        (302, "", "302"),
    ] {
        let server = Server::new([("/v1/images/", vec![answer(status, body)])]);
        let retriever = openverse(&server).api_key(key).max_retries(0).build().unwrap();
        let error = find(&retriever, "a quetzal", 3).unwrap_err();
        let said = format!("{} {error:?} {retriever:?}", error.chain());
        assert!(said.contains("Openverse at http://127.0.0.1"), "{said}");
        assert!(said.contains(expected), "{expected} in {said}");
        assert!(!said.contains("secret"), "{said}");
        assert!(!said.contains("/v1: try"), "{said}");
    }
}

#[test]
fn what_is_no_list_of_results_is_an_error() {
    let others = [
        r#"{"message":"Unauthorised"}"#,
        r#"{"detail":"Not found."}"#,
        r#"{"status":"ok"}"#,
        r#"{"query":{"pages":"none"},"results":"none"}"#,
        r#"{"query":{"pages":["none"]},"results":[null, "none"]}"#,
        r#"{"results":{}}"#,
        "{}",
        "[]",
        "null",
        "7",
        r#""no""#,
    ];
    for body in others {
        let all = ["/v1/images/", "/w/api.php", "/images/search", "/search"];
        let server = Server::new(all.map(|path| (path, vec![answer(200, body)])));
        let commons = WebRetriever::commons().base_url(format!("{}/w", server.origin));
        for builder in [
            openverse(&server),
            near(commons),
            near(WebRetriever::brave("key-of-brave").base_url(&server.origin)),
            near(WebRetriever::searxng(&server.origin)),
        ] {
            let retriever = builder.max_retries(0).build().unwrap();
            let found = find(&retriever, "a quetzal", 3);
            let said = found.map(|list| names(&list)).unwrap_err().to_string();
            assert!(said.contains(" at http://127.0.0.1"), "{retriever} to {body}: {said}");
            assert!(said.contains("the results of an image search"), "{retriever}: {said}");
        }
    }
    // Nothing found is no error, however a wiki says so.
    for nothing in [
        r#"{"batchcomplete":true}"#,
        r#"{"batchcomplete":"","query":{"pages":{}}}"#,
        r#"{"batchcomplete":"","warnings":{"main":{"*":"Unrecognized parameter"}}}"#,
        r#"{"query":{"searchinfo":{"totalhits":0}}}"#,
        r#"{"query":[]}"#,
    ] {
        let server = Server::new([("/w/api.php", vec![answer(200, nothing)])]);
        let commons = WebRetriever::commons().base_url(format!("{}/w", server.origin));
        let list = find(&near(commons).build().unwrap(), "a quetzal", 3).unwrap();
        assert!(list.is_empty(), "{nothing}");
    }
}

#[test]
fn a_license_is_what_its_service_documents_and_links_to() {
    let image = |license: &str, version: &str, url: &str| {
        let one = json!({"url": "ORIGIN/red.png", "license": license, "license_version": version,
            "license_url": url});
        json!({"results": [one]}).to_string()
    };
    let file = |license: &str, url: &str| {
        let said = json!({"LicenseShortName": {"value": license}, "LicenseUrl": {"value": url}});
        let file = json!({"url": "ORIGIN/red.png", "mime": "image/png", "extmetadata": said});
        json!({"query": {"pages": [{"title": "File:x", "imageinfo": [file]}]}}).to_string()
    };
    let zero = "https://creativecommons.org/publicdomain/zero/1.0/";
    let by = "https://creativecommons.org/licenses/by/4.0/";
    let forged = "https://evilcreativecommons.org/publicdomain/zero/1.0/";
    let hidden = "https://example.com/terms?not=creativecommons.org/publicdomain/zero/1.0/";
    for (path, body, expected) in [
        ("/v1/images/", image("cc0", "", ""), Some("CC0-1.0")),
        ("/v1/images/", image("CC0", "1.0", zero), Some("CC0-1.0")),
        ("/v1/images/", image("by-nc-sa", "2.0", ""), Some("CC-BY-NC-SA-2.0")),
        ("/v1/images/", image("", "", by), Some("CC-BY-4.0")),
        ("/v1/images/", image("", "", forged), None),
        ("/v1/images/", image("", "", hidden), None),
        ("/v1/images/", image("0", "", ""), None),
        ("/v1/images/", image("by", "4.0 NC", ""), None),
        ("/w/api.php", file("CC0", zero), Some("CC0-1.0")),
        ("/w/api.php", file("", forged), None),
        ("/w/api.php", file("", hidden), None),
        ("/w/api.php", file("0", ""), None),
        ("/w/api.php", file("zero", ""), None),
        ("/w/api.php", file("CC BY 4.0 NC", ""), None),
        ("/w/api.php", file("Creative Commons Attribution 4.0", by), Some("CC-BY-4.0")),
    ] {
        let server = Server::new([(path, vec![answer(200, body.as_str())])]);
        let builder = match path {
            "/w/api.php" => near(WebRetriever::commons().base_url(format!("{}/w", server.origin))),
            _ => openverse(&server),
        };
        let list = find(&builder.build().unwrap(), "a quetzal", 3).unwrap();
        assert_eq!(list[0].provenance.metadata.license.as_deref(), expected, "{body}");
    }
}

#[test]
fn a_service_that_asks_to_wait_is_asked_again() {
    let busy = answer(429, r#"{"detail":"Request was throttled."}"#).with("retry-after: 0");
    let found = results(&[("ORIGIN/red.png", "by 4.0")]);
    let server = Server::new([("/v1/images/", vec![busy.clone(), busy.clone(), found])]);
    let retriever = openverse(&server).build().unwrap();
    assert_eq!(find(&retriever, "a quetzal", 3).unwrap().len(), 1);
    assert_eq!(server.asked("/v1/images/").len(), 3);

    let later = answer(429, r#"{"detail":"Request was throttled."}"#).with("retry-after: 86400");
    let server = Server::new([("/v1/images/", vec![later])]);
    let retriever = openverse(&server).build().unwrap();
    let error = find(&retriever, "a quetzal", 3).unwrap_err();
    let Error::Service { status: 429, retry_after: Some(wait), .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!((wait.as_secs(), server.asked("/v1/images/").len()), (86400, 1));
}

#[test]
fn settings_out_of_their_range_are_refused() {
    for (builder, expected) in [
        (WebRetriever::openverse().candidates(21), "candidates: expected 1 to 20 for Openverse"),
        (WebRetriever::openverse().api_key("k").candidates(51), "1 to 50 for Openverse"),
        (WebRetriever::commons().candidates(0), "candidates: expected 1 to 50"),
        (WebRetriever::openverse().max_bytes(0), "bytes of a picture"),
        (WebRetriever::openverse().max_pixels(0), "pixels of a picture"),
        (WebRetriever::openverse().concurrency(0), "requests at once: expected 1 to 64"),
        (WebRetriever::openverse().concurrency(65), "requests at once"),
        (WebRetriever::openverse().time_limit(std::time::Duration::ZERO), "time limit"),
        (WebRetriever::openverse().timeout(std::time::Duration::ZERO), "timeout"),
        (WebRetriever::openverse().contact("a\nb"), "user agent"),
        (WebRetriever::searxng("not a url"), "base_url"),
        (WebRetriever::searxng("ftp://h"), "base_url"),
    ] {
        let said = builder.build().unwrap_err().to_string();
        assert!(said.contains(expected), "{expected} in {said}");
    }
}
