//! Turns the program `milvus-lite` into a server on a free port, stopped when its guard is dropped.

use crate::shell::Result;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take until it answers: its libraries may come from a cold disk.
const START: Duration = Duration::from_secs(120);
/// Ports that are tried: another program may take one before the server does.
const PORTS: usize = 3;
/// What an HTTP/2 client says first, with empty settings.
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// The type of the frame with which an HTTP/2 server answers, and its place in the frame.
const SETTINGS: (usize, u8) = (3, 4);

/// A running server, with a folder of its own for its data and its log.
#[derive(Debug)]
pub struct Server {
    process: Child,
    port: u16,
    folder: PathBuf,
}

impl Server {
    /// Starts `program` and waits until it answers.
    ///
    /// # Errors
    /// Names the log in which the server says what is wrong.
    pub fn start(program: &Path, native: &Path) -> Result<Self> {
        let folder = native.join(format!("milvus-run-{}", std::process::id()));
        let mut last = String::new();
        for _ in 0..PORTS {
            let port = free_port().map_err(|error| format!("no free port: {error}"))?;
            let process = spawn(program, &folder, port)
                .map_err(|error| format!("{}: {error}", program.display()))?;
            let mut server = Self { process, port, folder: folder.clone() };
            match server.wait_until_it_answers(START) {
                Ok(()) => return Ok(server),
                Err(error) => last = error,
            }
            server.stop(false);
        }
        Err(last)
    }

    pub fn address(&self) -> String {
        format!("http://{}", address(self.port))
    }

    /// Stops the server. Its log stays for who wants to know what went wrong.
    pub fn stop(mut self, went_well: bool) {
        self.kill();
        let _ = fs::remove_dir_all(if went_well { self.folder.clone() } else { self.data() });
        if !went_well {
            crate::shell::say(&format!("the log of Milvus is {}", self.log().display()));
        }
    }

    fn wait_until_it_answers(&mut self, limit: Duration) -> Result<()> {
        let start = Instant::now();
        while !answers(self.port) {
            if let Ok(Some(status)) = self.process.try_wait() {
                return Err(format!(
                    "Milvus ended at once: {status}; see {}",
                    self.log().display()
                ));
            }
            if start.elapsed() > limit {
                let log = self.log();
                return Err(format!(
                    "Milvus does not answer after {limit:?}; see {}",
                    log.display()
                ));
            }
            thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts the program; its stdin is ours, and it ends when that closes.
fn spawn(program: &Path, folder: &Path, port: u16) -> io::Result<Child> {
    fs::create_dir_all(folder)?;
    let log = File::create(folder.join("server.log"))?;
    Command::new(program)
        .args(["server", "--host", "127.0.0.1", "--port", &port.to_string(), "--data-dir"])
        .arg(folder.join("data"))
        .env("PYTHONUNBUFFERED", "1")
        .stdin(Stdio::piped())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(address(0))?.local_addr()?.port())
}

fn address(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Whether a gRPC server, which speaks HTTP/2, is at `port`.
fn answers(port: u16) -> bool {
    let patience = Duration::from_secs(2);
    let greet = || -> io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address(port), patience)?;
        stream.set_read_timeout(Some(patience))?;
        stream.write_all(HELLO)?;
        let mut frame = [0; 9];
        stream.read_exact(&mut frame)?;
        Ok(frame[SETTINGS.0] == SETTINGS.1)
    };
    greet().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http2_is_an_answer() {
        let listener = TcpListener::bind(address(0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            for reply in [&b"HTTP/1.1 400 Bad Request"[..], &[0, 0, 0, 4, 0, 0, 0, 0, 0]] {
                let (mut stream, _) = listener.accept().unwrap();
                stream.read_exact(&mut [0; HELLO.len()]).unwrap();
                stream.write_all(reply).unwrap();
            }
        });
        assert!(!answers(port));
        assert!(answers(port));
        server.join().unwrap();
        assert!(!answers(port), "nobody listens any more");
    }

    #[test]
    fn a_server_that_ends_is_reported_with_its_log() {
        let folder =
            std::env::temp_dir().join(format!("imagerag-xtask-server-{}", std::process::id()));
        let error = Server::start(Path::new("false"), &folder).unwrap_err();
        assert!(error.contains("ended at once") && error.contains("server.log"), "{error}");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let folder =
            std::env::temp_dir().join(format!("imagerag-xtask-none-{}", std::process::id()));
        let error = Server::start(Path::new("no-such-milvus"), &folder).unwrap_err();
        assert!(error.starts_with("no-such-milvus: "), "{error}");
        fs::remove_dir_all(folder).unwrap();
    }
}
