//! Whom we trust and what we show of ourselves: certificates and keys, read once for a client.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};

use crate::{config, kafka::ClientError};

/// What is looked at in a broker's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checks {
    /// Who has signed it, and whether it is this host's.
    All,
    /// Who has signed it.
    Signer,
    /// Nothing.
    Nothing,
}

/// TLS, as a run's settings have it. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// One that cannot be used, by its name.
    pub(super) fn read(tls: &config::Tls, checks: Checks) -> Result<Self, ClientError> {
        let provider = Arc::new(ring::default_provider());
        let verifier = Verifier::new(tls.ca.as_deref(), checks, provider.clone())?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| ClientError::Start(format!("TLS: {error}")))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let config = match &tls.own {
            None => builder.with_no_client_auth(),
            Some((certificate, key_file)) => {
                let (chain, key) = (certificates("--tls-cert", certificate)?, key("--tls-key", key_file)?);
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| unusable("--tls-key", key_file, &own_refused(&error)))?
            }
        };
        Ok(Self(Arc::new(config)))
    }

    /// For a connection.
    pub(super) fn config(&self) -> &Arc<ClientConfig> {
        &self.0
    }
}

fn own_refused(error: &Error) -> String {
    match error {
        Error::InconsistentKeys(_) => "it is not the key of the certificate in --tls-cert".to_owned(),
        error => format!("{error}; keys are ECDSA (P-256, P-384), Ed25519 or RSA from 2048 bits"),
    }
}

fn unusable(flag: &'static str, path: &Path, reason: &str) -> ClientError {
    ClientError::File { flag, path: path.to_owned(), reason: reason.to_owned() }
}

fn text(flag: &'static str, path: &Path) -> Result<Vec<u8>, ClientError> {
    fs::read(path).map_err(|error| unusable(flag, path, &error.to_string()))
}

/// All certificates of a file.
fn certificates(flag: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let text = text(flag, path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match all {
        Ok(all) if all.is_empty() => Err(unusable(flag, path, "there is no PEM certificate in it")),
        Ok(all) => Ok(all),
        Err(error) => Err(unusable(flag, path, &error.to_string())),
    }
}

fn key(flag: &'static str, path: &Path) -> Result<PrivateKeyDer<'static>, ClientError> {
    let text = text(flag, path)?;
    let is_encrypted = text.windows(9).any(|word| word == b"ENCRYPTED");
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        _ if is_encrypted => unusable(
            flag,
            path,
            "it is encrypted, and only --client librdkafka takes such a key, with -X ssl.key.password",
        ),
        rustls::pki_types::pem::Error::NoItemsFound => unusable(flag, path, "there is no PEM key in it"),
        error => unusable(flag, path, &error.to_string()),
    })
}

/// The authorities in this file, or those that the system trusts; and the certificates in the file, as they are.
fn authorities(file: Option<&Path>) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), ClientError> {
    let mut store = RootCertStore::empty();
    if let Some(path) = file {
        let named = certificates("--tls-ca", path)?;
        for certificate in &named {
            let added = store.add(certificate.clone());
            added.map_err(|error| unusable("--tls-ca", path, &error.to_string()))?;
        }
        return Ok((store, named));
    }
    let all = of_system().into_iter().filter_map(|path| fs::read(path).ok());
    for text in all {
        // Systems have some that are too old for anybody.
        store.add_parsable_certificates(CertificateDer::pem_slice_iter(&text).flatten());
    }
    if store.is_empty() {
        let why = "this system has no certificates of authorities: install them (ca-certificates), or give --tls-ca";
        return Err(ClientError::Start(why.to_owned()));
    }
    Ok((store, Vec::new()))
}

/// The files in which this system keeps the authorities: all in one, or one in each.
fn of_system() -> Vec<PathBuf> {
    let found = openssl_probe::probe();
    if let Some(file) = found.cert_file {
        return vec![file];
    }
    let folders = found.cert_dir.into_iter().filter_map(|folder| fs::read_dir(folder).ok());
    folders.flatten().flatten().map(|entry| entry.path()).collect()
}

/// Looks at brokers' certificates.
#[derive(Debug)]
struct Verifier {
    /// `None`: whoever it is.
    inner: Option<Arc<WebPkiServerVerifier>>,
    /// What the user trusts by name.
    named: Vec<CertificateDer<'static>>,
    checks: Checks,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn new(ca: Option<&Path>, checks: Checks, provider: Arc<CryptoProvider>) -> Result<Self, ClientError> {
        // One that is given has to be one also where nobody looks at it.
        let (roots, named) = match checks {
            Checks::Nothing if ca.is_none() => (RootCertStore::empty(), Vec::new()),
            _ => authorities(ca)?,
        };
        let inner = if checks == Checks::Nothing {
            None
        } else {
            let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
            Some(builder.build().map_err(|error| ClientError::Start(format!("TLS: {error}")))?)
        };
        Ok(Self { inner, named, checks, provider })
    }

    /// Whether a certificate that was refused is one that the user trusts by name and that is an authority's as well, as
    /// those are that brokers sign themselves. That it is not over by now was looked at before that.
    fn is_named(&self, certificate: &CertificateDer<'_>, refusal: &Error) -> bool {
        matches!(refusal, Error::InvalidCertificate(error) if error.to_string().contains("CaUsedAsEndEntity"))
            && self.named.contains(certificate)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(inner) = &self.inner else { return Ok(ServerCertVerified::assertion()) };
        let verdict =
            match inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
                Err(error) if self.is_named(end_entity, &error) => {
                    let parsed = ParsedCertificate::try_from(end_entity)?;
                    verify_server_name(&parsed, server_name).map(|()| ServerCertVerified::assertion())
                }
                verdict => verdict,
            };
        match verdict {
            // The name is looked at last.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.checks == Checks::Signer => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
#[path = "trust_kit.rs"]
pub(super) mod kit;
#[cfg(test)]
#[path = "trust_tests.rs"]
mod tests;
