//! Reads certificates, keys and authorities, and says what is wrong with them.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{Error as PemError, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::validity::{Validity, validity};
use super::{Part, Unfit, provider};

/// No file of certificates is larger, in bytes.
const MOST: u64 = 4 << 20;

/// A certificate with its key, and when it is valid.
pub(super) fn identity(cert: &Path, key: &Path) -> Result<(Arc<CertifiedKey>, Option<Validity>), Unfit> {
    let chain = certificates(cert, Part::Certificate)?;
    let dates = chain.first().and_then(|first| validity(first));
    let key_der = private_key(key)?;
    let signing = provider().key_provider.load_private_key(key_der).map_err(|error| {
        let what = format!("the key in {} cannot be used: {error}", key.display());
        Unfit::new(Part::Key, what, "use RSA of 2048 bits or more, ECDSA on P-256 or P-384, or Ed25519")
    })?;
    let certified = CertifiedKey::new(chain, signing);
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
        Err(rustls::Error::InconsistentKeys(_)) => {
            let what = format!("the key in {} does not belong to the certificate in {}", key.display(), cert.display());
            return Err(Unfit::new(Part::Key, what, "name the key that the certificate was made for"));
        }
        Err(error) => {
            let what = format!("the certificate in {} cannot be used: {error}", cert.display());
            return Err(Unfit::new(
                Part::Certificate,
                what,
                "have one made of version 3, with names in subjectAltName",
            ));
        }
    }
    Ok((Arc::new(certified), dates))
}

/// Whom a file makes trusted.
pub(super) fn authorities(file: &Path) -> Result<Arc<RootCertStore>, Unfit> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file, Part::Authority)? {
        roots.add(certificate).map_err(|error| {
            let what = format!("a certificate in {} is no authority: {error}", file.display());
            Unfit::new(Part::Authority, what, "name the file of those who sign, not of what they have signed")
        })?;
    }
    Ok(Arc::new(roots))
}

/// Whom the system trusts.
pub(super) fn system_authorities() -> Result<Arc<RootCertStore>, Unfit> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Systems hold some that are too old to be read; what counts is that there are others.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let what = "this system trusts no authority: there are none where they are looked for";
        return Err(Unfit::new(Part::Authority, what, "name the file of those who signed the nodes' certificates"));
    }
    Ok(Arc::new(roots))
}

fn certificates(file: &Path, part: Part) -> Result<Vec<CertificateDer<'static>>, Unfit> {
    let text = content(file, part)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => {
            let what = format!("there is no certificate in {}", file.display());
            Err(Unfit::new(part, what, "name a file in PEM, with -----BEGIN CERTIFICATE-----"))
        }
        Err(error) => {
            let what = format!("{} is not to be read as PEM: {error}", file.display());
            Err(Unfit::new(part, what, "name a file in PEM, with -----BEGIN CERTIFICATE-----"))
        }
    }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, Unfit> {
    let text = content(file, Part::Key)?;
    match PrivateKeyDer::from_pem_slice(&text) {
        Ok(key) => Ok(key),
        Err(PemError::NoItemsFound) if String::from_utf8_lossy(&text).contains("BEGIN ENCRYPTED PRIVATE KEY") => {
            let what = format!("the key in {} is encrypted", file.display());
            Err(Unfit::new(Part::Key, what, "store it without a passphrase, readable by this user alone"))
        }
        Err(PemError::NoItemsFound) => {
            let what = format!("there is no private key in {}", file.display());
            Err(Unfit::new(Part::Key, what, "name a file in PEM, with -----BEGIN PRIVATE KEY-----"))
        }
        Err(error) => {
            let what = format!("{} is not to be read as PEM: {error}", file.display());
            Err(Unfit::new(Part::Key, what, "name a file in PEM, with -----BEGIN PRIVATE KEY-----"))
        }
    }
}

fn content(file: &Path, part: Part) -> Result<Vec<u8>, Unfit> {
    let mut text = Vec::new();
    let read = std::fs::File::open(file).and_then(|opened| opened.take(MOST).read_to_end(&mut text));
    read.map_err(|error| {
        let what = format!("cannot read {}: {error}", file.display());
        Unfit::new(part, what, "name a file that this user may read")
    })?;
    Ok(text)
}
