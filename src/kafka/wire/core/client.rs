//! What all clients have in common: a network, and something of their own that follows from what comes in on it.

use super::{
    connection::{Connection, ConnectionError, Response},
    machine::{Action, LinkId, Machine, Slices},
    network::Network,
    notice::Notice,
};

/// A client that stands on a [`Network`], and so is a [`Machine`].
pub(crate) trait Client {
    /// By this it knows its requests.
    type Tag: Copy;

    /// Its connections.
    fn network(&self) -> &Network<Self::Tag>;
    /// The same, to change them.
    fn network_mut(&mut self) -> &mut Network<Self::Tag>;
    /// Takes in an answer.
    fn take_in(&mut self, link: LinkId, response: Response<Self::Tag>, now_us: u64);
    /// All answers that have come on a link were taken in.
    fn took_in(&mut self, _link: LinkId, _now_us: u64) {}
    /// Does what follows from what has happened.
    fn follow_up(&mut self, now_us: u64);
    /// Does whatever is due.
    fn keep_time(&mut self, now_us: u64) {
        self.follow_up(now_us);
    }
    /// When something beside the network's is due, µs; `u64::MAX`: never.
    fn own_deadline_us(&self, now_us: u64) -> u64;
    /// What it writes on a link beside what the connection has.
    fn own_output<'a>(&'a self, _link: LinkId, _slices: &mut Slices<'a>) {}
    /// So many bytes of that have been written.
    fn wrote_own(&mut self, _link: LinkId, _bytes: usize) {}
    /// Whether there is something for whoever waits for it.
    fn has_own_news(&self) -> bool;
}

impl<C: Client> Machine for C {
    fn poll_action(&mut self) -> Option<Action> {
        self.network_mut().poll_action()
    }

    fn poll_notice(&mut self) -> Option<Notice> {
        self.network_mut().poll_notice()
    }

    fn opened(&mut self, link: LinkId, now_us: u64) {
        self.network_mut().opened(link, now_us);
    }

    fn closed(&mut self, link: LinkId, error: ConnectionError, now_us: u64) {
        self.network_mut().closed(link, error, now_us);
        self.follow_up(now_us);
    }

    fn space(&mut self, link: LinkId) -> &mut [u8] {
        self.network_mut().space(link)
    }

    fn missing_bytes(&self, link: LinkId) -> usize {
        self.network().connection_ref(link).map_or(0, Connection::missing_bytes)
    }

    fn received(&mut self, link: LinkId, bytes: usize, now_us: u64) {
        self.network_mut().received(link, bytes, now_us);
        while let Some(response) = self.network_mut().next_response(link, now_us) {
            self.take_in(link, response, now_us);
        }
        self.took_in(link, now_us);
        self.follow_up(now_us);
    }

    fn output<'a>(&'a self, link: LinkId, slices: &mut Slices<'a>) {
        let Some(connection) = self.network().connection_ref(link) else { return };
        // Only the first thing on a connection, and questions, are here: never beside records.
        slices.push(connection.output());
        self.own_output(link, slices);
    }

    fn wrote(&mut self, link: LinkId, bytes: usize) {
        let Some(connection) = self.network_mut().connection(link) else { return };
        let of_connection = connection.output().len().min(bytes);
        connection.wrote(of_connection);
        self.wrote_own(link, bytes - of_connection);
    }

    fn next_deadline_us(&self, now_us: u64) -> u64 {
        self.network().next_deadline_us(now_us).min(self.own_deadline_us(now_us))
    }

    fn handle_timeout(&mut self, now_us: u64) {
        self.keep_time(now_us);
    }

    fn has_news(&self) -> bool {
        self.has_own_news()
    }
}
