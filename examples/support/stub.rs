//! A JSON service on this machine: a function turns the path and body of a request into a reply.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use serde_json::Value;

/// Serves on a free port for as long as the program runs, each request on a thread of its own.
/// `answer` gives the HTTP status and the reply. Returns the address, `http://127.0.0.1:PORT`.
pub(crate) fn serve<F>(answer: F) -> std::io::Result<String>
where
    F: Fn(&str, &Value) -> (u16, Value) + Send + Sync + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = format!("http://{}", listener.local_addr()?);
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            // Where the client hangs up there is nobody to tell.
            thread::spawn(move || converse(&stream, &*answer));
        }
    });
    Ok(address)
}

/// Reads one request, and replies.
fn converse(
    mut stream: &TcpStream,
    answer: &dyn Fn(&str, &Value) -> (u16, Value),
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let path = head.split(' ').nth(1).unwrap_or_default();
    let lower = head.to_ascii_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length:"));
    let mut body = vec![0; length.and_then(|length| length.trim().parse().ok()).unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let (status, reply) = answer(path, &serde_json::from_slice(&body).unwrap_or_default());
    let reply = reply.to_string();
    write!(
        stream,
        "HTTP/1.1 {status} Reply\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{reply}",
        reply.len()
    )
}
