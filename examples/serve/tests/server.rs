//! A server that was started for a test, and requests to it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use base64::prelude::{BASE64_STANDARD, Engine};
use imagerag::Image;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;

/// A server on a free port; it ends with the test.
pub(crate) struct Server {
    pub(crate) process: Child,
    /// `http://127.0.0.1:PORT/v1`.
    pub(crate) address: String,
    pub(crate) http: Client,
}

impl Server {
    /// Serves fakes.
    pub(crate) fn fake(options: &[&str]) -> Self {
        Self::start(&["--fake"], options)
    }

    pub(crate) fn start(source: &[&str], options: &[&str]) -> Self {
        let mut process = Command::new(program("serve"))
            .args(source)
            .args(["--port", "0"])
            .args(options)
            .env_remove("IMAGERAG_API_KEY")
            .env("RUST_BACKTRACE", "0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let told = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = told
            .map(Result::unwrap)
            .find_map(|line| line.strip_prefix("address").map(|address| address.trim().to_owned()));
        let address = address.expect("it tells its address");
        Self { process, address, http: Client::builder().no_proxy().build().unwrap() }
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(format!("{}{path}", self.address))
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.http.post(format!("{}{path}", self.address)).json(body)
    }

    /// Sends a form.
    pub(crate) fn form(&self, path: &str, form: &Form) -> RequestBuilder {
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        let request = self.http.post(format!("{}{path}", self.address));
        request.header("content-type", kind).body(form.end())
    }

    /// The reply to `POST path`, which is a success.
    pub(crate) async fn ask(&self, path: &str, body: &Value) -> Value {
        json(self.post(path, body)).await
    }

    /// The status with which the server ends by itself.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status.code();
            }
            // Connections are closed meanwhile.
            tokio::task::yield_now().await;
        }
    }

    /// What `/health` says of images, once it says that `is_so`.
    pub(crate) async fn until(&self, is_so: impl Fn(&Value) -> bool) -> Value {
        loop {
            let health = self.get("/health").send().await.unwrap();
            let health: Value = serde_json::from_str(&health.text().await.unwrap()).unwrap();
            if is_so(&health["images"]) {
                return health["images"].clone();
            }
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The example called `name`, which `cargo test` builds beside the tests.
pub(crate) fn program(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let folder = tests.parent().and_then(Path::parent).unwrap().join("examples");
    let program = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(program.exists(), "run `cargo build --example {name}` with these features first");
    program
}

/// The reply to a request, which is a success.
pub(crate) async fn json(request: RequestBuilder) -> Value {
    let reply = request.send().await.unwrap();
    let (status, text) = (reply.status(), reply.text().await.unwrap());
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// An error's status and body, which is in OpenAI's shape.
pub(crate) async fn error(reply: Response) -> (u16, Value) {
    let status = reply.status().as_u16();
    assert_eq!(reply.headers()["content-type"], "application/json");
    let text = reply.text().await.unwrap();
    let mut body: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
    let error = body["error"].take();
    assert!(error["message"].is_string() && error["type"].is_string(), "{text}");
    assert!(["param", "code"].iter().all(|name| error.get(name).is_some()), "{text}");
    (status, error)
}

/// The image number `n` of a reply with images.
pub(crate) fn image(reply: &Value, n: usize) -> Image {
    let base64 = reply["data"][n]["b64_json"].as_str().unwrap();
    Image::decode(&BASE64_STANDARD.decode(base64).unwrap()).unwrap()
}

pub(crate) fn data_url(image: &Image) -> String {
    format!("data:image/png;base64,{}", BASE64_STANDARD.encode(image.encode_png().unwrap()))
}

const BOUNDARY: &str = "----boundary-of-a-test";

/// A form as it is on the wire.
#[derive(Clone, Default)]
pub(crate) struct Form(Vec<u8>);

impl Form {
    pub(crate) fn text(self, name: &str, text: &str) -> Self {
        self.part(&format!("name=\"{name}\""), text.as_bytes())
    }

    pub(crate) fn file(self, name: &str, bytes: &[u8]) -> Self {
        let about = format!("name=\"{name}\"; filename=\"a.png\"\r\nContent-Type: image/png");
        self.part(&about, bytes)
    }

    pub(crate) fn picture(self, name: &str, image: &Image) -> Self {
        self.file(name, &image.encode_png().unwrap())
    }

    fn part(mut self, about: &str, bytes: &[u8]) -> Self {
        let head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {about}\r\n\r\n");
        self.0.extend(head.as_bytes());
        self.0.extend(bytes);
        self.0.extend(b"\r\n");
        self
    }

    fn end(&self) -> Vec<u8> {
        [&self.0[..], format!("--{BOUNDARY}--\r\n").as_bytes()].concat()
    }
}
