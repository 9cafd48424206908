//! A local server that speaks the hub's protocol, to folders of weights and to errors.

mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::executor::block_on;
use imagerag::Error;
use imagerag::hub::{DownloadProgress, Hub, HubBuilder, Place};
use serde_json::json;
use support::{Request, answer, raw_server};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const TOKEN: &str = "hf_secretToken";

/// What a repository holds, and how the hub misbehaves about it.
#[derive(Clone, Default)]
struct Fake {
    files: BTreeMap<String, Vec<u8>>,
    /// Names that are only listed.
    hostile: Vec<String>,
    /// Files of which only half of the bytes come, with or without saying so.
    truncated: Option<&'static str>,
    /// Files that fail after their HEAD went well.
    broken: Option<&'static str>,
    /// The file at which the hub hangs.
    hangs: Option<&'static str>,
    /// `X-Error-Code` and status of everything.
    refuses: Option<(&'static str, &'static str)>,
    sha: Option<&'static str>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    fn new(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(name, text)| (name.to_string(), text.as_bytes().to_vec()));
        Self { files: files.collect(), ..Self::default() }
    }

    /// Serves until the test ends; gives the origin.
    fn serve(&self) -> String {
        let fake = self.clone();
        let (origin, _heads) = raw_server(move |_, request, stream| fake.reply(request, stream));
        origin
    }

    fn reply(&self, request: &Request, mut stream: TcpStream) {
        let line = request.head.lines().next().unwrap_or_default().to_owned();
        self.seen.lock().unwrap().push(line.clone());
        let (method, target) = line.split_once(' ').unwrap();
        let target = target.split(' ').next().unwrap();
        if let Some((code, status)) = self.refuses {
            let sent = request.head.lines().find(|line| line.starts_with("authorization"));
            let headers = format!("x-error-code: {code}\r\nx-error-message: no: {sent:?}\r\n");
            return answer(stream, status, &headers, "");
        }
        if target == "/api/models/owner/name/revision/main"
            || target == format!("/api/models/owner/name/revision/{COMMIT}")
        {
            let info = json!({ "id": "owner/name", "sha": self.sha.unwrap_or(COMMIT) });
            return answer(stream, "200 OK", "", &info.to_string());
        }
        if target.starts_with("/api/models/owner/name/revision/") {
            return answer(stream, "404 Not Found", "x-error-code: RevisionNotFound\r\n", "");
        }
        if target.starts_with("/api/models/owner/name/tree/") {
            return self.tree(request, target, stream);
        }
        if target.starts_with("/api/models/") {
            return answer(stream, "401 Unauthorized", "x-error-code: RepoNotFound\r\n", "");
        }
        let resolve = format!("/owner/name/resolve/{COMMIT}/");
        let stored = target.strip_prefix("/cdn/");
        let Some(name) = stored.or_else(|| target.strip_prefix(&resolve)) else {
            return answer(stream, "404 Not Found", "", "");
        };
        let Some(bytes) = self.files.get(name) else {
            return answer(stream, "404 Not Found", "x-error-code: EntryNotFound\r\n", "");
        };
        let size = bytes.len();
        let head =
            format!("etag: \"etag-{}\"\r\nx-repo-commit: {COMMIT}\r\n", name.replace('/', "-"));
        // Large files are elsewhere, as on the hub itself.
        if name.ends_with(".safetensors") && stored.is_none() {
            let _ = write!(
                stream,
                "HTTP/1.1 302 Found\r\n{head}x-linked-size: {size}\r\nx-linked-etag: \"linked-{}\"\r\n\
                 location: /cdn/{name}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
                name.replace('/', "-")
            );
            return;
        }
        if method == "GET" && self.broken == Some(name) {
            return answer(stream, "404 Not Found", "", "gone");
        }
        if method == "GET" && self.hangs == Some(name) {
            let _ = stream.read(&mut [0]);
            return;
        }
        let length = match self.truncated {
            Some(half) if half == name => String::new(),
            _ => format!("content-length: {size}\r\n"),
        };
        let _ = write!(stream, "HTTP/1.1 200 OK\r\n{head}{length}connection: close\r\n\r\n");
        if method == "GET" {
            let sent = if length.is_empty() { &bytes[..size / 2] } else { &bytes[..] };
            let _ = stream.write_all(sent);
        }
    }

    /// The listing, in two pages.
    fn tree(&self, request: &Request, target: &str, stream: TcpStream) {
        let mut entries: Vec<_> = self
            .files
            .iter()
            .map(|(path, bytes)| json!({ "type": "file", "oid": "0", "size": bytes.len(), "path": path }))
            .collect();
        let hostile = self.hostile.iter();
        entries.extend(
            hostile.map(|path| json!({ "type": "file", "oid": "0", "size": 1, "path": path })),
        );
        entries.push(json!({ "type": "directory", "oid": "1", "path": "unet" }));
        let (first, second) = entries.split_at(entries.len() / 2);
        if target.contains("cursor") {
            return answer(stream, "200 OK", "", &json!(second).to_string());
        }
        let host = request.head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
        let link = format!("link: <http://{host}{target}&cursor=2>; rel=\"next\"\r\n");
        answer(stream, "200 OK", &link, &json!(first).to_string());
    }

    /// The names whose content was sent.
    fn downloaded(&self) -> Vec<String> {
        let mut names: Vec<_> = self
            .seen
            .lock()
            .unwrap()
            .iter()
            .filter_map(|line| line.strip_prefix("GET /")?.strip_suffix(" HTTP/1.1"))
            .filter_map(|target| {
                let resolve = format!("owner/name/resolve/{COMMIT}/");
                let small =
                    target.strip_prefix(&resolve).filter(|name| !name.ends_with("safetensors"));
                small.or_else(|| target.strip_prefix("cdn/"))
            })
            .map(str::to_owned)
            .collect();
        names.sort_unstable();
        names
    }
}

