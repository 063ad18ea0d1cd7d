//! The network between a client and the simulated cluster: bytes take their time, come in pieces, and connections are cut.

use std::collections::VecDeque;

use kafka_protocol::messages::ApiKey;

use super::{ear::Ear, server::Server};
use crate::{
    kafka::wire::core::{
        connection::ConnectionError,
        machine::{Action, LinkId, Machine, Slices},
    },
    random::Random,
};

/// How good a network is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weather {
    /// The longest that a piece takes one way, µs.
    pub latency_most_us: u64,
    /// The largest piece, in bytes.
    pub piece_most_bytes: usize,
    /// How likely a piece is the last one of its connection: it is cut within.
    pub cut: f64,
    /// How likely a connection cannot be opened.
    pub refused: f64,
    /// How likely nothing more arrives from a piece on, either way, and nobody is told.
    pub half_open: f64,
}

impl Weather {
    /// The same distances, and nothing goes wrong.
    pub(super) fn calm(self) -> Self {
        Self { cut: 0.0, refused: 0.0, half_open: 0.0, ..self }
    }
}

/// What a client may have in flight on one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct InFlight {
    pub produce: usize,
    pub fetch: usize,
}

/// A connection that nobody answers is given up by whoever opens it after so long, µs.
const OPENING_US: u64 = 3_000_000;
/// Questions that a client may have in flight beside its data.
const QUESTIONS: usize = 12;

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
    /// Nothing arrives any more, and nobody knows.
    is_dead: bool,
    latency_most_us: u64,
    ear: Ear,
    /// Until then the node reads nothing, as the client has been told, µs.
    muted_until_us: u64,
    /// When it was told so: what it had begun to write in the same moment it could not take back, µs.
    told_mute_us: u64,
}

/// The connections of one client.
#[derive(Debug)]
pub(super) struct Lines {
    weather: Weather,
    all: Vec<Line>,
    allowed: InFlight,
    /// Connections that were cut.
    pub cuts: usize,
    /// What the client did that it may not do.
    pub wrong: Vec<String>,
}

/// The first node's port; the next ones follow.
pub(super) const FIRST_PORT: u16 = 9_092;

impl Lines {
    /// Of a client that may have anything in flight.
    pub(super) fn new(weather: Weather) -> Self {
        Self::allowing(weather, InFlight { produce: usize::MAX / 2, fetch: usize::MAX })
    }

    pub(super) fn allowing(weather: Weather, allowed: InFlight) -> Self {
        Self { weather, all: Vec::new(), allowed, cuts: 0, wrong: Vec::new() }
    }

    pub(super) fn set_weather(&mut self, weather: Weather) {
        self.weather = weather;
    }

    /// The client closes connections for a reason of its own.
    pub(super) fn expect_closings(&mut self) {
        self.all.iter_mut().for_each(|line| line.muted_until_us = 0);
    }

