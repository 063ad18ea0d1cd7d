//! Requests to a broker that no client library at hand can make: users and access rights, written as bytes.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use ring::pbkdf2::{self, PBKDF2_HMAC_SHA256, PBKDF2_HMAC_SHA512};

/// What a right is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource<'a> {
    Topic(&'a str),
    Group(&'a str),
    TransactionalId(&'a str),
    Cluster,
}

/// What it allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Read = 3,
    Write = 4,
    Create = 5,
    Describe = 8,
}

/// One right of one user, from everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Right<'a> {
    pub user: &'a str,
    pub resource: Resource<'a>,
    pub operation: Operation,
}

const LITERAL: u8 = 3;
const ALLOW: u8 = 3;

const DESCRIBE_ACLS: i16 = 29;
const CREATE_ACLS: i16 = 30;
const DELETE_ACLS: i16 = 31;
const ALTER_CLIENT_QUOTAS: i16 = 49;
const ALTER_USER_SCRAM_CREDENTIALS: i16 = 51;

/// The least that Kafka accepts; each login has to repeat them.
const ITERATIONS: u32 = 4096;

/// A connection on which the broker lets everybody do everything.
pub struct Wire(TcpStream);

impl Wire {
    pub fn to(address: &str) -> Self {
        Self(TcpStream::connect(address).expect("a broker that listens"))
    }

    pub fn grant(&mut self, right: &Right<'_>) {
        let mut body = 1_i32.to_be_bytes().to_vec();
        put_right(&mut body, right);
        let answer = self.ask(CREATE_ACLS, 1, false, &body);
        expect_no_error(&answer[8..], right);
    }

    pub fn revoke(&mut self, right: &Right<'_>) {
        let mut body = 1_i32.to_be_bytes().to_vec();
        put_right(&mut body, right);
        let answer = self.ask(DELETE_ACLS, 1, false, &body);
        expect_no_error(&answer[8..], right);
    }

    /// Whether the broker acts on a right: rights take a moment from the controller to here.
    pub fn knows(&mut self, right: &Right<'_>) -> bool {
        let mut body = Vec::new();
        put_right(&mut body, right);
        let answer = self.ask(DESCRIBE_ACLS, 1, false, &body);
        expect_no_error(&answer[4..], right);
        // Behind the throttle time, the error and its text, which is null: how many there are.
        answer[8..12] != [0; 4]
    }

    /// Makes a user for SCRAM with SHA-256 and SHA-512.
    pub fn add_scram_user(&mut self, user: &str, password: &str) {
        let salt = format!("salt of {user}").into_bytes();
        // One request for each: Kafka changes a user once in a request only.
        for (number, algorithm, size) in [(1, PBKDF2_HMAC_SHA256, 32), (2, PBKDF2_HMAC_SHA512, 64)] {
            let mut salted = vec![0; size];
            let iterations = ITERATIONS.try_into().expect("more than none");
            pbkdf2::derive(algorithm, iterations, &salt, password.as_bytes(), &mut salted);
            // Nobody to delete, one to make.
            let mut body = vec![1, 2];
            put_compact(&mut body, user.as_bytes());
            body.push(number);
            body.extend(ITERATIONS.to_be_bytes());
            put_compact(&mut body, &salt);
            put_compact(&mut body, &salted);
            body.extend([0, 0]);
            let answer = self.ask(ALTER_USER_SCRAM_CREDENTIALS, 0, true, &body);
            // Behind the throttle time, the count, and the user's name.
            expect_no_error(&answer[4 + 1 + 1 + user.len()..], &user);
        }
    }

    /// Deletes a user for SCRAM with SHA-512.
    pub fn delete_scram_user(&mut self, user: &str) {
        // One to delete, and nobody to make.
        let mut body = vec![2];
        put_compact(&mut body, user.as_bytes());
        body.extend([2, 0, 1, 0]);
        let answer = self.ask(ALTER_USER_SCRAM_CREDENTIALS, 0, true, &body);
        expect_no_error(&answer[4 + 1 + 1 + user.len()..], &user);
    }

    /// Lets consumers of this client id have so many bytes a second.
    pub fn limit_consumers(&mut self, client_id: &str, bytes_per_s: f64) {
        self.limit("consumer_byte_rate", client_id, bytes_per_s);
    }

    /// Lets producers of this client id write so many bytes a second.
    pub fn limit_producers(&mut self, client_id: &str, bytes_per_s: f64) {
        self.limit("producer_byte_rate", client_id, bytes_per_s);
    }

    fn limit(&mut self, quota: &str, client_id: &str, bytes_per_s: f64) {
        // One entry: a client id, and one limit for it; it is not only tried.
        let mut body = [1_i32.to_be_bytes(), 1_i32.to_be_bytes()].concat();
        put_text(&mut body, "client-id");
        put_text(&mut body, client_id);
        body.extend(1_i32.to_be_bytes());
        put_text(&mut body, quota);
        body.extend(bytes_per_s.to_be_bytes());
        body.extend([0, 0]);
        let answer = self.ask(ALTER_CLIENT_QUOTAS, 0, false, &body);
        // Behind the throttle time, and the count.
        expect_no_error(&answer[8..], &client_id);
    }

    /// Sends a request, and returns the answer behind its header.
    fn ask(&mut self, api: i16, version: i16, flexible: bool, body: &[u8]) -> Vec<u8> {
        let mut request = Vec::new();
        request.extend(api.to_be_bytes());
        request.extend(version.to_be_bytes());
        request.extend(7_i32.to_be_bytes());
        put_text(&mut request, "tests");
        request.extend(flexible.then_some(0));
        request.extend(body);
        let size = i32::try_from(request.len()).expect("a short request");
        self.0.write_all(&[&size.to_be_bytes()[..], &request].concat()).expect("a broker that listens");
        let mut size = [0; 4];
        self.0.read_exact(&mut size).expect("a broker that answers");
        let mut answer = vec![0; u32::from_be_bytes(size) as usize];
        self.0.read_exact(&mut answer).expect("a broker that answers");
        answer.split_off(if flexible { 5 } else { 4 })
    }
}

#[track_caller]
fn expect_no_error(answer: &[u8], of: &dyn std::fmt::Debug) {
    assert_eq!(answer[..2], [0, 0], "{of:?}: {}", String::from_utf8_lossy(answer));
}

/// As a right, and just as well as a filter that finds it and no other.
fn put_right(body: &mut Vec<u8>, right: &Right<'_>) {
    let (kind, name) = match right.resource {
        Resource::Topic(name) => (2, name),
        Resource::Group(name) => (3, name),
        Resource::Cluster => (4, "kafka-cluster"),
        Resource::TransactionalId(name) => (5, name),
    };
    body.push(kind);
    put_text(body, name);
    body.push(LITERAL);
    put_text(body, &format!("User:{}", right.user));
    put_text(body, "*");
    body.extend([right.operation as u8, ALLOW]);
}

fn put_text(body: &mut Vec<u8>, text: &str) {
    body.extend(i16::try_from(text.len()).expect("a short text").to_be_bytes());
    body.extend(text.as_bytes());
}

/// The newer requests' form: the length plus 1 comes first, in one byte as long as it is short.
fn put_compact(body: &mut Vec<u8>, bytes: &[u8]) {
    let size = u8::try_from(bytes.len() + 1).ok().filter(|size| *size < 128).expect("a short text");
    body.push(size);
    body.extend(bytes);
}
