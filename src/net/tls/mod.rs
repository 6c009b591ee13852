//! TLS on both sides: what clients are shown, what nodes have to show, and the files that both come from.
//!
//! ```text
//!   files ─► read ─► kept (the configuration in use, replaced as a whole when files change)
//!                     │
//!        clients ─► server: a Gate before each accepted connection ─┐
//!                                                                   ├─► Stream::Tls (sealed)
//!          nodes ─► nodes: a Net that seals what another Net opens ─┘
//! ```
//!
//! The protocol is that of rustls. A bad file never takes the place of a good one; what is read at the start must be
//! good. Connections that are there stay as they are when certificates change: only new ones see the new.

mod files;
mod kept;
mod nodes;
mod refusal;
mod server;
mod validity;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;

pub use nodes::{Nodes, Secured};
pub use refusal::advice;
pub use server::{Guarded, Server};
pub use validity::{Validity, validity};

/// What a listener shows to clients and asks of them. Each field is a key of `[listen]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerOptions {
    /// `tls_cert_file`: the certificate, and those between it and its authority. TLS is spoken when there is one.
    pub cert_file: Option<PathBuf>,
    /// `tls_key_file`: its private key.
    pub key_file: Option<PathBuf>,
    /// `tls_client_ca_file`: who signs the certificates of clients.
    pub client_ca_file: Option<PathBuf>,
    /// `tls_client_auth`: whether clients have to show one.
    pub client_auth: ClientAuth,
    /// `tls_min_version`: what clients have to speak.
    pub min_version: Version,
    /// `tls_handshake_timeout`: how long a client may take to get through.
    pub handshake_timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            cert_file: None,
            key_file: None,
            client_ca_file: None,
            client_auth: ClientAuth::Require,
            min_version: Version::Tls12,
            handshake_timeout: Duration::from_secs(10),
        }
    }
}

impl ServerOptions {
    /// Whether TLS is spoken.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.cert_file.is_some()
    }

    /// Whether nobody gets in without a certificate.
    #[must_use]
    pub fn wants_certificates(&self) -> bool {
        self.is_on() && self.client_ca_file.is_some() && self.client_auth == ClientAuth::Require
    }
}

/// Whether clients show a certificate of their own, where there is an authority to tell good ones by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// They are not asked.
    Off,
    /// They may; a bad one is refused.
    Optional,
    /// They must.
    #[default]
    Require,
}

/// The oldest version that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// 1.2 and 1.3.
    #[default]
    Tls12,
    /// 1.3 alone.
    Tls13,
}

/// How nodes are spoken to. Each field is a key of `[cluster]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeOptions {
    /// `tls`: whether at all.
    pub on: bool,
    /// `tls_ca_file`: who signs the nodes' certificates; without it, whom the system trusts.
    pub ca_file: Option<PathBuf>,
    /// `tls_cert_file`: what the proxy shows to nodes that ask.
    pub cert_file: Option<PathBuf>,
    /// `tls_key_file`: its private key.
    pub key_file: Option<PathBuf>,
    /// `tls_server_name`: the name that the certificates of all nodes have to bear, in place of the host dialled.
    pub server_name: Option<String>,
    /// `tls_verify`: what of a node's certificate is checked.
    pub verify: Verify,
}

/// What of a node's certificate is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// Who signed it, when it is valid, and whom it is for.
    #[default]
    Full,
    /// All but whom it is for.
    Chain,
    /// Nothing.
    Off,
}

/// Which file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The proxy's own certificate.
    Certificate,
    /// Its private key.
    Key,
    /// The authority that others' certificates are told by.
    Authority,
    /// None: what they are to make together.
    Whole,
}

/// Why files cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Unfit {
    /// Which one is to blame.
    pub part: Part,
    /// What is wrong with it.
    pub what: String,
    /// What to do.
    pub instead: &'static str,
}

impl Unfit {
    fn new(part: Part, what: impl Into<String>, instead: &'static str) -> Self {
        Self { part, what: what.into(), instead }
    }
}

/// Certificates in use, whoever they are shown to.
pub trait Certificates: Send + Sync {
    /// Reads the files anew. What is in use stays if they are bad, or over at `now`, in seconds since 1970.
    fn reload(&self, now: u64) -> Result<(), Unfit>;
    /// Reads them if they have changed since they were last read; `None` if not.
    fn look(&self, now: u64) -> Option<Result<(), Unfit>>;
    /// The file of the certificate; `None` if only others' are checked.
    fn file(&self) -> Option<&Path>;
    /// When the certificate in use is valid.
    fn validity(&self) -> Option<Validity>;
    /// How often it was replaced, and how often its files were bad.
    fn reloads(&self) -> (u64, u64);
}

/// The cryptography that was built in.
fn provider() -> Arc<CryptoProvider> {
    #[cfg(feature = "aws-lc-rs")]
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    #[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
    let provider = rustls::crypto::ring::default_provider();
    #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
    compile_error!("TLS needs one of the features \"ring\" (the default) and \"aws-lc-rs\"");
    Arc::new(provider)
}

/// The name of the cryptography that was built in.
#[must_use]
pub const fn provider_name() -> &'static str {
    if cfg!(feature = "aws-lc-rs") { "aws-lc-rs" } else { "ring" }
}
