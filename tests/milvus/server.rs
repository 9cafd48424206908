//! The server that all tests share, and servers of their own for tests that stop them.

use futures::executor::block_on;
use imagerag::retriever::{Milvus, MilvusBuilder, MilvusIndex, MilvusIndexType};

use std::net::TcpListener;
use std::ops::Deref;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The server at `$IMAGERAG_MILVUS`.
pub(crate) fn milvus() -> Option<Milvus> {
    let address = variable("IMAGERAG_MILVUS", "the address of a Milvus")?;
    Some(block_on(Milvus::connect(address)).unwrap())
}

fn variable(name: &str, what: &str) -> Option<String> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        eprintln!("skipped: set {name} to {what}, or run `cargo xtask test`");
    }
    value
}

/// The name of a collection of one test, which is removed when it ends.
pub(crate) struct Name {
    name: String,
    milvus: Milvus,
}

impl Name {
    pub(crate) fn of(milvus: &Milvus, name: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("imagerag_test_{name}_{}_{number}", std::process::id());
        Self { name, milvus: milvus.clone() }
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.name
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = block_on(self.milvus.drop_collection(&self.name));
    }
}

/// A new collection of one test.
pub(crate) struct Collection {
    pub(crate) index: MilvusIndex,
    _name: Name,
}

impl Collection {
    pub(crate) fn of(milvus: &Milvus, name: &str, dim: usize, kind: MilvusIndexType) -> Self {
        let name = Name::of(milvus, name);
        Self { index: block_on(milvus.create(&name, dim, kind)).unwrap(), _name: name }
    }
}

/// A server of one test.
pub(crate) struct Server {
    program: String,
    folder: tempfile::TempDir,
    port: u16,
    process: Option<Child>,
}

impl Server {
    /// A server of the program at `$IMAGERAG_MILVUS_LITE`.
    pub(crate) fn start() -> Option<Self> {
        let program = variable("IMAGERAG_MILVUS_LITE", "the program milvus-lite")?;
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server =
            Self { program, folder: tempfile::tempdir().unwrap(), port, process: None };
        server.again();
        server.wait();
        Some(server)
    }

    /// Starts it on the data that it had; does not wait until it answers.
    pub(crate) fn again(&mut self) {
        let process = Command::new(&self.program)
            .args(["server", "--host", "127.0.0.1", "--port", &self.port.to_string()])
            .arg("--data-dir")
            .arg(self.folder.path())
            // It ends when this closes.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.process = Some(process);
    }

    /// Waits until it answers.
    pub(crate) fn wait(&self) {
        let start = Instant::now();
        while let Err(error) = block_on(self.builder().connect()) {
            assert!(start.elapsed() < Duration::from_secs(120), "{error}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Stops it until [`go_on`](Self::go_on): it answers nothing, and its connections stay.
    #[cfg(target_os = "linux")]
    pub(crate) fn stop(&self) {
        self.signal("STOP");
        // A thread that is running when the signal comes may still answer.
        let tasks = format!("/proc/{}/task", self.process.as_ref().unwrap().id());
        let is_stopped = |task: std::fs::DirEntry| {
            let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('T'))
        };
        while !std::fs::read_dir(&tasks).unwrap().flatten().all(is_stopped) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn go_on(&self) {
        self.signal("CONT");
    }

    #[cfg(target_os = "linux")]
    fn signal(&self, name: &str) {
        let process = self.process.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-s", name, &process]).status().unwrap().success());
    }

    pub(crate) fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn builder(&self) -> MilvusBuilder {
        Milvus::builder(self.address())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
