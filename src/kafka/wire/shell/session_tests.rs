use std::io::{Read, Write};

use rustls::ServerConnection;

use super::*;
use crate::kafka::wire::trust::kit::{Authority, client, server};

/// Both sides, and the wires between them.
struct Pair {
    session: Session,
    server: ServerConnection,
    shown: Vec<u8>,
    heard: Vec<u8>,
}

impl Pair {
    fn new(session: Session, server: ServerConnection) -> Self {
        Self { session, server, shown: Vec::new(), heard: Vec::new() }
    }

    fn trusting() -> Self {
        let authority = Authority::new();
        let session = Session::new(&client(Some(&authority), None), "localhost").unwrap();
        let mut pair = Self::new(session, server(&authority, &["localhost"], None));
        pair.settle().unwrap();
        assert!(pair.session.is_open());
        pair
    }

    /// Carries what there is, in both directions, until there is nothing more; the client reads so many bytes at once.
    fn settle(&mut self) -> Result<(), ConnectionError> {
        const AT_ONCE: usize = 7_777;
        let mut to_client = Vec::new();
        loop {
            let opened = self.session.open(|plain| self.shown.extend_from_slice(plain));
            let output = self.session.output().to_vec();
            self.session.wrote(output.len());
            let mut rest = &output[..];
            while !rest.is_empty() {
                self.server.read_tls(&mut rest).unwrap();
                // What it finds wrong it tells the client.
                let _ = self.server.process_new_packets();
                // Its own limit on what is held is no matter here.
                let _ = self.server.reader().read_to_end(&mut self.heard);
            }
            opened?;
            while self.server.wants_write() {
                self.server.write_tls(&mut to_client).unwrap();
            }
            if to_client.is_empty() {
                return Ok(());
            }
            let space = self.session.space();
            let bytes = space.len().min(to_client.len()).min(AT_ONCE);
            space[..bytes].copy_from_slice(&to_client[..bytes]);
            self.session.received(bytes);
            to_client.drain(..bytes);
        }
    }
}

fn numbered(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|index| (index % 251).to_le_bytes()[0]).collect()
}

#[test]
fn what_is_said_in_pieces_is_heard_as_a_whole_in_full_records() {
    let mut pair = Pair::trusting();
    let said = numbered(300_000);
    let (mut taken, mut records) = (0, 0);
    while taken < said.len() {
        let pieces: Vec<_> = said[taken..].chunks(20_001).flat_map(|piece| piece.chunks(20_000)).collect();
        let pieces: Vec<_> = pieces.into_iter().map(IoSlice::new).collect();
        taken += pair.session.seal(&pieces).unwrap();
        let mut output = pair.session.output();
        while let [_, _, _, high, low, rest @ ..] = output {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            (records, output) = (records + 1, &rest[length..]);
        }
        pair.settle().unwrap();
    }
    assert!(pair.heard == said, "{} of {} bytes", pair.heard.len(), said.len());
    assert!(records <= said.len().div_ceil(RECORD_BYTES) + 3, "{records} records");
}

#[test]
fn what_the_broker_says_is_shown_in_its_order() {
    let mut pair = Pair::trusting();
    let said = numbered(500_000);
    for piece in said.chunks(50_000) {
        pair.server.writer().write_all(piece).unwrap();
        pair.settle().unwrap();
    }
    assert!(pair.shown == said, "{} of {} bytes", pair.shown.len(), said.len());
    assert!(pair.session.incoming.len() <= READ_MOST_BYTES);
    pair.server.send_close_notify();
    pair.settle().unwrap();
    assert!(pair.session.has_ended());
}

#[test]
fn new_keys_cost_nothing_that_was_said() {
    let mut pair = Pair::trusting();
    pair.server.refresh_traffic_keys().unwrap();
    pair.server.writer().write_all(b"behind it").unwrap();
    pair.settle().unwrap();
    assert_eq!(pair.shown, b"behind it");
    assert_eq!(pair.session.seal(&[IoSlice::new(b"an answer")]).unwrap(), 9);
    pair.settle().unwrap();
    assert_eq!(pair.heard, b"an answer");
}

/// How a handshake ends with this server.
fn refused(trusted: Option<&Authority>, server: ServerConnection, host: &str) -> ConnectionError {
    let session = Session::new(&client(trusted, None), host).unwrap();
    Pair::new(session, server).settle().unwrap_err()
}

#[test]
fn who_is_not_trusted_is_told_apart() {
    let (authority, other) = (Authority::new(), Authority::new());
    let good = || server(&authority, &["localhost"], None);
    for (error, words) in [
        (refused(Some(&other), good(), "localhost"), "nobody whom we trust has signed it"),
        (refused(Some(&authority), good(), "elsewhere"), "it is another host's"),
        (refused(Some(&authority), good(), "127.0.0.1"), "it is another host's"),
        (refused(Some(&authority), authority.expired_server(), "localhost"), "it has expired"),
    ] {
        assert!(error.is_denied(), "{error}");
        let text = error.to_string();
        assert!(text.contains("certificate verify failed") && text.contains(words), "{text}");
    }
}

/// With TLS 1.3 the client takes itself for connected by then.
#[test]
fn a_broker_that_asks_for_a_certificate_says_so() {
    let authority = Authority::new();
    let session = Session::new(&client(Some(&authority), None), "localhost").unwrap();
    let mut pair = Pair::new(session, server(&authority, &["localhost"], Some(&authority)));
    let error = pair.settle().unwrap_err();
    assert!(error.is_denied() && error.to_string().contains("CertificateRequired"), "{error}");
    let session = Session::new(&client(Some(&authority), Some(&authority)), "localhost").unwrap();
    let mut pair = Pair::new(session, server(&authority, &["localhost"], Some(&authority)));
    pair.settle().unwrap();
    assert!(pair.session.is_open());
}

#[test]
fn what_is_no_tls_is_named() {
    let authority = Authority::new();
    let mut session = Session::new(&client(Some(&authority), None), "localhost").unwrap();
    session.open(|_| ()).unwrap();
    let answer = b"\x00\x00\x00\x0a plain text";
    session.space()[..answer.len()].copy_from_slice(answer);
    session.received(answer.len());
    let error = session.open(|_| ()).unwrap_err();
    assert!(matches!(&error, ConnectionError::Tls(words) if words.contains("no TLS")), "{error}");
    assert!(!error.is_denied());
    assert!(Session::new(&client(Some(&authority), None), "not a name").is_err());
}

/// What a server says first, with one byte that is another: it is an error, or not enough.
#[test]
fn whatever_comes_while_hands_are_shaken_is_no_panic() {
    let authority = Authority::new();
    let config = client(Some(&authority), None);
    for place in (0..1_000).step_by(9) {
        for cut in [false, true] {
            let mut session = Session::new(&config, "localhost").unwrap();
            let mut server = server(&authority, &["localhost"], None);
            session.open(|_| ()).unwrap();
            server.read_tls(&mut &session.output()[..]).unwrap();
            server.process_new_packets().unwrap();
            session.wrote(session.output().len());
            let mut flight = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut flight).unwrap();
            }
            let place = place % flight.len();
            flight[place] ^= 0x55;
            flight.truncate(if cut { place + 1 } else { flight.len() });
            session.space()[..flight.len()].copy_from_slice(&flight);
            session.received(flight.len());
            for _ in 0..3 {
                // Also if it is asked again.
                let _ = session.open(|_| ());
            }
            let _ = session.seal(&[IoSlice::new(b"x")]);
        }
    }
}