fn diffusers() -> Fake {
    Fake::new(&[
        ("README.md", "# A model"),
        (
            "model_index.json",
            r#"{"_class_name": "X", "unet": ["diffusers", "U"], "vae": ["diffusers", "A"], "extra": [null, null]}"#,
        ),
        ("all_in_one.safetensors", "everything again"),
        ("unet/config.json", "{}"),
        ("unet/diffusion_pytorch_model.bin", "pickle"),
        ("unet/diffusion_pytorch_model.fp16.safetensors", "half"),
        ("unet/diffusion_pytorch_model.safetensors", "full precision"),
        ("vae/config.json", "{ }"),
        ("vae/diffusion_pytorch_model.safetensors", "vae weights"),
    ])
}

fn hub(origin: &str, cache: &tempfile::TempDir) -> HubBuilder {
    Hub::builder().endpoint(origin).cache(cache.path()).token(TOKEN).max_retries(0).offline(false)
}

fn place(text: &str) -> Place {
    text.parse().unwrap()
}

#[test]
fn fetches_what_a_loader_reads_and_nothing_twice() {
    let fake = diffusers();
    let (origin, cache) = (fake.serve(), tempfile::tempdir().unwrap());
    let seen = Arc::new(Mutex::new(Vec::<DownloadProgress>::new()));
    let log = Arc::clone(&seen);
    let hub =
        hub(&origin, &cache).on_progress(move |at| log.lock().unwrap().push(*at)).build().unwrap();
    let folder = block_on(hub.resolve("owner/name")).unwrap();
    let half = folder.join("unet/diffusion_pytorch_model.fp16.safetensors");
    assert_eq!(std::fs::read_to_string(half).unwrap(), "half");
    let expected = [
        "model_index.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
    ];
    assert_eq!(fake.downloaded(), expected);
    let last = *seen.lock().unwrap().last().unwrap();
    assert_eq!((last.files_done, last.files_total), (5, 5));
    assert_eq!((last.bytes_done, last.bytes_total), (last.bytes_total, 118));

    // Again: nothing is fetched. In full precision: that file alone.
    assert_eq!(block_on(hub.fetch(&place("owner/name@main"))).unwrap(), folder);
    assert_eq!(fake.downloaded(), expected);
    let full = self::hub(&origin, &cache).full_precision(true).build().unwrap();
    block_on(full.fetch(&place("owner/name"))).unwrap();
    assert_eq!(fake.downloaded().len(), 6);
    let full = folder.join("unet/diffusion_pytorch_model.safetensors");
    assert_eq!(std::fs::read_to_string(full).unwrap(), "full precision");
}

#[test]
fn a_folder_or_a_file_of_a_repository() {
    let fake = diffusers();
    let (origin, cache) = (fake.serve(), tempfile::tempdir().unwrap());
    let hub = hub(&origin, &cache).build().unwrap();
    let vae = block_on(hub.resolve("owner/name/vae")).unwrap();
    assert_eq!(std::fs::read_to_string(vae.join("config.json")).unwrap(), "{ }");
    assert_eq!(fake.downloaded(), ["vae/config.json", "vae/diffusion_pytorch_model.safetensors"]);
    let file = block_on(hub.resolve("owner/name/all_in_one.safetensors")).unwrap();
    assert_eq!(std::fs::read_to_string(file).unwrap(), "everything again");
    let error = block_on(hub.resolve("owner/name/text_encoder")).unwrap_err();
    assert_eq!(
        error.chain().to_string(),
        "owner/name/text_encoder@main: expected text_encoder/safetensors, json or txt files, found \
         nothing there"
    );
}

