//! Why a handshake failed, in words that say what to do.

use std::io;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

use super::NodeOptions;
use crate::net::Unopened;

/// What became of the first words of a client.
pub(super) fn of_hello(error: io::Error) -> Unopened {
    match reason(&error) {
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => Unopened::Plain,
        // Balancers connect to see whether they can.
        None if error.kind() == io::ErrorKind::UnexpectedEof => Unopened::Gone,
        _ => Unopened::Failed(error),
    }
}

/// A failed handshake with a node. The reason stays inside, for [`advice`].
pub(super) fn of_node(error: io::Error, options: &NodeOptions) -> io::Error {
    let Some(reason) = reason(&error) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                io::Error::new(error.kind(), "it closed the connection in the handshake of TLS")
            }
            _ => error,
        };
    };
    let text = match reason {
        Error::InvalidMessage(_) => "it does not speak TLS at this port".to_owned(),
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            let by = options.ca_file.as_ref().map_or("the system".to_owned(), |file| file.display().to_string());
            format!("its certificate is not signed by anybody whom {by} names")
        }
        other => format!("TLS: {other}"),
    };
    io::Error::new(error.kind(), Refused { text, reason: reason.clone() })
}

/// A handshake that failed.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct Refused {
    text: String,
    reason: Error,
}

/// What TLS itself says of an error.
fn reason(error: &io::Error) -> Option<&Error> {
    let inside = error.get_ref()?;
    inside.downcast_ref::<Error>().or_else(|| inside.downcast_ref::<Refused>().map(|refused| &refused.reason))
}

/// What to do about an error of a connection to a node, if it is one of TLS.
#[must_use]
pub fn advice(error: &io::Error) -> Option<&'static str> {
    Some(match reason(error)? {
        Error::InvalidMessage(_) => "name the node's tls-port, or leave cluster.tls off",
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "name the file of those who signed it in cluster.tls_ca_file"
        }
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => {
            "dial the nodes by a name or address in their certificates (subjectAltName; the common name does not count), \
             say in cluster.tls_server_name which name they have, or do without: cluster.tls_verify = \"chain\""
        }
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "renew the certificate of the node, and look at the clock of this machine"
        }
        Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateUnknown
            | AlertDescription::HandshakeFailure,
        ) => {
            "it wants a certificate from slotway: cluster.tls_cert_file and tls_key_file, signed by the node's \
             tls-ca-cert-file (or tls-auth-clients no at the node)"
        }
        Error::AlertReceived(AlertDescription::ProtocolVersion) => "it speaks only old versions of TLS: 1.2 is needed",
        Error::InvalidCertificate(CertificateError::Other(_)) => {
            "have its certificate made of version 3, with names in subjectAltName"
        }
        _ => "look at the node's certificate, and at its log",
    })
}
