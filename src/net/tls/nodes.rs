//! TLS towards nodes: a network that seals every connection that another network opens.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::{TlsConnector, TlsStream};

use super::kept::{Kept, Made};
use super::{Certificates, NodeOptions, Part, Unfit, Verify, files, provider, refusal};
use crate::net::{Addr, Listener, LocalFuture, Net, Stream};

/// What nodes are shown, and what they have to show.
pub struct Nodes {
    options: NodeOptions,
    name: Option<ServerName<'static>>,
    kept: Arc<Kept<ClientConfig>>,
}

impl Nodes {
    /// Reads the files of `options`, which must be good.
    pub fn new(options: &NodeOptions) -> Result<Self, Unfit> {
        let name = match &options.server_name {
            None => None,
            Some(name) => Some(ServerName::try_from(name.clone()).map_err(|_| {
                let what = format!("\"{name}\" cannot be the name of a server");
                Unfit::new(Part::Whole, what, "write the name or address that the nodes' certificates are for")
            })?),
        };
        let made_of = options.clone();
        let others: [Option<PathBuf>; 2] = [options.key_file.clone(), options.ca_file.clone()];
        let make = Box::new(move || make(&made_of));
        let kept = Kept::new(options.cert_file.clone(), others.into_iter().flatten(), make)?;
        Ok(Self { options: options.clone(), name, kept: Arc::new(kept) })
    }

    /// The certificates in use.
    #[must_use]
    pub fn certificates(&self) -> Arc<dyn Certificates> {
        Arc::clone(&self.kept) as Arc<dyn Certificates>
    }

    /// Shakes hands with the node at `host` on a connection to it.
    async fn seal(&self, stream: Stream, host: &str) -> io::Result<Stream> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.to_owned()).map_err(|_| {
                io::Error::new(io::ErrorKind::InvalidInput, format!("no certificate can be for the name \"{host}\""))
            })?,
        };
        let connecting = TlsConnector::from(self.kept.get()).connect(name, stream);
        let sealed = connecting.await.map_err(|error| refusal::of_node(error, &self.options))?;
        Ok(Stream::sealed(TlsStream::Client(sealed)))
    }
}

/// A network to the nodes on which every connection is sealed; Unix sockets stay as they are.
pub struct Secured {
    net: Arc<dyn Net>,
    nodes: Arc<Nodes>,
}

impl Secured {
    /// Seals what `net` opens.
    #[must_use]
    pub fn new(net: Arc<dyn Net>, nodes: Arc<Nodes>) -> Self {
        Self { net, nodes }
    }
}

impl Net for Secured {
    fn connect<'a>(&'a self, to: &'a Addr) -> LocalFuture<'a, io::Result<Stream>> {
        Box::pin(async move {
            let stream = self.net.connect(to).await?;
            match to {
                Addr::Unix(_) => Ok(stream),
                Addr::Tcp { host, .. } => self.nodes.seal(stream, host).await,
            }
        })
    }

    fn listen(&self, at: &Addr) -> io::Result<Box<dyn Listener>> {
        self.net.listen(at)
    }
}

fn make(options: &NodeOptions) -> Result<Made<ClientConfig>, Unfit> {
    let whole = |error: rustls::Error| Unfit::new(Part::Whole, format!("TLS cannot be set up: {error}"), "report it");
    let builder =
        ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().map_err(whole)?;
    let roots = || options.ca_file.as_deref().map_or_else(files::system_authorities, files::authorities);
    let builder = match options.verify {
        Verify::Full => builder.with_root_certificates(roots()?),
        Verify::Chain => builder.dangerous().with_custom_certificate_verifier(Lenient::new(Some(roots()?))),
        Verify::Off => builder.dangerous().with_custom_certificate_verifier(Lenient::new(None)),
    };
    let (config, validity) = match (&options.cert_file, &options.key_file) {
        (None, None) => (builder.with_no_client_auth(), None),
        (Some(cert), Some(key)) => {
            let (identity, validity) = files::identity(cert, key)?;
            (builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity))), validity)
        }
        _ => return Err(Unfit::new(Part::Whole, "a certificate and its key belong together", "name both files")),
    };
    Ok((Arc::new(config), validity))
}

/// Checks less than it should, because the configuration says so. That the node has the key of the certificate
/// that it shows is checked always.
#[derive(Debug)]
struct Lenient {
    /// Who may have signed; `None` is anybody.
    roots: Option<Arc<RootCertStore>>,
    provider: Arc<CryptoProvider>,
}

impl Lenient {
    fn new(roots: Option<Arc<RootCertStore>>) -> Arc<Self> {
        Arc::new(Self { roots, provider: provider() })
    }
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(roots) = &self.roots {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, algorithms)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
