use super::*;
use crate::kafka::wire::protocol::MetadataRequest;

const SETTINGS_BYTES: usize = 64;

pub(super) fn settings() -> ConnectionSettings {
    ConnectionSettings {
        client_id: "c".into(),
        receive_bytes: SETTINGS_BYTES,
        response_most_bytes: 10_000,
        handshake_us: 1_000,
        login: None,
    }
}

/// What a broker sends: length, correlation id, and the rest.
pub(super) fn answer(correlation_id: i32, body: &[u8]) -> Vec<u8> {
    let length = i32::try_from(body.len() + 4).unwrap();
    [&length.to_be_bytes()[..], &correlation_id.to_be_bytes(), body].concat()
}

/// An answer to `ApiVersions` in its first version.
pub(super) fn versions(error: i16, ranges: &[(i16, i16, i16)]) -> Vec<u8> {
    let mut body = error.to_be_bytes().to_vec();
    body.extend(i32::try_from(ranges.len()).unwrap().to_be_bytes());
    for (key, first, last) in ranges {
        body.extend([key, first, last].into_iter().flat_map(|number| number.to_be_bytes()));
    }
    body
}

pub(super) fn feed(connection: &mut Connection<u8>, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let space = connection.space();
        let count = space.len().min(bytes.len());
        space[..count].copy_from_slice(&bytes[..count]);
        connection.received(count);
        bytes = &bytes[count..];
    }
}

/// Takes what goes out, and returns the API, the version and the correlation id of the request that it begins with.
pub(super) fn sent(connection: &mut Connection<u8>) -> (i16, i16, i32) {
    let out = connection.output();
    let header = (
        i16::from_be_bytes([out[4], out[5]]),
        i16::from_be_bytes([out[6], out[7]]),
        i32::from_be_bytes([out[8], out[9], out[10], out[11]]),
    );
    let bytes = out.len();
    connection.wrote(bytes);
    header
}

fn ready() -> Connection<u8> {
    let mut connection = Connection::new(&settings(), 0);
    assert_eq!(sent(&mut connection), (18, 3, 0));
    feed(&mut connection, &answer(0, &versions(35, &[(18, 0, 2)])));
    assert_eq!(connection.next_response(0), Ok(None));
    assert_eq!(sent(&mut connection), (18, 2, 1));
    let throttle_ms = [0; 4];
    feed(
        &mut connection,
        &answer(1, &[versions(0, &[(18, 0, 2), (3, 0, 8)]), throttle_ms.to_vec()].concat()),
    );
    assert!(!connection.is_ready());
    assert_eq!(connection.next_response(0), Ok(None));
    assert!(connection.is_ready());
    connection
}

pub(super) fn ask(connection: &mut Connection<u8>, deadline_us: u64, tag: u8) {
    connection.send(&MetadataRequest { topics: None, tell_rights: false }, deadline_us, tag).unwrap();
    let bytes = connection.output().len();
    connection.wrote(bytes);
}

#[test]
fn a_broker_that_finds_the_question_too_new_is_asked_in_a_version_of_its_own() {
    let connection = ready();
    assert_eq!(connection.version(Api::Metadata), Ok(8));
    assert!(connection.version(Api::Produce).is_err(), "it does not know it");
}

/// librdkafka's mock refuses in the form of the very version that it does not speak.
#[test]
fn a_refusal_whose_list_cannot_be_read_is_followed_by_the_first_version() {
    let mut connection = Connection::<u8>::new(&settings(), 0);
    sent(&mut connection);
    feed(&mut connection, &answer(0, &[0, 35, 1, 0, 18, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0]));
    assert_eq!(connection.next_response(0), Ok(None));
    assert_eq!(sent(&mut connection), (18, 0, 1));
    feed(&mut connection, &answer(1, &versions(0, &[(3, 0, 8)])));
    assert_eq!((connection.next_response(0), connection.is_ready()), (Ok(None), true));
}

#[test]
fn a_broker_that_finds_every_version_too_new_is_not_asked_for_ever() {
    let mut connection = Connection::<u8>::new(&settings(), 0);
    for asked in 0..4 {
        // It claims to speak the very version that it refuses.
        feed(&mut connection, &answer(asked, &versions(35, &[(18, 0, 4)])));
        if let Err(error) = connection.next_response(0) {
            assert_eq!(error, ConnectionError::Refused(35));
            return;
        }
    }
    panic!("it is still being asked");
}

