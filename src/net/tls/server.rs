//! TLS towards clients: what stands before a connection that was accepted.
//!
//! The handshake is a task of the worker that will serve the client. What it waits for costs nothing; what it
//! reckons (one signature, a fraction of a millisecond to a few) is done for one client at a time, so that a turn
//! between two of them never waits for more than one.

use std::future::poll_fn;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use rustls::server::{Acceptor, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::{ServerConfig, SupportedProtocolVersion, version};
use tokio::sync::Semaphore;
use tokio_rustls::{LazyConfigAcceptor, TlsStream};

use super::kept::{Kept, Made};
use super::{Certificates, ClientAuth, Part, ServerOptions, Unfit, Version, files, provider, refusal};
use crate::net::{Accepted, Addr, Gate, Listener, LocalFuture, SendFuture, Stream, Unopened};

/// What a listener shows to clients.
pub struct Server {
    options: ServerOptions,
    kept: Arc<Kept<ServerConfig>>,
}

impl Server {
    /// Reads the files of `options`, which must be good.
    pub fn new(options: &ServerOptions) -> Result<Self, Unfit> {
        let made_of = options.clone();
        let others: [Option<PathBuf>; 2] = [options.key_file.clone(), options.client_ca_file.clone()];
        let make = Box::new(move || make(&made_of));
        let kept = Kept::new(options.cert_file.clone(), others.into_iter().flatten(), make)?;
        Ok(Self { options: options.clone(), kept: Arc::new(kept) })
    }

    /// The certificates in use.
    #[must_use]
    pub fn certificates(&self) -> Arc<dyn Certificates> {
        Arc::clone(&self.kept) as Arc<dyn Certificates>
    }

    async fn shake_hands(&self, stream: Stream, heavy: &Semaphore) -> Result<Stream, Unopened> {
        let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await.map_err(refusal::of_hello)?;
        // It is never closed.
        let one = heavy.acquire().await;
        let mut accepting = pin!(hello.into_stream(self.kept.get()));
        let first = poll_fn(|cx| Poll::Ready(accepting.as_mut().poll(cx))).await;
        // Others of this thread come before the next client.
        tokio::task::yield_now().await;
        drop(one);
        let opened = match first {
            Poll::Ready(opened) => opened,
            Poll::Pending => accepting.await,
        };
        opened.map(|opened| Stream::sealed(TlsStream::Server(opened))).map_err(Unopened::Failed)
    }
}

impl Gate for Server {
    fn open<'a>(&'a self, stream: Stream, heavy: &'a Semaphore) -> LocalFuture<'a, Result<Stream, Unopened>> {
        Box::pin(async move {
            let shaking = self.shake_hands(stream, heavy);
            tokio::time::timeout(self.options.handshake_timeout, shaking).await.unwrap_or(Err(Unopened::Late))
        })
    }
}

/// A listener with a gate before each connection.
pub struct Guarded {
    listener: Box<dyn Listener>,
    gate: Arc<Server>,
}

impl Guarded {
    /// Puts `gate` before what `listener` accepts.
    #[must_use]
    pub fn new(listener: Box<dyn Listener>, gate: Arc<Server>) -> Self {
        Self { listener, gate }
    }
}

impl Listener for Guarded {
    fn accept(&mut self) -> SendFuture<'_, io::Result<Accepted>> {
        Box::pin(async move {
            let accepted = self.listener.accept().await?;
            Ok(Accepted::Guarded(Box::new(accepted), Arc::clone(&self.gate) as Arc<dyn Gate>))
        })
    }

    fn local_addr(&self) -> Addr {
        self.listener.local_addr()
    }
}

fn make(options: &ServerOptions) -> Result<Made<ServerConfig>, Unfit> {
    let (Some(cert), Some(key)) = (&options.cert_file, &options.key_file) else {
        return Err(Unfit::new(Part::Whole, "a certificate and its key belong together", "name both files"));
    };
    let (identity, validity) = files::identity(cert, key)?;
    let versions: &[&SupportedProtocolVersion] = match options.min_version {
        Version::Tls12 => &[&version::TLS13, &version::TLS12],
        Version::Tls13 => &[&version::TLS13],
    };
    let whole = |error: rustls::Error| Unfit::new(Part::Whole, format!("TLS cannot be set up: {error}"), "report it");
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(versions).map_err(whole)?;
    let builder = match (&options.client_ca_file, options.client_auth) {
        (None, _) | (_, ClientAuth::Off) => builder.with_no_client_auth(),
        (Some(file), auth) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(files::authorities(file)?, provider());
            let verifier =
                if auth == ClientAuth::Optional { verifier.allow_unauthenticated() } else { verifier }.build();
            builder.with_client_cert_verifier(verifier.map_err(|error| {
                let what = format!("{} cannot be used: {error}", file.display());
                Unfit::new(Part::Authority, what, "name the file of those who sign the clients' certificates")
            })?)
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(identity)));
    // Sessions go on with what the client holds, and the keys for that end with these certificates.
    config.ticketer = ticketer().map_err(whole)?;
    Ok((Arc::new(config), validity))
}

fn ticketer() -> Result<Arc<dyn rustls::server::ProducesTickets>, rustls::Error> {
    #[cfg(feature = "aws-lc-rs")]
    return rustls::crypto::aws_lc_rs::Ticketer::new();
    #[cfg(not(feature = "aws-lc-rs"))]
    rustls::crypto::ring::Ticketer::new()
}
