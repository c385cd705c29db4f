//! The certificate of the server's port, for clients that speak only TLS.
//!
//! The certificate is self-signed for localhost and not one of an authority, so that its key can impersonate
//! nothing else at the clients that trust it.
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::{ToSpan, Zoned, civil::Date};
use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    private_file::{self, FileError},
    state_dir::{self, StateDirError},
};

/// The names of the port.
const NAMES: [&str; 2] = ["localhost", "127.0.0.1"];
/// The longest validity that Apple's systems accept.
const VALIDITY_DAYS: i64 = 825;
/// The age at which a certificate is replaced.
const MAX_AGE: Duration = Duration::from_secs(600 * 24 * 60 * 60);
/// WebSockets begin with a request of HTTP/1.1.
const PROTOCOL: &[u8] = b"http/1.1";

const BEGIN_CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";
/// The file with the key and the certificate.
const KEY_FILE: &str = "tls-key.pem";
/// The file with the certificate, which clients are told to trust.
const CERTIFICATE_FILE: &str = "tls-certificate.pem";

/// The key and then the certificate, as PEM.
pub struct TlsCertificate(String);

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("no TLS certificate can be made: {0}")]
    Generation(#[from] rcgen::Error),
    #[error("{} is not a key with its certificate: remove the file, and the server makes a new one", path.display())]
    Unusable { path: PathBuf },
    #[error("{0}")]
    State(#[from] StateDirError),
    #[error("{0}")]
    File(#[from] FileError),
}

impl TlsCertificate {
    /// A new certificate for the names of the port.
    pub fn generate() -> Result<Self, rcgen::Error> {
        let mut parameters = CertificateParams::new(NAMES.map(str::to_owned))?;
        parameters.distinguished_name.push(DnType::CommonName, "Parlance's local server");
        // A day earlier, because the date is that of the local time zone.
        let midnight =
            |date: Date| date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs());
        let begin = Zoned::now().date().saturating_sub(1.day());
        parameters.not_before = midnight(begin);
        parameters.not_after = midnight(begin.saturating_add(VALIDITY_DAYS.days()));
        let key = KeyPair::generate()?;
        let certificate = parameters.self_signed(&key)?;
        Ok(Self(key.serialize_pem() + &certificate.pem()))
    }

    /// The acceptor of connections with the certificate of a state folder; a new one if there is none, if it
    /// expires soon, or if nothing is kept. Clients find the certificate in the returned file.
    pub fn load(state: &Path, is_ephemeral: bool) -> Result<(TlsAcceptor, PathBuf), TlsError> {
        let (key_file, certificate_file) = (state.join(KEY_FILE), state.join(CERTIFICATE_FILE));
        let certificate = if is_ephemeral { Self::generate()? } else { Self::load_or_generate(&key_file)? };
        let acceptor = certificate.acceptor().ok_or(TlsError::Unusable { path: key_file })?;
        private_file::write(&certificate_file, certificate.certificate().as_bytes())?;
        Ok((acceptor, certificate_file))
    }

    fn load_or_generate(path: &Path) -> Result<Self, TlsError> {
        let Self(generated) = Self::generate()?;
        if expires_soon(path) {
            private_file::write(path, generated.as_bytes())?;
        }
        Ok(Self(state_dir::load_or_create_text(path, &generated)?))
    }

    /// `None` if there is no certificate, or if its key is another one.
    pub fn acceptor(&self) -> Option<TlsAcceptor> {
        let key = PrivateKeyDer::from_pem_slice(self.0.as_bytes()).ok()?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
        let mut config = config.with_no_client_auth().with_single_cert(vec![self.der()?], key).ok()?;
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Some(TlsAcceptor::from(Arc::new(config)))
    }

    pub fn der(&self) -> Option<CertificateDer<'static>> {
        CertificateDer::from_pem_slice(self.0.as_bytes()).ok()
    }

    /// The PEM without the key.
    fn certificate(&self) -> &str {
        self.0.find(BEGIN_CERTIFICATE).map_or("", |start| &self.0[start..])
    }
}

/// Whether the certificate of a file is to be replaced, by the age of the file.
fn expires_soon(path: &Path) -> bool {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    modified.is_ok_and(|modified| modified.elapsed().unwrap_or_default() > MAX_AGE)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn load(state: &Path, is_ephemeral: bool) -> (String, Option<String>) {
        let (_, certificate) = TlsCertificate::load(state, is_ephemeral).unwrap();
        (fs::read_to_string(certificate).unwrap(), fs::read_to_string(state.join(KEY_FILE)).ok())
    }

    #[test]
    fn certificate_is_kept_until_it_is_old() {
        let state = tempfile::tempdir().unwrap();
        let (certificate, key) = load(state.path(), false);
        assert!(certificate.starts_with(BEGIN_CERTIFICATE) && !certificate.contains("PRIVATE KEY"), "{certificate}");
        assert_eq!(load(state.path(), false), (certificate.clone(), key));
        let file = fs::File::options().write(true).open(state.path().join(KEY_FILE)).unwrap();
        file.set_modified(SystemTime::now() - MAX_AGE - Duration::from_secs(60)).unwrap();
        assert_ne!(load(state.path(), false).0, certificate);
    }

    #[test]
    fn ephemeral_key_is_not_written() {
        let state = tempfile::tempdir().unwrap();
        let (first, key) = load(state.path(), true);
        assert_eq!(key, None);
        assert_ne!(load(state.path(), true).0, first);
    }

    #[test]
    fn file_of_another_content_is_an_error_that_names_it() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join(KEY_FILE);
        let [TlsCertificate(first), TlsCertificate(second)] = [(); 2].map(|()| TlsCertificate::generate().unwrap());
        let (key, _) = first.split_at(first.find(BEGIN_CERTIFICATE).unwrap());
        let (_, certificate) = second.split_at(second.find(BEGIN_CERTIFICATE).unwrap());
        for content in ["key", key, certificate, &format!("{key}{certificate}")] {
            fs::write(&path, content).unwrap();
            let error = TlsCertificate::load(state.path(), false).err().unwrap().to_string();
            let reason = "is not a key with its certificate: remove the file, and the server makes a new one";
            assert_eq!(error, format!("{} {reason}", path.display()));
        }
    }
}
