//! What librdkafka says in its log of connections that fail, taken apart (2.12.1).

use crate::{
    findings::{ComplaintKind, Heard},
    kafka::blame::describe,
};

use super::admission;

/// What a line of the log complains of, if it is something that may explain what goes on.
pub(crate) fn heard(line: &str) -> Option<Heard> {
    let line = without_thread(line);
    let (name, rest) = line.split_once(": ")?;
    // Coordinators are logical brokers: their address comes next.
    let (name, rest) = if name.ends_with("Coordinator") { rest.split_once(": ")? } else { (name, rest) };
    let Said { text, state, count } = said(rest);
    let broker = Broker::of(name);
    let kind = kind(text, state)?;
    let (words, remedy) = describe(kind, &broker.address, broker.id.as_deref(), text);
    let is_denied = kind == ComplaintKind::Authentication
        || admission::is_tls_refusal(text)
        || text.contains("certificate verify failed");
    Some(Heard { kind, broker: broker.address, words, remedy, is_denied, count })
}

/// The text behind librdkafka's `[thrd:…]: ` prefix.
pub(crate) fn without_thread(text: &str) -> &str {
    text.strip_prefix("[thrd:").and_then(|rest| rest.split_once("]: ")).map_or(text, |(_, rest)| rest)
}

/// A broker's address in the form that people write: an IPv6 address has brackets, which the client leaves out.
pub(crate) fn address(text: &str) -> String {
    match text.rsplit_once(':') {
        Some((host, port)) if host.contains(':') && !host.starts_with('[') => format!("[{host}]:{port}"),
        _ => text.to_owned(),
    }
}

struct Broker {
    /// `host:port`.
    address: String,
    /// Its id, where the cluster has named it.
    id: Option<String>,
}

impl Broker {
    /// Of a name like `sasl_ssl://host:9092/1`, or with `bootstrap` for the id.
    fn of(name: &str) -> Self {
        let name = name.split_once("://").map_or(name, |(_, rest)| rest);
        let (name, id) = name.split_once('/').map_or((name, None), |(name, id)| (name, Some(id)));
        let id = id.filter(|id| id.bytes().all(|digit| digit.is_ascii_digit())).map(str::to_owned);
        Self { address: address(name), id }
    }
}

/// A complaint without what differs each time.
struct Said<'a> {
    text: &'a str,
    /// The state of the connection.
    state: &'a str,
    /// How often, with those that were kept back.
    count: u64,
}

fn said(text: &str) -> Said<'_> {
    let Some((text, extra)) = text.rsplit_once(" (after ") else { return Said { text, state: "", count: 1 } };
    let state = extra.split_once(" in state ").map_or("", |(_, rest)| rest);
    let state = state.split([',', ')']).next().unwrap_or_default();
    let kept_back =
        extra.split_once(", ").and_then(|(_, rest)| rest.split_once(" identical error(s) suppressed"));
    let kept_back: u64 = kept_back.and_then(|(count, _)| count.parse().ok()).unwrap_or(0);
    Said { text, state, count: 1 + kept_back }
}

