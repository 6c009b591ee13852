//! Connections to the admin port: accepted, limited, and read as HTTP/1.

use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};

use super::Admin;
use crate::net::{Accepted, Listener};

/// Connections at once; more are closed unanswered.
const CONNECTIONS: usize = 64;
/// How long the head of a request may take, the wait for the next request included.
const HEAD: Duration = Duration::from_secs(30);
/// How long a connection may last.
const LIFE: Duration = Duration::from_mins(10);
/// The largest head of a request, in bytes.
const HEAD_BYTES: usize = 16 << 10;
/// The most header lines of a request.
const HEADERS: usize = 64;
/// How long to wait when the system has no descriptors left.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Accepts for as long as it is polled. Must be called within a set of local tasks.
pub(super) async fn serve(mut listener: Box<dyn Listener>, admin: Rc<Admin>) {
    // Each connection holds a clone; the count of clones is the count of connections.
    let open = Rc::new(());
    loop {
        match listener.accept().await {
            Ok(_) if Rc::strong_count(&open) > CONNECTIONS => {}
            Ok(connection) => {
                let (admin, open) = (Rc::clone(&admin), Rc::clone(&open));
                tokio::task::spawn_local(async move {
                    // A connection that outlives its time is closed, whatever it waits for.
                    let _ = tokio::time::timeout(LIFE, converse(connection, admin)).await;
                    drop(open);
                });
            }
            Err(error) => {
                tracing::warn!("the admin port cannot accept a connection: {error}");
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
}

async fn converse(connection: Accepted, admin: Rc<Admin>) {
    let Ok((stream, _)) = connection.into_stream() else { return };
    let answer = service_fn(move |request: hyper::Request<_>| {
        let response = admin.answer(&request);
        async { Ok::<_, Infallible>(response) }
    });
    let conversation = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_headers(HEADERS)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), answer);
    if let Err(error) = conversation.await {
        tracing::debug!("a connection to the admin port: {error}");
    }
}