#[test]
fn answers_belong_to_requests_in_their_order() {
    let mut connection = ready();
    ask(&mut connection, 9, 7);
    ask(&mut connection, 9, 8);
    feed(&mut connection, &[answer(2, b"first"), answer(3, b"second")].concat());
    for (tag, body) in [(7, &b"first"[..]), (8, b"second")] {
        let response = connection.next_response(0).unwrap().unwrap();
        assert_eq!((response.tag, response.api, response.version), (tag, Api::Metadata, 8));
        assert_eq!(connection.body(&response).unwrap().rest(), body);
        connection.pass();
    }
    assert_eq!(connection.next_response(0), Ok(None));
    feed(&mut connection, &answer(4, b""));
    let unasked = connection.next_response(0);
    assert_eq!(unasked, Err(ConnectionError::OutOfOrder { expected: None, got: 4 }));
}

#[test]
fn an_answer_to_another_request_ends_the_connection() {
    for wrong in [1, 3, i32::MIN] {
        let mut connection = ready();
        ask(&mut connection, 9, 7);
        feed(&mut connection, &answer(wrong, b"x"));
        let expected = Some(2);
        assert_eq!(connection.next_response(0), Err(ConnectionError::OutOfOrder { expected, got: wrong }));
        assert_eq!(connection.tags().collect::<Vec<_>>(), [7], "it is not answered");
    }
}

#[test]
fn a_length_that_cannot_be_ends_the_connection() {
    for length in [-1, 10_001, i32::MAX] {
        let mut connection = ready();
        feed(&mut connection, &i32::to_be_bytes(length));
        assert_eq!(
            connection.next_response(0),
            Err(ConnectionError::Frame(FrameError { length, most: 10_000 }))
        );
    }
}

/// As Kafka does.
#[test]
fn a_port_that_expects_tls_is_known_by_its_answer() {
    let alert = [21, 3, 3, 0, 2, 2, 80];
    let mut connection = Connection::<u8>::new(&settings(), 0);
    feed(&mut connection, &alert);
    let error = connection.next_response(0).unwrap_err();
    assert!(error.to_string().contains("--enable-tls?"), "{error}");
    let mut connection = ready();
    feed(&mut connection, &alert);
    assert!(
        matches!(connection.next_response(0), Err(ConnectionError::Frame(_))),
        "it has understood us before"
    );
}

#[test]
fn an_answer_that_is_cut_off_is_none() {
    let mut connection = Connection::<u8>::new(&settings(), 0);
    feed(&mut connection, &answer(0, &versions(0, &[])[..3]));
    assert!(matches!(connection.next_response(0), Err(ConnectionError::Unreadable { .. })));
}

#[test]
fn what_is_late_is_found_and_a_throttled_broker_has_longer() {
    let mut connection = ready();
    ask(&mut connection, 1_000, 7);
    assert_eq!((connection.check_deadlines(999), connection.next_deadline_us(0)), (Ok(()), 1_000));
    assert_eq!(connection.check_deadlines(1_000), Err(ConnectionError::TimedOut(Api::Metadata)));
    connection.throttle(2, 500);
    assert_eq!(connection.check_deadlines(2_999), Ok(()));
    assert_eq!(connection.check_deadlines(3_000), Err(ConnectionError::TimedOut(Api::Metadata)));
}

#[test]
fn a_broker_that_throttles_has_one_request_at_a_time() {
    let mut connection = ready();
    connection.throttle(2, 500);
    assert!(connection.has_room(2, 500), "one waits for it");
    ask(&mut connection, 10_000, 7);
    assert!(!connection.has_room(2, 2_499));
    assert_eq!(connection.next_deadline_us(500), 2_500, "there is room again then");
    assert!(connection.has_room(2, 2_500));
    assert!(!connection.has_room(1, 2_500));
}

#[test]
fn an_answer_can_be_kept_with_its_buffer() {
    let mut connection = ready();
    ask(&mut connection, 9, 7);
    ask(&mut connection, 9, 8);
    feed(&mut connection, &[answer(2, &[5; 300]), answer(3, b"second")].concat());
    connection.next_response(0).unwrap().unwrap();
    let mut kept = Vec::new();
    let (from, to) = connection.swap(&mut kept);
    assert_eq!(kept[from..to][4..], [5; 300]);
    let response = connection.next_response(0).unwrap().unwrap();
    assert_eq!(connection.body(&response).unwrap().rest(), b"second");
}
