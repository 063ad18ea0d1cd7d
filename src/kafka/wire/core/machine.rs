//! What a whole client without I/O looks like to whatever gives it sockets and time: the shell, or a simulator.

use std::{io::IoSlice, rc::Rc};

use super::{connection::ConnectionError, notice::Notice};

/// One connection, from its opening to its end. A number is never used again for another connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LinkId {
    pub(in crate::kafka::wire) slot: usize,
    pub(in crate::kafka::wire) generation: u32,
}

/// What is to be done for a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Connect. [`Machine::opened`] or [`Machine::closed`] follows.
    Open {
        /// The connection.
        link: LinkId,
        /// A name, or an address.
        host: Rc<str>,
        /// The port.
        port: u16,
    },
    /// Close it: nothing more is read or written. [`Machine::closed`] need not follow.
    Close {
        /// The connection.
        link: LinkId,
    },
}

/// A client as a state machine: bytes and time go in, bytes and actions come out. Times are µs on one clock that never
/// goes back. A link that is over is ignored wherever it is named.
pub(crate) trait Machine {
    /// The next thing to be done, as long as there is one.
    fn poll_action(&mut self) -> Option<Action>;
    /// The connection is there.
    fn opened(&mut self, link: LinkId, now_us: u64);
    /// The connection could not be opened, or is over.
    fn closed(&mut self, link: LinkId, error: ConnectionError, now_us: u64);
    /// Where bytes that come in go: empty only for a link that is over.
    fn space(&mut self, link: LinkId) -> &mut [u8];
    /// Nothing follows from less than so many bytes more; 0: that is not known.
    fn missing_bytes(&self, _link: LinkId) -> usize {
        0
    }
    /// So many bytes have come in.
    fn received(&mut self, link: LinkId, bytes: usize, now_us: u64);
    /// What is to be written next, in pieces; some of it, if there is more than `slices` have room for.
    fn output<'a>(&'a self, link: LinkId, slices: &mut Slices<'a>);
    /// So many bytes of that have been written.
    fn wrote(&mut self, link: LinkId, bytes: usize);
    /// When [`Self::handle_timeout`] is due, µs; `u64::MAX`: not before something else happens.
    fn next_deadline_us(&self, now_us: u64) -> u64;
    /// Does whatever is due.
    fn handle_timeout(&mut self, now_us: u64);
    /// Whether there is something for whoever waits for this client.
    fn has_news(&self) -> bool;
    /// The next thing that is to be said of its connections, as long as there is one.
    fn poll_notice(&mut self) -> Option<Notice> {
        None
    }
}

/// So many at once: the system takes 1,024, but what 128 of them hold fills a socket's buffer where values are large.
const MOST_SLICES: usize = 128;

/// Pieces of what goes out, for one system call.
#[derive(Debug, Default)]
pub(crate) struct Slices<'a> {
    /// Made with the first piece: most connections have nothing to say most of the time.
    array: Option<[IoSlice<'a>; MOST_SLICES]>,
    used: usize,
    bytes: usize,
}

impl<'a> Slices<'a> {
    /// None.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a piece, if there is room for it. Returns whether there was.
    #[inline]
    pub(crate) fn push(&mut self, piece: &'a [u8]) -> bool {
        if piece.is_empty() {
            return true;
        }
        // Not made for each piece: it has 2 KiB.
        let array = self.array.get_or_insert_with(|| [IoSlice::new(&[]); MOST_SLICES]);
        let Some(slot) = array.get_mut(self.used) else { return false };
        *slot = IoSlice::new(piece);
        self.used += 1;
        self.bytes += piece.len();
        true
    }

    /// Bytes in all pieces together.
    #[must_use]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The pieces.
    #[must_use]
    pub(crate) fn as_io_slices(&self) -> &[IoSlice<'a>] {
        self.array.as_ref().map_or(&[], |array| &array[..self.used])
    }

    /// The first piece; empty where there is none.
    #[must_use]
    pub(crate) fn first(&self) -> &[u8] {
        self.as_io_slices().first().map_or(&[], |piece| piece)
    }
}
