//! What is done with an input.

use std::rc::Rc;

use proofload::inside::{
    batch::{Batches, Unpacker},
    connection::{Connection, ConnectionSettings, Login, Mechanism, Secret},
    protocol::{Api, FetchedPartition, ResponseHeader},
};

use super::instruments::most_held;

/// A decoder may take so many times the bytes that it reads: a number of partitions becomes a list of them.
const TIMES: usize = 64;
/// And so much beside.
const BESIDE: usize = 16 << 10;
/// What a batch may unpack to.
const UNPACKED_MOST: usize = 1 << 18;
/// What codecs need for themselves, and the buffer that is used again.
const CODECS: usize = 6 << 20;
/// The largest answer that a connection takes.
const RESPONSE_MOST: usize = 1 << 16;

fn within(most: usize, what: impl FnOnce()) {
    let held = most_held(what);
    assert!(held <= most, "{held} bytes were held at once, and {most} are allowed");
}

/// Every request and version that is spoken.
pub fn spoken() -> Vec<(Api, i16)> {
    let all = Api::ALL.into_iter().flat_map(|api| {
        let (first, last) = api.spoken();
        (first..=last).map(move |version| (api, version))
    });
    all.collect()
}

/// The first byte says which answer it is.
pub fn responses(input: &[u8]) {
    let Some((which, bytes)) = input.split_first() else { return };
    let spoken = spoken();
    let (api, version) = spoken[usize::from(*which) % spoken.len()];
    within(bytes.len() * TIMES + BESIDE, || {
        let see = |one: &FetchedPartition<'_>| {
            let aborted = one.aborted().count();
            assert!(aborted <= RESPONSE_MOST && one.batches.len() <= RESPONSE_MOST);
        };
        if let Ok((_, decoder)) = ResponseHeader::decode(api, version, bytes) {
            let _ = api.read_answer(version, decoder, see);
        }
    });
}

/// Batches as a fetch has them, whether they fit their checksums or not.
pub fn batches(input: &[u8]) {
    within(UNPACKED_MOST + CODECS, || {
        let mut codecs = Unpacker::new(UNPACKED_MOST);
        for batch in Batches::new(input) {
            let Ok(batch) = batch else { continue };
            assert!(batch.next_offset() > batch.base_offset() || batch.base_offset() == i64::MAX);
            let _ = batch.fits_its_checksum();
            let Ok(unpacked) = codecs.unpack(&batch) else { continue };
            assert!(unpacked.len() <= UNPACKED_MOST.max(input.len()));
            let records = batch.records(unpacked);
            let _ = records.check_lengths();
            for record in records.take(input.len() + UNPACKED_MOST).flatten() {
                let _ = record.marker();
            }
        }
    });
}

fn settings(login: Option<Rc<Login>>) -> ConnectionSettings {
    ConnectionSettings {
        client_id: Rc::from("fuzz"),
        receive_bytes: 256,
        response_most_bytes: RESPONSE_MOST,
        handshake_us: 1_000_000,
        login,
    }
}

fn login(mechanism: Mechanism) -> Rc<Login> {
    let nonce: fn() -> String = || "fyko+d2lbbFgONRv9qkxdawL".to_owned();
    Rc::new(Login::new(mechanism, "user", Secret::new("pencil".to_owned()), nonce))
}

fn give(connection: &mut Connection<u8>, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        let space = connection.space();
        let count = space.len().min(bytes.len());
        assert!(count > 0, "a connection has room");
        space[..count].copy_from_slice(&bytes[..count]);
        connection.received(count);
        bytes = &bytes[count..];
        loop {
            match connection.next_response(1) {
                Ok(Some(response)) => {
                    let _ = connection.body(&response);
                    connection.pass();
                }
                Ok(None) => break,
                Err(_) => return false,
            }
        }
    }
    true
}

/// What a broker writes, in pieces of as many bytes as the byte before says.
pub fn connections(input: &[u8]) {
    within(input.len() * TIMES + 4 * RESPONSE_MOST + BESIDE, || {
        let mut connection = Connection::new(&settings(None), 0);
        let mut rest = input;
        while let Some((length, behind)) = rest.split_first() {
            let (piece, behind) = behind.split_at(usize::from(*length).min(behind.len()));
            rest = behind;
            if !give(&mut connection, piece) {
                return;
            }
        }
    });
}

/// Answers to the first requests of a connection, each in a frame of its own with the right number: what the broker speaks,
/// which mechanisms it has, and what it says to who we are. The first byte says how that is proven.
pub fn logins(input: &[u8]) {
    let Some((which, mut rest)) = input.split_first() else { return };
    let mechanism = Mechanism::ALL[usize::from(*which) % Mechanism::ALL.len()];
    within(input.len() * TIMES + 4 * RESPONSE_MOST + BESIDE, || {
        let mut connection = Connection::new(&settings(Some(login(mechanism))), 0);
        for correlation_id in 0..8_i32 {
            let Some((length, behind)) = rest.split_first() else { return };
            let (body, behind) = behind.split_at(usize::from(*length).min(behind.len()));
            rest = behind;
            let length = i32::try_from(body.len() + 4).unwrap_or(0);
            let frame = [&length.to_be_bytes()[..], &correlation_id.to_be_bytes(), body].concat();
            if !give(&mut connection, &frame) {
                return;
            }
        }
    });
}
