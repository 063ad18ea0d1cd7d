//! An authority of a test's own, and both sides that trust it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig, ServerConnection,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

use super::{Checks, Tls, Verifier};

/// Signs whatever it is shown.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

fn parsed(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

impl Authority {
    pub(crate) fn new() -> Self {
        // Two of one name would be told apart by their signatures only.
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let mut params = CertificateParams::default();
        let name = format!("authority {}", COUNT.fetch_add(1, Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    pub(crate) fn pem(&self) -> String {
        self.pem.clone()
    }

    /// A certificate for these names, and its key.
    pub(crate) fn sign(&self, names: &[&str]) -> (String, String) {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        self.finish(&CertificateParams::new(names).unwrap())
    }

    fn finish(&self, params: &CertificateParams) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    pub(crate) fn expired_server(&self) -> ServerConnection {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
        serving(&self.finish(&params), None)
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(parsed(&self.pem)).unwrap();
        roots
    }
}

/// An authority's own certificate for this host, until the end of that year.
pub(crate) fn self_signed(host: &str, year: i32) -> String {
    let mut params = CertificateParams::new([host.to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_before = date_time_ymd(2001, 1, 1);
    params.not_after = date_time_ymd(year, 12, 31);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
}

/// A server with these names, which may ask for a certificate that somebody has signed.
pub(crate) fn server(authority: &Authority, names: &[&str], asks: Option<&Authority>) -> ServerConnection {
    serving(&authority.sign(names), asks)
}

fn serving((certificate, key): &(String, String), asks: Option<&Authority>) -> ServerConnection {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let builder = match asks {
        None => builder.with_no_client_auth(),
        Some(authority) => builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(Arc::new(authority.roots()), provider)
                .build()
                .unwrap(),
        ),
    };
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    ServerConnection::new(Arc::new(builder.with_single_cert(vec![parsed(certificate)], key).unwrap()))
        .unwrap()
}

/// A client that trusts somebody, and may have a certificate of its own.
pub(crate) fn client(trusts: Option<&Authority>, is: Option<&Authority>) -> Arc<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let (folder, mut verifier) = (tempfile::tempdir().unwrap(), None);
    if let Some(authority) = trusts {
        let file = folder.path().join("ca.crt");
        std::fs::write(&file, authority.pem()).unwrap();
        verifier = Some(Verifier::new(Some(&file), Checks::All, provider.clone()).unwrap());
    }
    let verifier =
        verifier.unwrap_or_else(|| Verifier::new(None, Checks::Nothing, provider.clone()).unwrap());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    Arc::new(match is {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let (certificate, key) = authority.sign(&["client"]);
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            builder.with_client_auth_cert(vec![parsed(&certificate)], key).unwrap()
        }
    })
}

/// The same as clients have it.
pub(crate) fn trusting(authority: &Authority) -> Tls {
    Tls(client(Some(authority), None))
}
