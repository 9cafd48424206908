//! The loop as a server that speaks OpenAI's images API, for any client and chat surface of it.
//!
//! ```text
//! cargo xtask cargo -- run --release --features tch --example serve -- --tinyworld
//! ```
//!
//! or, without libtorch, over services and a folder of your own pictures,
//!
//! ```text
//! OPENAI_API_KEY=… JINA_API_KEY=… cargo run --example serve -- --services --pictures photos/birds
//! ```
//!
//! tells its address and how to try it:
//!
//! ```text
//! serving  the tiny world, on cpu
//! address  http://127.0.0.1:8080/v1
//! try      curl http://127.0.0.1:8080/v1/images/generations -H 'Content-Type: application/json' -d '…'
//! ```
//!
//! docs/serve.md lists the routes.

mod app;
mod bodies;
#[allow(dead_code, reason = "other examples use the rest")]
#[path = "../support/command.rs"]
mod command;
mod connections;
mod draw;
mod embeddings;
mod error;
#[cfg(feature = "testing")]
mod fakes;
mod fields;
mod images;
mod page;
mod picture;
mod queue;
mod request;
mod served;
#[cfg(all(feature = "gallery", feature = "openai"))]
#[path = "../support/services.rs"]
mod services;
mod source;
mod stop;
mod store;
mod stream;
#[cfg(feature = "tch")]
#[path = "../support/world.rs"]
mod tinyworld;
#[cfg(feature = "tch")]
mod world;

use std::error::Error;
use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use app::App;
use axum::http::{HeaderValue, Uri};
use bodies::Bodies;
use clap::{CommandFactory, FromArgMatches, Parser};
use connections::Limits;
use queue::{Queue, Stop};
use served::Served;
use source::Source;
use store::Store;
use tokio::net::TcpListener;
use tokio::sync::watch;

use command::tell;

/// Serves images over HTTP, in OpenAI's dialect.
#[derive(Parser)]
#[cfg_attr(all(feature = "gallery", feature = "openai"), command(after_help = services::KEYS))]
struct Options {
    #[command(flatten)]
    source: Source,
    /// The address to listen at. Any other than one of this machine alone needs --api-key.
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// The port to listen at; 0 takes a free one, which is told.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// The key that clients must send.
    #[arg(long, env = "IMAGERAG_API_KEY", hide_env_values = true, value_name = "KEY")]
    api_key: Option<String>,
    /// How many requests are worked on at a time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    workers: u16,
    /// How many more may wait; others are told to come back later.
    #[arg(long, default_value_t = 16)]
    queue: u16,
    /// How long requests may take to finish once the server is told to stop, in seconds.
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    grace: u64,
    /// The largest body of a request, in MiB.
    #[arg(long, default_value_t = 64, value_name = "MIB", value_parser = clap::value_parser!(u16).range(1..))]
    max_body: u16,
    /// How much of all bodies together is held in memory, in MiB; four times --max-body by default. A body
    /// that has no place is refused, but for its first 64 KiB.
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    max_bodies: Option<u32>,
    /// How many connections are open at a time; further ones wait.
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// How long a client may send nothing of what it has to send, in seconds: the head of a request, and
    /// each next piece of its body.
    #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    read_timeout: u64,
    /// Ends as after SIGTERM when the standard input ends, so that it does not outlive whoever started it.
    #[arg(long)]
    until_stdin_ends: bool,
    /// How many traces are kept, and how many images of replies by address.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    keep: u16,
    /// Another name for the model `imagerag`, such as dall-e-3, for clients that cannot be told to ask for
    /// it. May be repeated.
    #[arg(long, value_name = "MODEL")]
    alias: Vec<String>,
    /// The origin of web pages that may use the server, such as https://example.org; `*` for any.
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    cors: Option<HeaderValue>,
    /// The address under which clients reach the server, for links, where it is behind a proxy.
    #[arg(long, value_name = "URL", value_parser = address)]
    public_url: Option<String>,
}

impl Options {
    /// How much of all bodies is held, in MiB.
    fn max_bodies(&self) -> u32 {
        self.max_bodies.unwrap_or(4 * u32::from(self.max_body))
    }
}