fn kind(text: &str, state: &str) -> Option<ComplaintKind> {
    let has = |word: &str| text.contains(word);
    let is_trust = has("certificate") || has("SSL handshake failed") || admission::is_tls_refusal(text);
    Some(if has("Too many open files") {
        ComplaintKind::Descriptors
    } else if has("Invalid response size") {
        ComplaintKind::TooLarge
    } else if has("Failed to resolve") {
        ComplaintKind::Resolution
    } else if is_trust {
        ComplaintKind::Trust
    } else if has("Disconnected") || has("Connection reset") || has("Broken pipe") {
        // One that was of use may go with its broker.
        (state != "UP" && !state.is_empty()).then_some(ComplaintKind::HungUp)?
    } else if has("SASL") && (has("authentication") || has("handshake failed")) {
        ComplaintKind::Authentication
    } else if has("timed out") {
        ComplaintKind::Silent
    } else if text.starts_with("Connect to ") {
        ComplaintKind::Unreachable
    } else {
        return None;
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn expect(line: &str, kind: ComplaintKind, broker: &str, words: &[&str]) {
        let heard = heard(line).unwrap_or_else(|| panic!("nothing in '{line}'"));
        assert_eq!((heard.kind, heard.broker.as_str()), (kind, broker), "{line}");
        let said = format!("{}: {}", heard.words, heard.remedy);
        for word in words {
            assert!(said.contains(word), "no '{word}' in '{said}'");
        }
    }

    #[test]
    fn complaints_are_told_apart() {
        use ComplaintKind::{
            Authentication, Descriptors, HungUp, Resolution, Silent, TooLarge, Trust, Unreachable,
        };
        let b = "127.0.0.1:9092";
        expect(
            "[thrd:127.0.0.1:9092/1]: 127.0.0.1:9092/1: Receive failed: Invalid response size 120000123 \
             (0..100000000): increase receive.message.max.bytes (after 34ms in state UP)",
            TooLarge,
            b,
            &["127.0.0.1:9092/1", "120000123", "-X receive.message.max.bytes"],
        );
        expect(
            "[thrd:GroupCoordinator]: GroupCoordinator: 127.0.0.1:9092: Failed to create socket: Too many open files \
             (after 0ms in state CONNECT)",
            Descriptors,
            b,
            &["ulimit -n", "127.0.0.1:9092"],
        );
        let text =
            "Failed to resolve 'kafka.invalid:9092': Name or service not known (after 3ms in state CONNECT)";
        let line = format!("[thrd:kafka.invalid:9092/2]: kafka.invalid:9092/2: {text}");
        let advertised = ["broker 2 is advertised as kafka.invalid:9092", "advertised.listeners"];
        expect(&line, Resolution, "kafka.invalid:9092", &advertised);
        let line = format!("kafka.invalid:9092/bootstrap: {text}");
        expect(&line, Resolution, "kafka.invalid:9092", &["--brokers", "kafka.invalid:9092"]);
        expect(
            "sasl_plaintext://127.0.0.1:9092/1: SASL authentication error: Authentication failed during \
             authentication due to invalid credentials with SASL mechanism SCRAM-SHA-256 (after 5ms in state AUTH_REQ)",
            Authentication,
            b,
            &["127.0.0.1:9092/1", "invalid credentials", "check user, password"],
        );
        expect(
            "ssl://127.0.0.1:9092/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify \
             failed (after 9ms in state SSL_HANDSHAKE)",
            Trust,
            b,
            &["--tls-ca"],
        );
        expect(
            "127.0.0.1:9092/1: Connect to ipv4#127.0.0.1:9092 failed: Connection refused (after 0ms in state CONNECT)",
            Unreachable,
            b,
            &["nobody takes connections at broker 127.0.0.1:9092/1"],
        );
        expect(
            "127.0.0.1:9092/1: Connection setup timed out in state CONNECT (after 30000ms in state CONNECT)",
            Silent,
            b,
            &["does not answer"],
        );
        expect(
            "127.0.0.1:9092/bootstrap: Disconnected: connection closed by peer: requesting ApiVersion: might be \
             caused by … (after 1ms in state APIVERSION_QUERY)",
            HungUp,
            b,
            &["max.connections.per.ip", "--enable-tls"],
        );
    }

    /// What stands before brokers that are away may take connections and drop them: that is waited for.
    #[test]
    fn a_handshake_that_breaks_off_is_no_refusal() {
        for (text, is_denied) in [
            ("SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener?", false),
            ("SSL handshake failed: error:0A000086:SSL routines::certificate verify failed", true),
            (
                "Receive failed: error:0A000412:SSL routines::sslv3 alert bad certificate: SSL alert number 42",
                true,
            ),
            ("SASL authentication error: Authentication failed", true),
            ("Connect to ipv4#127.0.0.1:1 failed: Connection refused", false),
        ] {
            let line = format!("ssl://b:1/1: {text} (after 9ms in state SSL_HANDSHAKE)");
            assert_eq!(heard(&line).expect(text).is_denied, is_denied, "{text}");
        }
    }

    #[test]
    fn what_goes_with_its_broker_is_no_complaint() {
        for line in [
            "127.0.0.1:9092/1: Disconnected: connection closed by peer (after 99ms in state UP)",
            "127.0.0.1:9092/1: Disconnected: connection closed by peer: verify that security.protocol is correctly \
             configured, broker might require SASL authentication (after 99ms in state UP)",
            "127.0.0.1:9092/1: something else (after 99ms in state UP)",
            "no name at all",
            "",
        ] {
            assert_eq!(heard(line), None, "{line}");
        }
    }

    #[test]
    fn what_was_kept_back_is_counted() {
        let line = "b:1/1: Connect to ipv4#1 failed: Connection refused (after 0ms in state CONNECT, 29 identical \
                    error(s) suppressed)";
        assert_eq!(heard(line).unwrap().count, 30);
    }

    #[test]
    fn an_ipv6_address_has_brackets() {
        assert_eq!(address("::1:9092"), "[::1]:9092");
        assert_eq!(address("[::1]:9092"), "[::1]:9092");
        assert_eq!(address("host:9092"), "host:9092");
        let line = "fe80::1:9092/3: Connect to ipv6#[fe80::1]:9092 failed: No route to host (after 1ms in state CONNECT)";
        assert_eq!(heard(line).unwrap().broker, "[fe80::1]:9092");
    }

    #[test]
    fn thread_prefix_is_taken_off() {
        let line = "[thrd:127.0.0.1:1/bootstrap]: 127.0.0.1:1/bootstrap: Connect failed";
        assert_eq!(without_thread(line), "127.0.0.1:1/bootstrap: Connect failed");
        assert_eq!(without_thread("plain"), "plain");
    }
}
