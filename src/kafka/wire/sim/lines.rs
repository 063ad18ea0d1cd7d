//! The network between a client and the simulated cluster: bytes take their time, come in pieces, and connections are cut.

use std::collections::VecDeque;

use super::server::Server;
use crate::{
    kafka::wire::core::{
        connection::ConnectionError,
        machine::{Action, LinkId, Machine, Slices},
    },
    random::Random,
};

/// How good a network is.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// The longest that a piece takes one way, µs.
    pub latency_most_us: u64,
    /// The largest piece, in bytes.
    pub piece_most_bytes: usize,
    /// How likely a piece is the last one of its connection: it is cut within.
    pub cut: f64,
    /// How likely a connection cannot be opened.
    pub refused: f64,
}

/// Bytes on their way, and when they arrive. Empty ones are the end of the connection.
type Piece = (u64, Vec<u8>);

#[derive(Debug)]
struct Line {
    link: LinkId,
    /// Whether its client knows that it is open.
    is_open: bool,
    opens_us: u64,
    /// `None`: nobody is there.
    node: Option<i32>,
    connection: Option<u64>,
    to_server: VecDeque<Piece>,
    to_client: VecDeque<Piece>,
    /// Nothing goes on it any more, either way.
    is_cut: bool,
}

/// The connections of one client.
#[derive(Debug)]
pub struct Lines {
    weather: Weather,
    all: Vec<Line>,
    /// Connections that were cut.
    pub cuts: usize,
}

/// The first node's port; the next ones follow.
pub const FIRST_PORT: u16 = 9_092;

impl Lines {
    pub fn new(weather: Weather) -> Self {
        Self { weather, all: Vec::new(), cuts: 0 }
    }

    pub fn set_weather(&mut self, weather: Weather) {
        self.weather = weather;
    }

    /// Does what the client wants, and carries what is due. Returns whether anything happened.
    pub fn carry(&mut self, client: &mut impl Machine, server: &mut Server, random: &mut Random) -> bool {
        let now_us = server.now_us();
        let mut is_busy = false;
        while let Some(action) = client.poll_action() {
            is_busy = true;
            self.act(&action, server, random);
        }
        for index in 0..self.all.len() {
            is_busy |= self.open(index, client, server);
            is_busy |= self.take(index, client, now_us, random);
            is_busy |= self.hand_to_server(index, server);
            is_busy |= self.take_answers(index, server, random);
            is_busy |= self.hand_to_client(index, client, now_us);
        }
        self.all.retain(|line| !line.is_over());
        is_busy
    }

    fn act(&mut self, action: &Action, server: &mut Server, random: &mut Random) {
        match action {
            Action::Open { link, port, .. } => {
                let node = port
                    .checked_sub(FIRST_PORT)
                    .map(i32::from)
                    .filter(|_| !random.chance(self.weather.refused));
                self.all.push(Line {
                    link: *link,
                    is_open: false,
                    opens_us: server.now_us() + self.latency_us(random),
                    node,
                    connection: None,
                    to_server: VecDeque::new(),
                    to_client: VecDeque::new(),
                    is_cut: false,
                });
            }
            Action::Close { link } => {
                if let Some(line) = self.all.iter_mut().find(|line| line.link == *link) {
                    line.connection.take().into_iter().for_each(|connection| server.hang_up(connection));
                    (line.is_open, line.is_cut, line.opens_us) = (false, true, u64::MAX);
                    line.to_client.clear();
                }
            }
        }
    }

    fn latency_us(&self, random: &mut Random) -> u64 {
        1 + random.below(self.weather.latency_most_us)
    }

    fn open(&mut self, index: usize, client: &mut impl Machine, server: &mut Server) -> bool {
        let line = &mut self.all[index];
        if line.is_open || line.is_cut || line.opens_us > server.now_us() {
            return false;
        }
        line.connection = line.node.and_then(|node| server.connect_if_up(node));
        if line.connection.is_some() {
            line.is_open = true;
            client.opened(line.link, server.now_us());
        } else {
            (line.is_cut, line.opens_us) = (true, u64::MAX);
            let error = ConnectionError::NotOpened("nobody listens".to_owned());
            client.closed(line.link, error, server.now_us());
        }
        true
    }

