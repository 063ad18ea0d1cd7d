//! Certificates, made anew for each run of the tests.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

/// A private authority, whom nobody trusts by himself, and the files that it has signed.
pub struct Pki {
    folder: PathBuf,
}

impl Pki {
    /// Writes everything into a folder.
    pub fn make(folder: &Path) -> Self {
        let pki = Self { folder: folder.to_owned() };
        let authority = pki.authority("ca");
        pki.sign(&authority, "broker", ExtendedKeyUsagePurpose::ServerAuth);
        pki.sign(&authority, Self::CLIENT, ExtendedKeyUsagePurpose::ClientAuth);
        // Another authority, which has signed nothing that anybody shows.
        let stranger = pki.authority("stranger");
        pki.sign(&stranger, "impostor", ExtendedKeyUsagePurpose::ClientAuth);
        let mut expired = params("expired");
        expired.not_before = date_time_ymd(2001, 1, 1);
        expired.not_after = date_time_ymd(2002, 1, 1);
        pki.put(&authority, "expired", &expired);
        let elsewhere = CertificateParams::new(["elsewhere.example".to_owned()]).expect("names");
        pki.put(&authority, "elsewhere", &elsewhere);
        pki
    }

    /// The client's name in its certificate.
    pub const CLIENT: &'static str = "proofload-tests";

    pub fn ca(&self) -> String {
        self.file("ca.crt")
    }

    pub fn strange_ca(&self) -> String {
        self.file("stranger.crt")
    }

    /// Certificate and key of the client.
    pub fn client(&self) -> (String, String) {
        (self.file("proofload-tests.crt"), self.file("proofload-tests.key"))
    }

    /// Those of somebody whom the broker does not trust.
    pub fn impostor(&self) -> (String, String) {
        (self.file("impostor.crt"), self.file("impostor.key"))
    }

    /// Key and certificate of the broker in one file, as Kafka wants them.
    pub fn broker(&self) -> String {
        self.file("broker.pem")
    }

    /// Key and certificate of a broker whose time is over.
    pub fn expired(&self) -> String {
        self.file("expired.pem")
    }

    /// Those of a broker that is on another host.
    pub fn elsewhere(&self) -> String {
        self.file("elsewhere.pem")
    }

    fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn authority(&self, name: &str) -> Issuer<'static, KeyPair> {
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        self.write(&format!("{name}.crt"), &certificate.pem());
        Issuer::new(params, key)
    }

    fn sign(&self, authority: &Issuer<'_, KeyPair>, name: &str, purpose: ExtendedKeyUsagePurpose) {
        let mut params = params(name);
        params.extended_key_usages = vec![purpose];
        self.put(authority, name, &params);
    }

    fn put(&self, authority: &Issuer<'_, KeyPair>, name: &str, params: &CertificateParams) {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, authority).expect("a certificate").pem();
        let key = key.serialize_pem();
        self.write(&format!("{name}.pem"), &format!("{key}{certificate}"));
        self.write(&format!("{name}.crt"), &certificate);
        self.write(&format!("{name}.key"), &key);
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.join(name), text).expect("a file");
    }
}

fn params(name: &str) -> CertificateParams {
    let names = ["127.0.0.1", "localhost"].map(str::to_owned);
    let mut params = CertificateParams::new(names).expect("names");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
