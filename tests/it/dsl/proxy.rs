//! A proxy on loopback in front of one broker, which knows what passes through it, and lies where a test says so.
//!
//! Clients stay on it: in every answer that names the broker it puts itself in that place. Everything that
//! it starts ends when it is dropped.

use std::{
    collections::HashMap,
    io::{self, ErrorKind, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI32, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
};

use kafka_protocol::messages::ApiKey;

use super::{
    Cluster, Topic,
    protocol::{self, Dialect, Message},
};

/// What becomes of a message.
#[derive(Debug)]
pub enum Fate {
    /// It goes on, as it is now.
    Pass,
    /// It goes nowhere, and nobody is told.
    Swallow,
    /// So many of its bytes go on, counted around its size; then the connection ends.
    CutAt(usize),
    /// It goes on, with another length than it has in front of it; only answers do.
    OfLength(i32),
    /// It goes on, and a request like it follows, of which the client knows nothing.
    With(Box<Message>),
}

/// What a proxy does to what passes.
pub trait Rule: Send + 'static {
    /// Changes a message, and says what becomes of it.
    fn pass(&mut self, message: &mut Message) -> Fate;

    /// The broker's answer to a request that only the proxy knows of.
    fn answered(&mut self, _answer: Message) {}
}

/// Nothing is done to it.
pub struct Honest;

impl Rule for Honest {
    fn pass(&mut self, _message: &mut Message) -> Fate {
        Fate::Pass
    }
}

/// The proxy.
pub struct Proxy<R: Rule> {
    shared: Arc<Shared<R>>,
    port: u16,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared<R> {
    broker: String,
    port: u16,
    dialect: Dialect,
    rule: Mutex<R>,
    stopping: AtomicBool,
    /// Numbers of requests that only the proxy knows of: below all of the clients'.
    own: AtomicI32,
    sockets: Mutex<Vec<TcpStream>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<R: Rule> Proxy<R> {
    pub fn start(cluster: &Cluster, rule: R) -> Self {
        Self::start_with(cluster, Dialect::Own, rule)
    }

    /// One in front of a broker that seems to be an older one, or another's.
    pub fn start_with(cluster: &Cluster, dialect: Dialect, rule: R) -> Self {
        // The socket is held from here on: no other process can take the port.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let shared = Arc::new(Shared {
            broker: cluster.bootstrap().to_owned(),
            port,
            dialect,
            rule: Mutex::new(rule),
            stopping: AtomicBool::new(false),
            own: AtomicI32::new(i32::MIN),
            sockets: Mutex::default(),
            threads: Mutex::default(),
        });
        let accepting = shared.clone();
        let acceptor = thread::spawn(move || accepting.accept(&listener));
        Self { shared, port, acceptor: Some(acceptor) }
    }

    /// The flags that lead a verifier to a topic, through here.
    pub fn flags(&self, topic: &Topic) -> String {
        format!("--brokers 127.0.0.1:{} --topic {}", self.port, topic.name())
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The rule, with what it has noted.
    pub fn rule(&self) -> MutexGuard<'_, R> {
        lock(&self.shared.rule)
    }
}

impl<R: Rule> Drop for Proxy<R> {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Relaxed);
        // Whoever waits for a client gets one, and sees that it is time.
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        for socket in lock(&self.shared.sockets).drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
        let threads = std::mem::take(&mut *lock(&self.shared.threads));
        for thread in threads {
            let _ = thread.join();
        }
    }
}

/// A client's connection, and the one that leads on to the broker.
struct Pair<R> {
    shared: Arc<Shared<R>>,
    client: TcpStream,
    broker: TcpStream,
    /// What the broker has not answered yet.
    asked: Mutex<HashMap<i32, (ApiKey, i16)>>,
}

impl<R: Rule> Shared<R> {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        while let Ok((client, _)) = listener.accept() {
            if self.stopping.load(Relaxed) {
                return;
            }
            // Without the broker there is nothing here, either.
            if let Ok(broker) = TcpStream::connect(&self.broker) {
                let _ = self.join(client, broker);
            }
        }
    }

    fn join(self: &Arc<Self>, client: TcpStream, broker: TcpStream) -> io::Result<()> {
        for socket in [&client, &broker] {
            socket.set_nodelay(true)?;
            lock(&self.sockets).push(socket.try_clone()?);
        }
        let pair = Arc::new(Pair { shared: self.clone(), client, broker, asked: Mutex::default() });
        for carry in [Pair::requests, Pair::responses] {
            let pair = pair.clone();
            lock(&self.threads).push(thread::spawn(move || pair.carry(carry)));
        }
        Ok(())
    }
}

impl<R: Rule> Pair<R> {
    /// Carries messages one way until a connection ends, and then ends the other.
    fn carry(&self, one_way: fn(&Self) -> io::Result<()>) {
        if let Err(error) = one_way(self)
            && error.kind() == ErrorKind::InvalidData
        {
            eprintln!("a proxy cuts a connection, because it does not understand it: {error}");
        }
        for socket in [&self.client, &self.broker] {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    fn requests(&self) -> io::Result<()> {
        loop {
            let mut message = Message::request(&protocol::read(&mut &self.client)?)?;
            let (kind, dialect) = (message.kind, self.shared.dialect);
            if !dialect.knows(kind) {
                let text = format!("{dialect:?} has no {:?} {}", kind.api, kind.version);
                return Err(io::Error::new(ErrorKind::InvalidData, text));
            }
            // Not held while something is sent: the other way needs it too.
            let fate = lock(&self.shared.rule).pass(&mut message);
            match fate {
                Fate::Pass | Fate::OfLength(_) => self.ask(&message)?,
                Fate::Swallow => {}
                Fate::CutAt(place) => return cut(&self.broker, &message, place),
                Fate::With(copy) => {
                    self.ask(&message)?;
                    self.ask(&copy.numbered(self.shared.own.fetch_add(1, Relaxed)))?;
                }
            }
        }
    }

    fn ask(&self, message: &Message) -> io::Result<()> {
        lock(&self.asked).insert(message.correlation, (message.kind.api, message.kind.version));
        (&self.broker).write_all(&message.bytes()?)
    }

    fn responses(&self) -> io::Result<()> {
        loop {
            let bytes = protocol::read(&mut &self.broker)?;
            let number = i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            let unasked =
                || io::Error::new(ErrorKind::InvalidData, format!("answer {number} to no question"));
            let (api, version) = lock(&self.asked).remove(&number).ok_or_else(unasked)?;
            let mut message = Message::response(api, version, &bytes)?;
            message.lead_to(self.shared.port, self.shared.dialect);
            let mut rule = lock(&self.shared.rule);
            if number < 0 {
                rule.answered(message);
                continue;
            }
            let fate = rule.pass(&mut message);
            drop(rule);
            match fate {
                Fate::Pass | Fate::With(_) => (&self.client).write_all(&message.bytes()?)?,
                Fate::OfLength(length) => {
                    let mut bytes = message.bytes()?;
                    bytes[..4].copy_from_slice(&length.to_be_bytes());
                    (&self.client).write_all(&bytes)?;
                }
                Fate::Swallow => {}
                Fate::CutAt(place) => return cut(&self.client, &message, place),
            }
        }
    }
}

/// Sends a part of a message, and no more.
fn cut(mut to: &TcpStream, message: &Message, place: usize) -> io::Result<()> {
    let bytes = message.bytes()?;
    to.write_all(&bytes[..place % bytes.len()])
}