/// An origin as browsers send it, or `*` for any.
fn origin(text: &str) -> Result<HeaderValue, String> {
    let is_origin = |uri: Uri| {
        let (scheme, authority) = (uri.scheme()?, uri.authority()?);
        (!text.contains('@') && format!("{scheme}://{authority}") == text).then_some(())
    };
    let is_known = matches!(text, "*" | "null");
    if is_known || text.parse().ok().and_then(is_origin).is_some() {
        return HeaderValue::from_str(text).map_err(|error| error.to_string());
    }
    Err("expected `*` or SCHEME://HOST[:PORT] without a path, such as https://example.org"
        .to_owned())
}

/// An address that paths may be added to.
fn address(text: &str) -> Result<String, String> {
    let uri = text.parse::<Uri>().ok().filter(|uri| {
        let is_http = uri.scheme_str().is_some_and(|scheme| ["http", "https"].contains(&scheme));
        is_http && uri.query().is_none() && !text.contains('#')
    });
    let expected = "expected http://HOST or https://HOST, perhaps with a port and a path";
    uri.map(|_| text.trim_end_matches('/').to_owned()).ok_or_else(|| expected.to_owned())
}

fn main() -> ExitCode {
    let command = Options::command();
    #[cfg(all(feature = "gallery", feature = "openai"))]
    let command = services::refused_beside(command, &["tinyworld", "fake"], "");
    let options = Options::from_arg_matches(&command.get_matches());
    command::end(run(options.unwrap_or_else(|error| error.exit())))
}

fn run(options: Options) -> Result<(), Box<dyn Error>> {
    let has_key = options.api_key.as_deref().is_some_and(|key| !key.trim().is_empty());
    if options.api_key.is_some() && !has_key {
        return Err("--api-key: expected a key, found nothing".into());
    }
    if !options.host.is_loopback() && !has_key {
        let host = options.host;
        return Err(format!("--host {host}: others reach it, so set --api-key as well").into());
    }
    let (max_body, max_bodies) = (u32::from(options.max_body), options.max_bodies());
    if max_bodies < max_body {
        let expected = format!("at least --max-body, {max_body}");
        return Err(format!("--max-bodies: expected {expected}, found {max_bodies}").into());
    }
    // A port that is taken is told before anything is loaded or embedded.
    let (host, port) = (options.host, options.port);
    let listener = std::net::TcpListener::bind((host, port));
    let listener = listener.map_err(|error| format!("--host {host} --port {port}: {error}"))?;
    listener.set_nonblocking(true)?;
    let served = options.source.open()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(serve(options, listener, served));
    result?;
    // What is cut off may still be on a thread, and models on threads of their own.
    runtime.shutdown_timeout(Duration::from_secs(1));
    stop::at_once(0)
}

async fn serve(
    options: Options,
    listener: std::net::TcpListener,
    served: Served,
) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::from_std(listener)?;
    let address = format!("http://{}", listener.local_addr()?);
    let (stop, stopped) = watch::channel(Stop::Serving);
    let queue = || Queue::new(options.workers.into(), options.queue.into(), stopped.clone());
    let (images, embeddings) = (queue(), queue());
    let (name, example) = (served.name.clone(), served.example.clone());
    let read_timeout = Duration::from_secs(options.read_timeout);
    let max_body = usize::from(options.max_body) << 20;
    let max_bodies = (options.max_bodies() as usize).saturating_mul(1 << 20);
    let limits = Limits { connections: options.connections.into(), head: read_timeout };
    let app = App {
        served,
        store: Store::new(options.keep.into()),
        queue: images.clone(),
        embeddings: embeddings.clone(),
        bodies: Bodies::new(max_body, max_bodies, read_timeout),
        aliases: options.alias,
        api_key: options.api_key,
        public_url: options.public_url,
        address: address.clone(),
        stop: stopped,
        started: images::now(),
    };
    let router = app::router(Arc::new(app), options.cors);
    let grace = Duration::from_secs(options.grace);
    let queues = [images, embeddings];
    let ending = stop::Ending::new(stop, queues, grace, options.until_stdin_ends)?;
    let body = serde_json::json!({ "prompt": example, "response_format": "url" });
    // As a shell quotes it.
    let body = body.to_string().replace('\'', r"'\''");
    tell!("serving  {name}");
    tell!("address  {address}/v1");
    tell!(
        "try      curl {address}/v1/images/generations -H 'Content-Type: application/json' -d '{body}'"
    );
    ending.serve(listener, router, limits).await
}
