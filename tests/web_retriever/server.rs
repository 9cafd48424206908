//! A server that answers by path, with pictures of one color at `/red.png` and its like.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use imagerag::testing::solid;
use serde_json::{Value, json};

use crate::support::raw_server;

/// An answer as it goes over the wire.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    status: u16,
    headers: String,
    body: Vec<u8>,
    /// What `content-length` says, if not the length of the body.
    length: Option<usize>,
    hangs: bool,
}

pub(crate) fn answer(status: u16, body: impl Into<Vec<u8>>) -> Answer {
    Answer { status, headers: String::new(), body: body.into(), length: None, hangs: false }
}

impl Answer {
    pub(crate) fn with(mut self, header: &str) -> Self {
        self.headers += &format!("{header}\r\n");
        self
    }

    /// Says that it is `length` bytes long.
    pub(crate) fn of_length(mut self, length: usize) -> Self {
        self.length = Some(length);
        self
    }

    /// Does not say how long it is.
    pub(crate) fn without_length(mut self) -> Self {
        self.length = Some(usize::MAX);
        self
    }

    /// Sends its head and never its body.
    pub(crate) fn hanging(mut self) -> Self {
        self.hangs = true;
        self
    }

    fn send(&self, mut stream: &TcpStream) {
        let length = match self.length.unwrap_or(self.body.len()) {
            usize::MAX => String::new(),
            length => format!("content-length: {length}\r\n"),
        };
        let (status, headers) = (self.status, &self.headers);
        let _ = write!(
            stream,
            "HTTP/1.1 {status} Status\r\n{headers}{length}connection: close\r\n\r\n"
        );
        if self.hangs {
            std::thread::sleep(Duration::from_secs(60));
        }
        let _ = stream.write_all(&self.body);
    }
}

pub(crate) fn redirect(to: &str) -> Answer {
    answer(302, "").with(&format!("location: {to}"))
}

pub(crate) fn png(rgb: [u8; 3]) -> Vec<u8> {
    solid(16, 12, rgb).encode_png().unwrap()
}

/// The server, and what it was asked.
pub(crate) struct Server {
    pub(crate) origin: String,
    heads: Arc<Mutex<Vec<String>>>,
    most_at_once: Arc<AtomicUsize>,
}

impl Server {
    /// Gives each path (without its query) the answers that are listed for it, one after the other and
    /// the last for ever; 404 elsewhere. `ORIGIN` in texts is where the server is.
    pub(crate) fn new<const N: usize>(answers: [(&str, Vec<Answer>); N]) -> Self {
        let mut all: BTreeMap<String, Vec<Answer>> = BTreeMap::new();
        for (name, rgb) in [("red", [200, 0, 0]), ("green", [0, 200, 0]), ("blue", [0, 0, 200])] {
            all.insert(format!("/{name}.png"), vec![answer(200, png(rgb))]);
        }
        all.extend(answers.map(|(path, answers)| (path.to_owned(), answers)));
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let (seen, place) = (Arc::clone(&heads), Arc::new(Mutex::new(String::new())));
        let origin_of = Arc::clone(&place);
        let (at_work, most_at_once) = (Arc::new(AtomicUsize::new(0)), Arc::default());
        let most: Arc<AtomicUsize> = Arc::clone(&most_at_once);
        let (origin, _) = raw_server(move |_, request, stream| {
            let path = path_of(&request.head).to_owned();
            most.fetch_max(at_work.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let count = {
                let mut seen = seen.lock().unwrap();
                let times = seen.iter().filter(|head| path_of(head) == path).count();
                seen.push(request.head.clone());
                times
            };
            let mut answer = match all.get(&path) {
                Some(answers) => answers[count.min(answers.len() - 1)].clone(),
                None => answer(404, "nothing here"),
            };
            let origin = origin_of.lock().unwrap().clone();
            if let Ok(text) = std::str::from_utf8(&answer.body) {
                answer.body = text.replace("ORIGIN", &origin).into_bytes();
            }
            answer.headers = answer.headers.replace("ORIGIN", &origin);
            // Who comes in the meantime is seen to.
            std::thread::sleep(Duration::from_millis(5));
            at_work.fetch_sub(1, Ordering::SeqCst);
            answer.send(&stream);
        });
        place.lock().unwrap().clone_from(&origin);
        Self { origin, heads, most_at_once }
    }

    /// The most requests that were answered at the same time.
    pub(crate) fn most_at_once(&self) -> usize {
        self.most_at_once.load(Ordering::SeqCst)
    }

    /// The heads of the requests for `path`.
    pub(crate) fn asked(&self, path: &str) -> Vec<String> {
        let heads = self.heads.lock().unwrap();
        heads.iter().filter(|head| path_of(head) == path).cloned().collect()
    }

    /// The fields of the query of each request for `path`.
    pub(crate) fn queries(&self, path: &str) -> Vec<BTreeMap<String, String>> {
        let fields = |head: &String| {
            let target = head.split(' ').nth(1).unwrap_or_default();
            let query = target.split_once('?').map_or("", |(_, query)| query);
            let decoded = |text: &str| {
                let text = text.replace('+', " ");
                percent_decoded(&text)
            };
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
        };
        self.asked(path).iter().map(fields).collect()
    }
}

/// The path of a request, which through a proxy is in a whole URL.
fn path_of(head: &str) -> &str {
    let target = head.split(' ').nth(1).unwrap_or_default();
    let path = target
        .strip_prefix("http://")
        .map_or(target, |rest| rest.find('/').map_or("/", |at| &rest[at..]));
    path.split('?').next().unwrap_or_default()
}

fn percent_decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, others @ ..] = rest {
        let code = others.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match (first, code.and_then(|code| u8::from_str_radix(code, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &others[2..];
            }
            _ => {
                bytes.push(*first);
                rest = others;
            }
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// What Openverse answers for pictures at these addresses under these licenses, such as `by 4.0`.
pub(crate) fn results(pictures: &[(&str, &str)]) -> Answer {
    let result = |(url, license): &(&str, &str)| {
        let (kind, version) = license.split_once(' ').unwrap_or((license, ""));
        json!({"url": url, "title": "a quetzal", "license": kind, "license_version": version})
    };
    let results: Vec<Value> = pictures.iter().map(result).collect();
    answer(200, json!({"result_count": results.len(), "results": results}).to_string())
}
