use std::{
    io::{Read, Write},
    net::TcpListener,
    thread,
};

use glommio::{LocalExecutorBuilder, Placement};
use rustls::StreamOwned;

use super::*;
use crate::kafka::wire::core::{
    cluster::RefreshTimes,
    connection::ConnectionSettings,
    network::{Network, NetworkSettings, Peer, Purpose},
};
use crate::kafka::wire::core::{connection::ConnectionError, machine::Slices, network::Bootstrap};
use crate::kafka::wire::trust::kit::{Authority, server, trusting};

/// Sends some bytes, and keeps what comes back.
#[derive(Debug, Default)]
struct Echoed {
    /// Where to; it connects once.
    port: Option<u16>,
    outgoing: Vec<u8>,
    written: usize,
    space: Vec<u8>,
    incoming: Vec<u8>,
    opened: Option<LinkId>,
    error: Option<ConnectionError>,
    deadline_us: Option<u64>,
    timeouts: usize,
}

impl Machine for Echoed {
    fn poll_action(&mut self) -> Option<Action> {
        let link = LinkId { slot: 0, generation: 1 };
        self.port.take().map(|port| Action::Open { link, host: "localhost".into(), port })
    }

    fn opened(&mut self, link: LinkId, _now_us: u64) {
        self.opened = Some(link);
    }

    fn closed(&mut self, _link: LinkId, error: ConnectionError, _now_us: u64) {
        self.error = Some(error);
    }

    fn space(&mut self, _link: LinkId) -> &mut [u8] {
        self.space.resize(10_000, 0);
        &mut self.space
    }

    fn received(&mut self, _link: LinkId, bytes: usize, _now_us: u64) {
        self.incoming.extend_from_slice(&self.space[..bytes]);
    }

    fn output<'a>(&'a self, _link: LinkId, slices: &mut Slices<'a>) {
        let pieces = self.outgoing[self.written..].chunks(30_000);
        pieces.take_while(|piece| slices.push(piece)).count();
    }

    fn wrote(&mut self, _link: LinkId, bytes: usize) {
        self.written += bytes;
    }

    fn next_deadline_us(&self, _now_us: u64) -> u64 {
        self.deadline_us.unwrap_or(u64::MAX)
    }

    fn handle_timeout(&mut self, now_us: u64) {
        self.timeouts += usize::from(self.deadline_us.take_if(|deadline| *deadline <= now_us).is_some());
    }

    fn has_news(&self) -> bool {
        self.error.is_some() || self.timeouts > 0 || self.incoming.len() >= self.outgoing.len().max(1)
    }
}

const LIMIT: Duration = Duration::from_secs(20);

fn on_an_executor<F: Future<Output = ()> + 'static>(work: impl FnOnce() -> F + Send + 'static) {
    let builder = LocalExecutorBuilder::new(Placement::Unbound).io_memory(64 << 10).ring_depth(64);
    builder.spawn(|| async move { work().await }).unwrap().join().unwrap();
}

const SENT: usize = 16 << 20;

/// It reads everything before it writes: the socket fills up.
fn echo(mut stream: impl Read + Write) {
    let mut all = vec![0; SENT];
    stream.read_exact(&mut all).unwrap();
    stream.write_all(&all).unwrap();
    // The end of it comes when the client's last handle goes; without a word of TLS.
    assert_eq!(stream.read(&mut [0; 1]).unwrap_or(0), 0);
}

fn send_and_receive(port: u16, tls: Option<Tls>) {
    on_an_executor(move || async move {
        let outgoing: Vec<u8> = (0..SENT).map(|index| (index % 251).to_le_bytes()[0]).collect();
        let shell = Shell::new(Echoed { port: Some(port), outgoing, ..Echoed::default() }, tls);
        shell.with(|_, _| ());
        shell.wait(LIMIT).await;
        shell.with(|echoed, _| assert!(echoed.incoming == echoed.outgoing, "{:?}", echoed.error));
    });
}

#[test]
fn what_a_full_socket_does_not_take_follows_and_nothing_is_lost() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let echo = thread::spawn(move || echo(listener.accept().unwrap().0));
    send_and_receive(port, None);
    echo.join().unwrap();
}

#[test]
fn what_is_encrypted_is_lost_neither() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let authority = Authority::new();
    let server = server(&authority, &["localhost"], None);
    let echo = thread::spawn(move || echo(StreamOwned::new(server, listener.accept().unwrap().0)));
    send_and_receive(port, Some(trusting(&authority)));
    echo.join().unwrap();
}

/// As a port does that knows nothing of TLS.
#[test]
fn a_port_that_closes_the_connection_while_hands_are_shaken_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let closing = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0; 100]).unwrap();
    });
    let tls = Some(trusting(&Authority::new()));
    on_an_executor(move || async move {
        let shell = Shell::new(Echoed { port: Some(port), ..Echoed::default() }, tls);
        shell.with(|_, _| ());
        shell.wait(LIMIT).await;
        let error = shell.with(|echoed, _| echoed.error.take().unwrap());
        assert!(error.to_string().starts_with("TLS handshake failed: "), "{error}");
    });
    closing.join().unwrap();
}

#[test]
fn who_waits_for_several_clients_is_woken_by_each_and_told_once_of_what_is_left() {
    let refused = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ports = [refused(), refused()];
    on_an_executor(move || async move {
        let wake = Rc::<WakeEvent>::default();
        let shell = |port| {
            let machine = Echoed { port: Some(port), ..Echoed::default() };
            Shell::waking(machine, None, Some(wake.clone()))
        };
        for shell in ports.map(shell) {
            shell.with(|_, _| ());
            wake.wait().await;
            assert!(shell.machine().error.is_some());
            let is_set = || async { future::poll_once(wake.wait()).await.is_some() };
            shell.wake_if_there_is_news();
            assert!(is_set().await, "it would be slept over");
            shell.wake_if_there_is_news();
            assert!(!is_set().await, "who leaves it where it is does not go round and round");
            shell.with(|echoed, _| echoed.error = None);
            shell.wake_if_there_is_news();
            assert!(!is_set().await);
        }
    });
}