    /// Takes some of what the client writes.
    fn take(&mut self, index: usize, client: &mut impl Machine, now_us: u64, random: &mut Random) -> bool {
        let (latency_us, cut) = (self.latency_us(random), self.weather.cut);
        let line = &mut self.all[index];
        if !line.is_open || line.is_cut {
            return false;
        }
        let mut slices = Slices::new();
        client.output(line.link, &mut slices);
        let mut bytes: Vec<u8> =
            slices.as_io_slices().iter().flat_map(|slice| slice.iter().copied()).collect();
        if bytes.is_empty() {
            return false;
        }
        bytes.truncate(1 + random.index(self.weather.piece_most_bytes));
        client.wrote(line.link, bytes.len());
        let is_cut = random.chance(cut);
        self.cuts += usize::from(is_cut);
        send(&mut line.to_server, now_us + latency_us, bytes, is_cut, random);
        true
    }

    fn hand_to_server(&mut self, index: usize, server: &mut Server) -> bool {
        let line = &mut self.all[index];
        let Some(bytes) = due(&mut line.to_server, server.now_us()) else { return false };
        let Some(connection) = line.connection else { return true };
        if bytes.is_empty() {
            // What was answered before may still arrive, or not.
            server.hang_up(connection);
            line.connection = None;
            line.to_client.push_back((server.now_us(), Vec::new()));
        } else {
            server.receive(connection, &bytes);
        }
        true
    }

    fn take_answers(&mut self, index: usize, server: &mut Server, random: &mut Random) -> bool {
        let (latency_us, cut) = (self.latency_us(random), self.weather.cut);
        let line = &mut self.all[index];
        let Some(connection) = line.connection else { return false };
        let bytes = server.output(connection);
        let is_over = server.has_closed(connection);
        let at_us = server.now_us() + latency_us;
        let is_busy = !bytes.is_empty() || is_over;
        for piece in bytes.chunks(1 + random.index(self.weather.piece_most_bytes)) {
            let is_cut = random.chance(cut);
            self.cuts += usize::from(is_cut);
            send(&mut line.to_client, at_us, piece.to_vec(), is_cut, random);
        }
        if is_over {
            line.connection = None;
            line.to_client.push_back((at_us, Vec::new()));
        }
        is_busy
    }

    fn hand_to_client(&mut self, index: usize, client: &mut impl Machine, now_us: u64) -> bool {
        let line = &mut self.all[index];
        let Some(mut bytes) = due(&mut line.to_client, now_us) else { return false };
        if line.is_cut {
            return true;
        }
        if bytes.is_empty() {
            (line.is_cut, line.is_open) = (true, false);
            client.closed(line.link, ConnectionError::Lost("it was cut".to_owned()), now_us);
            return true;
        }
        while !bytes.is_empty() {
            let space = client.space(line.link);
            let count = space.len().min(bytes.len());
            if count == 0 {
                // The client has closed it, and says so with its next action.
                return true;
            }
            space[..count].copy_from_slice(&bytes[..count]);
            client.received(line.link, count, now_us);
            bytes.drain(..count);
        }
        true
    }

    /// When something is due, µs.
    pub fn next_deadline_us(&self) -> Option<u64> {
        let all = self.all.iter().flat_map(|line| {
            let opens = (!line.is_open && !line.is_cut).then_some(line.opens_us);
            let pieces = [&line.to_server, &line.to_client].map(|queue| queue.front().map(|piece| piece.0));
            [opens, pieces[0], pieces[1]]
        });
        all.flatten().min()
    }
}

impl Line {
    fn is_over(&self) -> bool {
        self.is_cut && self.to_server.is_empty() && self.to_client.is_empty()
    }
}

/// Nothing overtakes what was sent before. A piece that is cut is the last one.
fn send(queue: &mut VecDeque<Piece>, at_us: u64, mut bytes: Vec<u8>, is_cut: bool, random: &mut Random) {
    let is_over = queue.back().is_some_and(|last| last.1.is_empty());
    let at_us = queue.back().map_or(at_us, |last| last.0.max(at_us));
    if is_over {
        return;
    }
    if is_cut {
        bytes.truncate(random.index(bytes.len()));
    }
    if !bytes.is_empty() {
        queue.push_back((at_us, bytes));
    }
    if is_cut {
        queue.push_back((at_us, Vec::new()));
    }
}

fn due(queue: &mut VecDeque<Piece>, now_us: u64) -> Option<Vec<u8>> {
    queue.pop_front_if(|piece| piece.0 <= now_us).map(|piece| piece.1)
}
