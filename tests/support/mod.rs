//! Local servers that behave as no HTTP library would: they hang, break off and never end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// One request as it came over the wire.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) head: String,
    #[allow(dead_code, reason = "not every test looks at it")]
    pub(crate) body: Vec<u8>,
}

/// Reads one request; `None` where the client hung up.
pub(crate) fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| {
        line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok()
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some(Request { head, body })
}

/// Listens on a free port; `serve` has each connection with its number and first request. Gives the
/// origin, `http://127.0.0.1:PORT`, and every request's head.
pub(crate) fn raw_server(
    serve: impl Fn(usize, &Request, TcpStream) + Clone + Send + 'static,
) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    let (sender, heads) = channel();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let (serve, sender) = (serve.clone(), sender.clone());
            thread::spawn(move || {
                let stream = stream?;
                if let Some(request) = read_request(&stream) {
                    let _ = sender.send(request.head.clone());
                    serve(number, &request, stream);
                }
                std::io::Result::Ok(())
            });
        }
    });
    (origin, heads)
}

/// Writes a whole answer and closes.
pub(crate) fn answer(mut stream: TcpStream, status: &str, headers: &str, body: &str) {
    let length = body.len();
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
}
