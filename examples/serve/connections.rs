//! Connections to requests: so many at a time, each of which has to go on sending.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

/// How long to wait where the machine has no more sockets to give, as `axum::serve` does.
const NO_SOCKET: Duration = Duration::from_secs(1);

/// How many connections are open at a time, and how long each may take to send what it sends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// At least 1; further ones wait until one is closed.
    pub(crate) connections: usize,
    /// For the head of a request, from the first moment that one could come.
    pub(crate) head: Duration,
}

/// Serves connections of `listener` until `close` ends; then those that are open finish their reply.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    close: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let open = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head);
    let accept = async {
        while let Some((stream, place)) = next(&listener, &places).await {
            let service = TowerToHyperService::new(router.clone());
            let connection = open.watch(http.serve_connection(TokioIo::new(stream), service));
            tokio::spawn(async move {
                // A client that breaks off is nothing to tell of.
                let _ = connection.await;
                drop(place);
            });
        }
    };
    tokio::select! {
        () = accept => {}
        () = close => {}
    }
    drop(listener);
    open.shutdown().await;
}

/// The next connection, once there is a place for it.
async fn next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return Some((stream, place)),
            Err(error) if is_of_the_client(&error) => {}
            Err(_) => sleep(NO_SOCKET).await,
        }
    }
}

/// Whether a client left before it was let in.
fn is_of_the_client(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