#[test]
fn what_is_cached_needs_no_network() {
    let fake = diffusers();
    let (origin, cache) = (fake.serve(), tempfile::tempdir().unwrap());
    let folder = block_on(hub(&origin, &cache).build().unwrap().resolve("owner/name")).unwrap();
    let requests = fake.seen.lock().unwrap().len();

    // A commit, and whatever the caller wants offline.
    let online = hub(&origin, &cache).build().unwrap();
    let commit = format!("owner/name@{COMMIT}");
    assert_eq!(block_on(online.resolve(&commit)).unwrap(), folder);
    let offline = hub(&origin, &cache).offline(true).build().unwrap();
    assert_eq!(block_on(offline.resolve("owner/name")).unwrap(), folder);
    assert_eq!(block_on(offline.resolve("owner/name/vae")).unwrap(), folder.join("vae"));
    assert_eq!(fake.seen.lock().unwrap().len(), requests);

    // A branch while the hub is away.
    let away = hub("http://127.0.0.1:9", &cache).build().unwrap();
    assert_eq!(block_on(away.resolve("owner/name")).unwrap(), folder);
    let error = block_on(away.resolve("owner/other")).unwrap_err();
    assert!(matches!(error, Error::Connection { .. }), "{error}");

    // What was never fetched, or is no longer whole.
    let error = block_on(offline.resolve("owner/other")).unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    std::fs::remove_file(folder.join("vae/diffusion_pytorch_model.safetensors")).unwrap();
    let error = block_on(offline.resolve("owner/name")).unwrap_err();
    assert!(error.chain().to_string().contains("the cache lacks vae/*.safetensors"), "{error}");
}

#[test]
fn what_is_on_this_machine_is_taken_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    assert_eq!(block_on(imagerag::hub::resolve(path)).unwrap(), folder.path());
    let error = block_on(imagerag::hub::resolve("./not/there")).unwrap_err();
    assert!(
        error.chain().to_string().starts_with("checkpoint: expected a folder or file"),
        "{error}"
    );
    assert!(error.chain().to_string().ends_with("there is no such file or folder here"), "{error}");
}

#[test]
fn a_mistyped_path_that_could_be_a_repository_is_told_to_be_no_path() {
    let (origin, cache) = (diffusers().serve(), tempfile::tempdir().unwrap());
    let (here, typed) = ("there is no such file or folder here", "wieghts/sdxl");
    let nowhere = "http://127.0.0.1:1";
    for hub in [hub(&origin, &cache), hub(nowhere, &cache), hub(&origin, &cache).offline(true)] {
        let hub = hub.build().unwrap();
        let error = block_on(hub.resolve(typed)).unwrap_err();
        assert!(error.chain().to_string().contains(here), "{error}");
        let error = block_on(hub.fetch(&place(typed))).unwrap_err();
        assert!(!error.chain().to_string().contains(here), "{error}");
    }
}

fn status_of(fake: &Fake, text: &str) -> (u16, String) {
    let (origin, cache) = (fake.serve(), tempfile::tempdir().unwrap());
    let error = block_on(hub(&origin, &cache).build().unwrap().resolve(text)).unwrap_err();
    assert!(!format!("{error} {error:?}").contains(TOKEN), "{error:?}");
    match error {
        Error::Service { status, message, .. } => (status, message),
        other => panic!("{other}"),
    }
}

#[test]
fn what_is_not_there_or_not_for_us_is_said() {
    let (status, message) = status_of(&diffusers(), "owner/other");
    assert_eq!(status, 401);
    assert!(message.starts_with("owner/other is not there, or it is private"), "{message}");
    let (status, message) = status_of(&diffusers(), "owner/name@v2");
    assert_eq!((status, message.as_str()), (404, "owner/name has no revision v2"));
    let refuses = |code, status| Fake { refuses: Some((code, status)), ..diffusers() };
    let (status, message) = status_of(&refuses("GatedRepo", "403 Forbidden"), "owner/name");
    assert_eq!(status, 403);
    assert!(message.starts_with("owner/name is gated: accept its terms at http://"), "{message}");
    let (status, message) = status_of(&refuses("", "401 Unauthorized"), "owner/name");
    assert_eq!(status, 401);
    assert!(message.contains("HF_TOKEN") && message.contains("[redacted]"), "{message}");
    let (status, _) = status_of(&refuses("", "500 Internal Server Error"), "owner/name");
    assert_eq!(status, 500);
}

