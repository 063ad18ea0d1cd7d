//! The simulated cluster on sockets of this machine, for librdkafka, which makes its connections by itself.

use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{Flavour, run, server::Server, topic::Settings};
use crate::{
    config::Security,
    kafka::{
        ClientFactory, ClientSettings, Isolation, KnownBrokers, LogEvent, LogReader, LogVisitor, OffsetSpec,
        ReaderSettings,
        fake::on_an_executor,
        librdkafka::{AdminClient, Librdkafka},
        observer::Admin,
    },
    partitions::{PartitionSlot, PartitionTable},
    record::RecordView,
    runtime::cores::cpu_set::CpuSet,
};

/// A connection that says nothing is looked after so often: an answer may be due.
const TICK: Duration = Duration::from_millis(5);

/// A cluster that listens.
struct Sockets {
    listening: Arc<Listening>,
    ports: Vec<u16>,
    threads: Vec<JoinHandle<()>>,
}

struct Listening {
    server: Mutex<Server>,
    began: Instant,
    is_over: AtomicBool,
}

impl Listening {
    fn server(&self) -> MutexGuard<'_, Server> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries what a client says to a node, and what that answers.
    fn carry(&self, node: i32, mut stream: TcpStream) {
        let id = self.server().connect(node);
        let mut buffer = [0; 4_096];
        let _ = stream.set_read_timeout(Some(TICK));
        while !self.is_over.load(Ordering::Relaxed) {
            let count = match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => 0,
                Err(_) => break,
            };
            let mut server = self.server();
            server.advance_to(u64::try_from(self.began.elapsed().as_micros()).expect("a short test"));
            server.receive(id, &buffer[..count]);
            let (output, is_closed) = (server.output(id), server.has_closed(id));
            drop(server);
            if stream.write_all(&output).is_err() || is_closed {
                break;
            }
        }
        self.server().hang_up(id);
    }
}

impl Sockets {
    fn start(mut server: Server) -> Self {
        let listen = |_| TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let listeners: Vec<_> = (0..server.nodes).map(listen).collect();
        let ports: Vec<_> =
            listeners.iter().map(|one| one.local_addr().expect("an address").port()).collect();
        server.ports.clone_from(&ports);
        let (server, is_over) = (Mutex::new(server), AtomicBool::new(false));
        let listening = Arc::new(Listening { server, began: Instant::now(), is_over });
        let accepting = (0..).zip(listeners).map(|(node, listener)| {
            let listening = listening.clone();
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    if listening.is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    let listening = listening.clone();
                    thread::spawn(move || listening.carry(node, stream));
                }
            })
        });
        Self { threads: accepting.collect(), ports, listening }
    }

    /// Of a client that knows of this node only.
    fn known(&self, node: usize) -> ClientSettings {
        ClientSettings {
            bootstrap: format!("127.0.0.1:{}", self.ports[node]),
            known: KnownBrokers::default(),
            client_id: "client".to_owned(),
            metadata_max_age: Duration::from_mins(5),
            trace: false,
            security: Security::default(),
            overrides: Vec::new(),
        }
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        self.listening.is_over.store(true, Ordering::Relaxed);
        for (port, thread) in self.ports.iter().zip(self.threads.drain(..)) {
            // It wakes who accepts.
            if TcpStream::connect(("127.0.0.1", *port)).is_ok() {
                let _ = thread.join();
            }
        }
    }
}

/// Three nodes; the first one led, and has not heard that another does since, which has written so much.
fn deposed(end: i64) -> Sockets {
    let mut server = Server::new(Flavour::Kafka41, 3, run::BEGAN_MS);
    let settings = Settings::of(&[]).expect("no settings");
    server.make_topic(run::TOPIC, 1, 3, settings.clone());
    server.isolate_node(0);
    let partition = server.partition(run::TOPIC, 0).expect("the topic");
    let (leader, epoch) = (partition.leader, partition.epoch);
    assert_eq!((leader, partition.led_as(0).0), (1, 0));
    let log = &mut partition.replicas.get_mut(&leader).expect("its replica").log;
    for _ in 0..end {
        log.append_marker((1, 0), true, epoch, (&settings, run::BEGAN_MS));
    }
    partition.replicate();
    Sockets::start(server)
}

/// Any; those that do not exist do no harm.
fn cpus() -> CpuSet {
    (0..64).collect()
}

struct Ignored;

impl LogVisitor for Ignored {
    fn record(&mut self, _partition: PartitionSlot, _record: &RecordView<'_>) {}

    fn event(&mut self, _partition: PartitionSlot, _event: LogEvent<'_>) {}
}

#[test]
fn whoever_asks_librdkafka_s_observer_hears_of_the_newest_leader() {
    let sockets = deposed(5);
    let admin = AdminClient::start(&sockets.known(0), &cpus()).expect("a client");
    let answers = admin.offsets(run::TOPIC, &[0], OffsetSpec::End, Isolation::ReadUncommitted, &mut || false);
    let ends: Vec<_> =
        answers.expect("answers").into_iter().map(|(_, answer)| answer.map(|end| end.offset)).collect();
    assert_eq!(ends, [Ok(5)], "not where the deposed leader's log ends");
}

#[test]
fn librdkafka_s_reader_asks_another_broker_before_it_believes_an_end() {
    let sockets = deposed(5);
    on_an_executor(async {
        let table = Arc::new(PartitionTable::of_topic(run::TOPIC, [0]));
        let settings = ReaderSettings::here_and_there(Isolation::ReadUncommitted);
        let clients = Librdkafka::new(sockets.known(0), cpus());
        let mut reader = clients.reader(&settings, &table).expect("a client");
        let mut ends = Vec::new();
        for _ in 0..2 {
            let question = reader.ask_offsets(&[PartitionSlot::new(0)], OffsetSpec::End);
            let answers = loop {
                reader.poll(&mut Ignored);
                match reader.answers(question) {
                    Some(answers) => break answers,
                    None => reader.wait(TICK).await,
                }
            };
            ends.extend(answers.into_iter().map(|(_, answer)| answer.map(|end| end.offset)));
        }
        assert_eq!(ends, [Ok(0), Ok(5)], "the second look is not of the deposed leader");
    });
}
