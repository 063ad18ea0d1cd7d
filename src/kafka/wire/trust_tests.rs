use std::{fs, path::PathBuf};

use super::{
    kit::{Authority, self_signed},
    *,
};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn written(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

fn error(tls: &config::Tls) -> String {
    Tls::read(tls, Checks::All).unwrap_err().to_string()
}

#[test]
fn files_that_cannot_be_used_are_named_with_the_reason() {
    let (folder, authority) = (folder(), Authority::new());
    let (certificate, key) = authority.sign(&["c"]);
    let certificate = written(&folder, "own.crt", &certificate);
    let key = written(&folder, "own.key", &key);
    let garbage = written(&folder, "garbage.pem", "garbage");
    let (_, another) = authority.sign(&["d"]);
    let another = written(&folder, "another.key", &another);
    let label = "ENCRYPTED PRIVATE KEY";
    let encrypted =
        written(&folder, "locked.key", &format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n"));
    let ca = written(&folder, "ca.crt", &authority.pem());
    let with_ca = |ca: &PathBuf| config::Tls { ca: Some(ca.clone()), ..config::Tls::default() };
    let with_own = |certificate: &PathBuf, key: &PathBuf| config::Tls {
        own: Some((certificate.clone(), key.clone())),
        ..with_ca(&ca)
    };
    for (tls, flag, file, reason) in [
        (with_ca(&garbage), "--tls-ca", &garbage, "no PEM certificate"),
        (with_ca(&folder.path().join("none")), "--tls-ca", &folder.path().join("none"), "No such file"),
        (with_own(&garbage, &key), "--tls-cert", &garbage, "no PEM certificate"),
        (with_own(&certificate, &certificate), "--tls-key", &certificate, "no PEM key"),
        (with_own(&certificate, &another), "--tls-key", &another, "not the key of the certificate"),
        (with_own(&certificate, &encrypted), "--tls-key", &encrypted, "it is encrypted"),
    ] {
        let text = error(&tls);
        let begin = format!("{flag} {}: ", file.display());
        assert!(text.starts_with(&begin) && text.contains(reason), "{text}");
    }
    assert!(Tls::read(&with_own(&certificate, &key), Checks::All).is_ok());
}

#[test]
fn whoever_it_is_needs_no_authority() {
    let nobody = config::Tls { skip_verify: true, ..config::Tls::default() };
    assert!(Tls::read(&nobody, Checks::Nothing).is_ok());
}

fn verdict(checks: Checks, by: &Authority, host: &str) -> Result<ServerCertVerified, Error> {
    let (folder, authority) = (folder(), Authority::new());
    let ca = written(&folder, "ca.crt", &(authority.pem() + &by.pem()));
    let verifier = Verifier::new(Some(&ca), checks, Arc::new(ring::default_provider())).unwrap();
    let (certificate, _) = by.sign(&["here"]);
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let host = ServerName::try_from(host.to_owned()).unwrap();
    verifier.verify_server_cert(&certificate, &[], &host, &[], UnixTime::now())
}

#[test]
fn any_authority_of_the_file_is_one_and_names_count_unless_they_do_not() {
    let by = Authority::new();
    assert!(verdict(Checks::All, &by, "here").is_ok());
    assert!(verdict(Checks::All, &by, "there").is_err());
    assert!(verdict(Checks::Signer, &by, "there").is_ok());
    assert!(verdict(Checks::Nothing, &by, "there").is_ok());
}

/// What `openssl req -x509` makes: an authority's own, which a broker shows.
#[test]
fn a_certificate_that_brokers_sign_themselves_is_trusted_by_name_only() {
    let (folder, other) = (folder(), Authority::new());
    let host = || ServerName::try_from("here").unwrap();
    let verdict = |ca: &str, shown: &str, host: ServerName<'_>| {
        let ca = written(&folder, "ca.crt", ca);
        let verifier = Verifier::new(Some(&ca), Checks::All, Arc::new(ring::default_provider())).unwrap();
        let shown = CertificateDer::from_pem_slice(shown.as_bytes()).unwrap();
        verifier.verify_server_cert(&shown, &[], &host, &[], UnixTime::now())
    };
    let own = self_signed("here", 2100);
    assert!(verdict(&own, &own, host()).is_ok());
    assert!(verdict(&(other.pem() + &own), &own, host()).is_ok(), "wherever in the file");
    assert!(verdict(&other.pem(), &own, host()).is_err(), "nobody trusts it");
    let elsewhere = verdict(&own, &own, ServerName::try_from("there").unwrap()).unwrap_err();
    assert!(elsewhere.to_string().contains("not valid for name"), "{elsewhere}");
    let over = self_signed("here", 2002);
    let error = verdict(&over, &over, host()).unwrap_err();
    assert!(error.to_string().contains("expired"), "{error}");
}
