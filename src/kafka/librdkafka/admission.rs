//! Being let in by the brokers: what their refusals look like, and what to do about them.

/// Whether a connection failed because the broker does not accept our side of TLS: with TLS 1.3 it says so only
/// when the client takes itself for connected, and the client takes that for a passing failure.
pub(crate) fn is_tls_refusal(text: &str) -> bool {
    // RFC 8446, section 6: an error inside the broker (80), and one that is none, may pass.
    tls_alert(text).is_some_and(|number| !matches!(number, 0 | 80 | 90))
}

/// The number of the alert that OpenSSL's error text names.
fn tls_alert(text: &str) -> Option<u8> {
    let (_, rest) = text.split_once("SSL alert number ")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// What to check when the brokers refused us, or we them, for this reason.
pub(crate) fn way_out(reason: &str) -> &'static str {
    // The second words are our own client's.
    if tls_alert(reason).is_some() || reason.contains("refuses the connection with alert") {
        "check --tls-cert and --tls-key: the brokers may ask for a certificate, or for another one"
    } else if reason.contains("certificate verify failed: it has expired") {
        "have the broker's certificate renewed, or set this machine's clock"
    } else if reason.contains("certificate verify failed: it is another host's") {
        "name brokers as their certificates do, in --brokers and in their advertised.listeners"
    } else if reason.contains("certificate verify failed") {
        "give the authority that signed the brokers' certificates with --tls-ca, and name brokers as they do"
    } else if reason.contains("SSL") || reason.contains("TLS") {
        "check --enable-tls and the certificates"
    } else if reason.contains("ILLEGAL_SASL_STATE") || reason.contains("not valid in current SASL state") {
        "this port does not ask who comes: leave out --username, or name the port of a SASL listener"
    } else {
        "check user, password and --sasl-mechanism"
    }
}

/// What else a complaint may mean.
pub(crate) fn hint(complaint: &str) -> &'static str {
    // Brokers that want TLS hang up on the first question that comes without, and those that want to know who asks on the
    // first one behind that.
    let has_name = complaint.starts_with("sasl");
    if !complaint.contains("Disconnected") {
        ""
    } else if complaint.contains("in state APIVERSION_QUERY") {
        "; does it want --enable-tls?"
    } else if complaint.contains("in state UP") && !has_name {
        "; does it want --username?"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_are_refusals_unless_they_may_pass() {
        let text = |number| {
            format!(
                "ssl://b: Receive failed: error:0A000412:SSL routines::x: SSL alert number {number} (after 1ms)"
            )
        };
        assert!(is_tls_refusal(&text(42)) && is_tls_refusal(&text(116)));
        assert!(!is_tls_refusal(&text(80)) && !is_tls_refusal("Receive failed: Disconnected"));
        assert!(!is_tls_refusal("SSL alert number x"));
        assert!(way_out(&text(42)).contains("--tls-cert"));
    }

    #[test]
    fn the_way_out_fits_the_reason() {
        let untrusted = "SSL handshake failed: SSL routines::certificate verify failed: broker certificate";
        assert!(way_out(untrusted).contains("--tls-ca"));
        assert!(
            hint("b: Disconnected: connection reset by peer (after 1ms in state APIVERSION_QUERY)")
                .contains("tls")
        );
        let nameless =
            "ssl://b/bootstrap: Disconnected: SSL connection closed by peer (after 0ms in state UP)";
        assert!(hint(nameless).contains("--username"));
        assert_eq!(hint(&nameless.replace("ssl://", "sasl_ssl://")), "", "it has one");
        assert_eq!(hint("b: Connect to 127.0.0.1:1 failed: Connection refused"), "");
        for (reason, way) in [
            (
                "TLS: certificate verify failed: nobody whom we trust has signed it (UnknownIssuer)",
                "--tls-ca",
            ),
            ("TLS: certificate verify failed: it has expired (…)", "clock"),
            ("TLS: certificate verify failed: it is another host's (…)", "advertised.listeners"),
            ("TLS: the broker refuses the connection with alert 116, CertificateRequired", "--tls-cert"),
            ("TLS handshake failed: the broker closed the connection", "--enable-tls"),
            ("SASL: the broker does not take PLAIN; it takes OAUTHBEARER", "--sasl-mechanism"),
            ("SASL: ILLEGAL_SASL_STATE", "leave out --username"),
            ("SaslHandshakeRequest failed: Broker: Request not valid in current SASL state", "SASL listener"),
        ] {
            assert!(way_out(reason).contains(way), "{reason}");
        }
        assert!(way_out("SASL authentication error: Authentication failed").contains("password"));
        let alert = "TLS: the broker refuses the connection with alert 42, BadCertificate";
        assert!(way_out(alert).contains("--tls-cert"));
        assert!(way_out("TLS handshake failed: eof").contains("--enable-tls"));
    }
}