#[test]
fn names_that_lead_outside_are_refused() {
    for name in ["../../evil.json", "/etc/passwd.json", "unet/../../../x.json", "c:\\x.json"] {
        let fake = Fake { hostile: vec![name.into()], ..diffusers() };
        let (origin, cache) = (fake.serve(), tempfile::tempdir().unwrap());
        let error =
            block_on(hub(&origin, &cache).build().unwrap().resolve("owner/name")).unwrap_err();
        assert!(matches!(error, Error::InvalidReply { .. }), "{error}");
        assert!(fake.downloaded().is_empty());
    }
    let fake = Fake { sha: Some("../../../../tmp"), ..diffusers() };
    let (origin, cache) = (fake.serve(), tempfile::tempdir().unwrap());
    let error = block_on(hub(&origin, &cache).build().unwrap().resolve("owner/name")).unwrap_err();
    assert!(matches!(error, Error::InvalidReply { .. }), "{error}");
}

#[test]
fn a_download_of_the_wrong_size_does_not_stay() {
    let weights = "vae/diffusion_pytorch_model.safetensors";
    let truncated = Fake { truncated: Some(weights), ..diffusers() };
    let broken = Fake { broken: Some(weights), ..diffusers() };
    for (fake, size) in [(truncated, 5), (broken, 4)] {
        let cache = tempfile::tempdir().unwrap();
        let error = block_on(hub(&fake.serve(), &cache).build().unwrap().resolve("owner/name/vae"));
        let message = error.unwrap_err().chain().to_string();
        let expected = format!("{weights}: download: expected 11 bytes, found {size} bytes");
        assert!(message.ends_with(&expected), "{message}");
        // The next attempt is whole.
        let folder =
            block_on(hub(&diffusers().serve(), &cache).build().unwrap().resolve("owner/name/vae"));
        let file = folder.unwrap().join("diffusion_pytorch_model.safetensors");
        assert_eq!(std::fs::read_to_string(file).unwrap(), "vae weights");
    }
}

#[test]
fn a_hub_that_hangs_is_left() {
    let fake = Fake { hangs: Some("vae/config.json"), ..diffusers() };
    let (origin, cache) = (fake.serve(), tempfile::tempdir().unwrap());
    let limit = Duration::from_millis(300);
    let hub = hub(&origin, &cache).stall_timeout(limit).build().unwrap();
    let begin = Instant::now();
    let error = block_on(hub.resolve("owner/name")).unwrap_err();
    assert_eq!(error.chain().to_string(), format!("the hub at {origin} took longer than 300ms"));
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[test]
fn weights_in_no_format_of_ours_are_named() {
    let fake = Fake::new(&[("config.json", "{}"), ("pytorch_model.bin", "pickle")]);
    let (origin, cache) = (fake.serve(), tempfile::tempdir().unwrap());
    let error = block_on(hub(&origin, &cache).build().unwrap().resolve("owner/name")).unwrap_err();
    assert_eq!(
        error.chain().to_string(),
        "owner/name@main: expected *.safetensors, found config.json, pytorch_model.bin"
    );
    assert!(fake.downloaded().is_empty());
}

#[test]
fn replies_of_nonsense_are_errors() {
    let (origin, _heads) = raw_server(|_, _, stream| answer(stream, "200 OK", "", "<html>"));
    let cache = tempfile::tempdir().unwrap();
    let error = block_on(hub(&origin, &cache).build().unwrap().resolve("owner/name")).unwrap_err();
    assert!(matches!(error, Error::InvalidReply { .. }), "{error:?}");
}

#[test]
fn settings_are_checked_before_anything_is_sent() {
    let message = |builder: HubBuilder| builder.build().unwrap_err().chain().to_string();
    let builder = Hub::builder;
    assert!(
        message(builder().endpoint("not a url")).starts_with("HF_ENDPOINT: expected an http(s)")
    );
    assert!(message(builder().endpoint("ftp://h")).ends_with("found ftp://h"));
    let zero = builder().stall_timeout(Duration::ZERO);
    assert_eq!(message(zero), "stall timeout: expected more than 0 s, found 0 s");
    let built = builder().endpoint("http://h").token(TOKEN);
    let seen = format!("{built:?} {:?}", built.clone().build().unwrap());
    assert!(!seen.contains(TOKEN), "{seen}");
}