    /// Does what the client wants, and carries what is due. Returns whether anything happened.
    pub(super) fn carry(
        &mut self,
        client: &mut impl Machine,
        server: &mut Server,
        random: &mut Random,
    ) -> bool {
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
            is_busy |= self.hand_to_client(index, client, server);
        }
        self.all.retain(|line| !line.is_over());
        is_busy
    }

    fn act(&mut self, action: &Action, server: &mut Server, random: &mut Random) {
        match action {
            Action::Open { link, port, .. } => {
                let is_refused = random.chance(self.weather.refused);
                let is_silent = is_refused && random.chance(0.3);
                let node = port.checked_sub(FIRST_PORT).map(i32::from).filter(|_| !is_refused);
                let latency_most_us = self.weather.latency_most_us << if random.chance(0.1) { 3 } else { 0 };
                let takes_us = if is_silent { OPENING_US } else { 1 + random.below(latency_most_us) };
                self.all.push(Line {
                    link: *link,
                    is_open: false,
                    opens_us: server.now_us() + takes_us,
                    node,
                    connection: None,
                    to_server: VecDeque::new(),
                    to_client: VecDeque::new(),
                    is_cut: false,
                    is_dead: false,
                    latency_most_us,
                    ear: Ear::default(),
                    muted_until_us: 0,
                    told_mute_us: 0,
                });
            }
            Action::Close { link } => {
                let now_us = server.now_us();
                if let Some(line) = self.all.iter_mut().find(|line| line.link == *link) {
                    if line.muted_until_us > now_us && !line.is_cut {
                        let until_us = line.muted_until_us;
                        self.wrong.push(format!(
                            "at {now_us} µs a connection is given up that is mute until {until_us}"
                        ));
                    }
                    if line.is_dead {
                        line.to_server.clear();
                    }
                    line.connection.take().into_iter().for_each(|connection| server.hang_up(connection));
                    (line.is_open, line.is_cut, line.opens_us) = (false, true, u64::MAX);
                    line.to_client.clear();
                }
            }
        }
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
        let Weather { cut, half_open, .. } = self.weather;
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
        if let Some(wrong) = line.hear(&bytes, self.allowed, now_us) {
            self.wrong.push(format!("at {now_us} µs {wrong}"));
        }
        line.is_dead |= random.chance(half_open);
        if line.is_dead {
            return true;
        }
        let latency_us = 1 + random.below(line.latency_most_us);
        let is_cut = random.chance(cut);
        self.cuts += usize::from(is_cut);
        send(&mut line.to_server, now_us + latency_us, bytes, is_cut, random);
        true
    }

    fn hand_to_server(&mut self, index: usize, server: &mut Server) -> bool {
        let line = &mut self.all[index];
        let Some(bytes) = due(&mut line.to_server, server.now_us()) else { return false };
        if line.is_dead {
            return true;
        }
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
        let Weather { cut, half_open, .. } = self.weather;
        let line = &mut self.all[index];
        let Some(connection) = line.connection else { return false };
        let bytes = server.output(connection);
        let is_over = server.has_closed(connection);
        line.is_dead |= !bytes.is_empty() && random.chance(half_open);
        if line.is_dead {
            if is_over {
                line.connection.take().into_iter().for_each(|connection| server.hang_up(connection));
            }
            return !bytes.is_empty() || is_over;
        }
        let latency_us = 1 + random.below(line.latency_most_us);
        let at_us = server.now_us() + latency_us;
        let is_busy = !bytes.is_empty() || is_over;
        for piece in bytes.chunks(1 + random.index(self.weather.piece_most_bytes)) {
            let is_cut = random.chance(cut);
            self.cuts += usize::from(is_cut);
            send(&mut line.to_client, at_us, piece.to_vec(), is_cut, random);
        }
        if is_over {
            server.hang_up(connection);
            line.connection = None;
            line.to_client.push_back((at_us, Vec::new()));
        }
        is_busy
    }

    fn hand_to_client(&mut self, index: usize, client: &mut impl Machine, server: &Server) -> bool {
        let now_us = server.now_us();
        let line = &mut self.all[index];
        let Some(mut bytes) = due(&mut line.to_client, now_us) else { return false };
        if line.is_cut || line.is_dead {
            return true;
        }
        line.ear.hear_server(&bytes);
        if let Some(connection) = line.connection.filter(|_| line.to_client.is_empty()) {
            let until_us = server.muted_until_us(connection);
            if until_us != line.muted_until_us {
                (line.muted_until_us, line.told_mute_us) = (until_us, now_us);
            }
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
    pub(super) fn next_deadline_us(&self) -> Option<u64> {
        let all = self.all.iter().flat_map(|line| {
            let opens = (!line.is_open && !line.is_cut).then_some(line.opens_us);
            let pieces = [&line.to_server, &line.to_client].map(|queue| queue.front().map(|piece| piece.0));
            [opens, pieces[0], pieces[1]]
        });
        all.flatten().min()
    }
}

impl Line {
    /// What the client may not write, if it does.
    fn hear(&mut self, bytes: &[u8], allowed: InFlight, now_us: u64) -> Option<String> {
        let begun = self.ear.hear_client(bytes);
        if begun.is_empty() {
            return None;
        }
        let [produce, fetch] = [ApiKey::Produce, ApiKey::Fetch].map(|api| self.ear.in_flight_of(api));
        let all = self.ear.in_flight();
        let is_data = begun.iter().any(|api| *api == ApiKey::Produce as i16 || *api == ApiKey::Fetch as i16);
        if produce > allowed.produce || fetch > allowed.fetch || all > allowed.produce + QUESTIONS {
            return Some(format!("{produce} Produce, {fetch} Fetch, {all} in all are in flight"));
        }
        let is_mute = (self.told_mute_us + 1..self.muted_until_us).contains(&now_us) && is_data;
        (is_mute && all > 1).then(|| format!("{all} are in flight to a node that is mute"))
    }

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
