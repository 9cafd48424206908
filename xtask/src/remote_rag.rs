//! Starts the example `serve` on the tiny world, and draws through it with the example `remote_rag`.

use crate::commands::{after_dashes, without_libtorch};
use crate::native;
use crate::shell::{self, Result};
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

/// `remote_rag` with default features, beside a server with libtorch.
pub fn run(arguments: &[String]) -> Result<()> {
    shell::say("the server: the tiny world's models, behind OpenAI's images API");
    let libtorch = native::provide()?;
    let mut build = cargo(&["build", "--no-default-features", "--features", "serve,tch"], "serve");
    libtorch.apply(&mut build);
    shell::run(&mut build)?;
    let mut serve = cargo(&["run", "--no-default-features", "--features", "serve,tch"], "serve");
    libtorch.apply(&mut serve);
    let (server, url) =
        Server::start(serve.args(["--", "--tinyworld", "--port", "0", "--until-stdin-ends"]))?;
    shell::say(&format!("the client, without libtorch: it draws, judges and embeds through {url}"));
    let mut client = without_libtorch(&["run", "--package", "examples", "--example", "remote_rag"]);
    let drawn = shell::run(client.args(["--", "--tinyworld", &url]).args(after_dashes(arguments)));
    drop(server);
    drawn
}

fn cargo(words: &[&str], example: &str) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    command.args(words).args(["--quiet", "--package", "examples", "--example", example]);
    command
}

/// A server that ends with its guard, and, as its stdin is ours, with this program.
struct Server {
    process: Child,
    /// It is held open, so that the server may go on writing.
    out: BufReader<ChildStdout>,
}

impl Server {
    /// Starts `command`, and waits until it tells its address.
    fn start(command: &mut Command) -> Result<(Self, String)> {
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = spawned.map_err(|error| format!("serve did not start: {error}"))?;
        let out = process.stdout.take().ok_or("serve has no output")?;
        let mut server = Self { process, out: BufReader::new(out) };
        let mut line = String::new();
        loop {
            line.clear();
            match server.out.read_line(&mut line) {
                Ok(0) | Err(_) => return Err("serve ended before it told its address".into()),
                Ok(_) => {}
            }
            if let Some(url) = line.strip_prefix("address") {
                return Ok((server, url.trim().to_owned()));
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
