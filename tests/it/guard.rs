//! Who may use the control port, and who may not hold it.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::{
    Test,
    dsl::{EXIT_LIMIT, FIRST_STATUS_LIMIT, Mock, Run, Running, Workdir},
    tests,
};

pub fn tests() -> Vec<(String, Test)> {
    tests![
        Alone(a_thousand_slow_connections_hold_nobody_up),
        Alone(names_of_other_hosts_are_refused_unless_listed),
        Alone(pages_of_other_sites_are_refused),
        Alone(a_token_is_asked_for),
        Alone(a_head_that_is_too_long_is_refused),
        Alone(the_port_is_on_loopback_unless_remote_and_has_any_name_then),
    ]
}

/// The code that answers a request with these headers.
#[track_caller]
fn code(address: SocketAddr, headers: &str) -> u16 {
    code_of("/status", address, headers)
}

/// The same for another path.
#[track_caller]
fn code_of(path: &str, address: SocketAddr, headers: &str) -> u16 {
    let mut stream = TcpStream::connect(address).expect("a port that listens");
    stream.set_read_timeout(Some(FIRST_STATUS_LIMIT)).expect("a time-out");
    let request = format!("GET {path} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).expect("an answer");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    answer.rsplit(' ').next().and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("{answer}"))
}

/// A run that has done its work, and stays.
fn idle(mock: &Mock, flags: &str) -> Running {
    let run = Run::verifier().args(mock.topic(1).flags()).args("--seq_read --remote").args(flags);
    let run = run.with_control().start();
    run.http().first_code();
    run
}

fn names_of_other_hosts_are_refused_unless_listed() {
    let mock = Mock::start();
    let run = idle(&mock, "--allow-host load.example --allow-host other.example");
    run.harness().until_done();
    let address = run.http().address();
    for host in ["127.0.0.1", "localhost:7884", "10.1.2.3", "load.example", "OTHER.example:7884"] {
        assert_eq!(code(address, &format!("Host: {host}\r\n")), 200, "{host}");
    }
    for host in ["evil.example", "load.example.evil.example", "x.load.example:7884"] {
        assert_eq!(code(address, &format!("Host: {host}\r\n")), 403, "{host}");
    }
}

fn pages_of_other_sites_are_refused() {
    let mock = Mock::start();
    let run = idle(&mock, "");
    run.harness().until_done();
    for header in ["Origin: https://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site"] {
        for path in ["/status", "/metrics"] {
            let headers = format!("Host: localhost\r\n{header}\r\n");
            assert_eq!(code_of(path, run.http().address(), &headers), 403, "{path}, {header}");
        }
    }
}

fn a_token_is_asked_for() {
    let (mock, elsewhere) = (Mock::start(), Workdir::new());
    elsewhere.write("token", "open-sesame\n");
    let run = idle(&mock, &format!("--token-file {}", elsewhere.path().join("token").display()));
    let ask = |header: &str| code(run.http().address(), &format!("Host: localhost\r\n{header}"));
    assert_eq!(ask(""), 401);
    assert_eq!(ask("Authorization: Bearer open\r\n"), 401);
    assert_eq!(code_of("/metrics", run.http().address(), "Host: localhost\r\n"), 401);
    let allowed = ask("Authorization: Bearer open-sesame\r\n");
    assert!([200, 503].contains(&allowed), "{allowed}");
    assert!(!run.transcript().contains("open-sesame"), "{}", run.transcript());
}

fn a_head_that_is_too_long_is_refused() {
    let mock = Mock::start();
    let run = idle(&mock, "");
    let header = format!("Host: localhost\r\nX: {}\r\n", "x".repeat(20_000));
    assert_eq!(code(run.http().address(), &header), 431);
}

/// Harnesses call hosts by the names of their inventories, such as those that docker gives them.
fn the_port_is_on_loopback_unless_remote_and_has_any_name_then() {
    let mock = Mock::start();
    let topic = mock.topic(1);
    for (flags, bound) in [("", "0100007F"), ("--remote", "00000000")] {
        let port = crate::dsl::ports::free_port();
        let run = Run::verifier().args(topic.flags()).args(format!("--remote-port {port} {flags}"));
        let run = run.args("--produce_msgs 1000000 --msg_size 10 --produce-throughput-bps 100").start();
        let local = format!("{bound}:{port:04X}");
        crate::dsl::wait_until("a port that listens", || {
            let table = std::fs::read_to_string("/proc/net/tcp").expect("a table of sockets");
            // 0A: it listens.
            table.lines().any(|line| line.contains(&format!(" {local} ")) && line.contains(" 0A "))
        });
        let answer = code(SocketAddr::from(([127, 0, 0, 1], port)), "Host: docker-rp-7:7884\r\n");
        assert_eq!(answer == 403, flags.is_empty(), "{answer}");
        drop(run);
    }
}

const SLOW: usize = 1_000;
/// Questions asked meanwhile.
const POLLS: usize = 20;
/// A machine that is busy may be late with some of the answers; who waits for the others is late with all.
const FEW: usize = POLLS / 4;
/// How long all of them may take to go: far below what a connection that asks may have.
const SLOW_LIMIT: Duration = Duration::from_secs(15);

/// As many files as this process may have, for a thousand connections.
fn allow_many_files() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("a higher limit");
}

/// A request that does not end.
fn half_a_head(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("a port that listens");
    // Those that came before may be closed already, so this one's peer too.
    let _ = stream.write_all(b"GET /status HTTP/1.1\r\nHost: local");
    stream
}

fn a_thousand_slow_connections_hold_nobody_up() {
    allow_many_files();
    let mock = Mock::start();
    let topic = mock.topic(2);
    let work = "--produce_msgs 700 --msg_size 100 --produce-throughput-bps 10000 --seq_read --remote";
    let run = Run::verifier().args(topic.flags()).args(work).with_control().start();
    run.harness().first();
    let address = run.http().address();
    let opened = Instant::now();
    let mut open: Vec<_> = (0..SLOW).map(|_| half_a_head(address)).collect();
    let mut late = 0;
    for _ in 0..POLLS {
        let asked = Instant::now();
        assert_eq!(run.http().get("/status").map(|answer| answer.code), Some(200), "{}", run.transcript());
        late += usize::from(asked.elapsed() >= FIRST_STATUS_LIMIT);
        thread::sleep(Duration::from_millis(50));
    }
    assert!(late <= FEW, "{late} of {POLLS} answers took {FIRST_STATUS_LIMIT:?}");
    // The kernel lets some of a thousand wait before it shows them to anybody.
    let closed = wait_within(SLOW_LIMIT, || {
        open.retain(is_open);
        open.is_empty()
    });
    assert!(closed, "{} slow connections are open {:?} after their start", open.len(), opened.elapsed());
    let workers = run.harness().until_done();
    assert_eq!(workers[0].producer().acked, 700);
    assert_eq!(workers[1].reader().validator.valid_reads, 700);
    run.http().order("/shutdown");
    run.finish_within(EXIT_LIMIT).expect_code(0).expect_no_output(&["WARN", "ERROR"]);
}

fn wait_within(limit: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + limit;
    while Instant::now() < until {
        if is_so() {
            return true;
        }
        thread::sleep(Duration::from_millis(50));
    }
    false
}

/// Whether the other side still waits for more.
fn is_open(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("a socket");
    let (mut stream, mut answer) = (stream, [0; 1024]);
    loop {
        match stream.read(&mut answer) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
}