#[test]
fn an_address_where_nobody_listens_is_named() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    on_an_executor(move || async move {
        let shell = Shell::new(Echoed { port: Some(port), ..Echoed::default() }, None);
        shell.with(|_, _| ());
        shell.wait(LIMIT).await;
        let error = shell.with(|echoed, _| echoed.error.take().unwrap().to_string());
        assert!(error.contains(&format!(":{port}: ")) && error.contains("refused"), "{error}");
    });
}

#[test]
fn a_connection_that_the_other_side_closes_is_over() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let closing = thread::spawn(move || drop(listener.accept().unwrap()));
    on_an_executor(move || async move {
        let shell = Shell::new(Echoed { port: Some(port), ..Echoed::default() }, None);
        shell.with(|_, _| ());
        shell.wait(LIMIT).await;
        shell.with(|echoed, _| {
            assert!(echoed.opened.is_some());
            assert!(matches!(echoed.error, Some(ConnectionError::Lost(_))), "{:?}", echoed.error);
        });
    });
    closing.join().unwrap();
}

#[test]
fn a_deadline_that_moves_forward_is_kept() {
    on_an_executor(|| async {
        let shell = Shell::new(Echoed::default(), None);
        // By now the timer sleeps for an hour.
        glommio::timer::sleep(Duration::from_millis(5)).await;
        shell.with(|echoed, now_us| echoed.deadline_us = Some(now_us + 2_000));
        shell.wait(LIMIT).await;
        assert_eq!(shell.with(|echoed, _| echoed.timeouts), 1);
    });
}

/// The network's own machine, without requests of its own.
impl Machine for Network<()> {
    fn poll_action(&mut self) -> Option<Action> {
        Network::poll_action(self)
    }

    fn opened(&mut self, link: LinkId, now_us: u64) {
        Network::opened(self, link, now_us);
    }

    fn closed(&mut self, link: LinkId, error: ConnectionError, now_us: u64) {
        Network::closed(self, link, error, now_us);
    }

    fn space(&mut self, link: LinkId) -> &mut [u8] {
        Network::space(self, link)
    }

    fn received(&mut self, link: LinkId, bytes: usize, now_us: u64) {
        Network::received(self, link, bytes, now_us);
        assert_eq!(self.next_response(link, now_us), None, "nothing was asked");
    }

    fn output<'a>(&'a self, link: LinkId, slices: &mut Slices<'a>) {
        if let Some(connection) = self.connection_ref(link) {
            slices.push(connection.output());
        }
    }

    fn wrote(&mut self, link: LinkId, bytes: usize) {
        if let Some(connection) = self.connection(link) {
            connection.wrote(bytes);
        }
    }

    fn next_deadline_us(&self, now_us: u64) -> u64 {
        Network::next_deadline_us(self, now_us)
    }

    fn handle_timeout(&mut self, now_us: u64) {
        Network::handle_timeout(self, now_us);
    }

    fn has_news(&self) -> bool {
        self.trouble().is_some()
    }
}

#[test]
fn a_broker_that_does_not_answer_ends_the_connection_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    on_an_executor(move || async move {
        let settings = NetworkSettings {
            bootstrap: vec![Bootstrap { host: "127.0.0.1".into(), port }],
            connection: ConnectionSettings {
                client_id: "c".into(),
                receive_bytes: 1_024,
                response_most_bytes: 10_000,
                handshake_us: 20_000,
                login: None,
            },
            refresh: RefreshTimes { age_us: 1_000_000, shortest_us: 1_000, longest_us: 1_000 },
            reconnect_shortest_us: 1_000,
            reconnect_longest_us: 1_000,
            question_us: 10_000,
            hedge_us: 1_000,
            idle_us: 1_000_000,
            traces: false,
        };
        let shell = Shell::new(Network::<()>::new(settings, std::sync::Arc::default()), None);
        let peer = Peer { broker: -1, purpose: Purpose::Control };
        assert_eq!(shell.with(|network, now_us| network.ready(peer, now_us)), None);
        shell.wait(LIMIT).await;
        let trouble = shell.with(|network, _| network.trouble().unwrap().1.to_string());
        assert_eq!(trouble, "ApiVersions was not answered in time");
    });
    drop(listener);
}

/// A reader that waits for an answer does not take records meanwhile.
#[test]
fn news_that_nobody_takes_are_told_once_and_keep_nobody_from_work() {
    on_an_executor(move || async move {
        let error = Some(ConnectionError::GivenUp);
        let shell = Shell::new(Echoed { error, ..Echoed::default() }, None);
        let has_worked = Rc::new(Cell::new(false));
        let work = has_worked.clone();
        glommio::spawn_local(async move {
            glommio::timer::sleep(Duration::from_millis(1)).await;
            work.set(true);
        })
        .detach();
        let (started, mut waits) = (Instant::now(), 0);
        while !has_worked.get() && started.elapsed() < LIMIT {
            shell.with(|_, _| ());
            shell.wait(LIMIT).await;
            waits += 1;
        }
        assert!(has_worked.get(), "after {waits} waits");
        shell.with(|_, _| ());
        let (started, pause) = (Instant::now(), Duration::from_millis(20));
        for _ in 0..3 {
            shell.wait(pause).await;
        }
        assert!(started.elapsed() >= 2 * pause, "only the first one ends at once: {:?}", started.elapsed());
    });
}
