//! Free ports. Not the kernel's choice: those are from the range of outgoing connections, one of which
//! could take the port before the process under test does.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    process,
    sync::atomic::{AtomicU16, Ordering::Relaxed},
};

/// Below the outgoing connections' range and `scripts/kafka`'s.
const FIRST: u16 = 10_000;
const COUNT: u16 = 9_900;

/// A port that was free a moment ago, and that no other test of this process gets.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Two runs at once begin at different places.
    let start = u16::try_from(process::id().wrapping_mul(37) % u32::from(COUNT)).unwrap_or(0);
    for _ in 0..COUNT {
        let port = FIRST + (start + NEXT.fetch_add(1, Relaxed) % COUNT) % COUNT;
        if is_free(port) {
            return port;
        }
    }
    panic!("no free port from {FIRST} on");
}

/// Two that follow each other: a broker's listener and its controller.
pub fn free_pair() -> u16 {
    let mut first = free_port();
    loop {
        let second = free_port();
        if second == first + 1 {
            return first;
        }
        first = second;
    }
}

/// Whether no socket has it. Asked of the kernel and not tried: a process that another test starts at that
/// moment would hold a copy of the socket for a while, and keep others from listening.
fn is_free(port: u16) -> bool {
    let local = format!(":{port:04X}");
    let has =
        |line: &str| line.split_ascii_whitespace().nth(1).is_some_and(|address| address.ends_with(&local));
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
    !tables.iter().any(|table| table.lines().any(has))
}

/// Something that listens, answers nothing, and knows whether anybody came.
pub struct Decoy(TcpListener);

impl Decoy {
    pub fn listen() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, free_port())).expect("a free port");
        listener.set_nonblocking(true).expect("a listener that does not block");
        Self(listener)
    }

    pub fn port(&self) -> u16 {
        self.0.local_addr().expect("its address").port()
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    pub fn was_visited(&self) -> bool {
        self.0.accept().is_ok()
    }
}
