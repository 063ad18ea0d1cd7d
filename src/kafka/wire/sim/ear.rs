//! What goes on a connection, as somebody hears it who understands frames and no more.

use std::collections::VecDeque;

use kafka_protocol::messages::ApiKey;

/// Listens to one connection.
#[derive(Debug, Default)]
pub(super) struct Ear {
    outgoing: Framing,
    incoming: Framing,
    /// Requests that have begun and have no answer.
    asked: VecDeque<i16>,
}

/// Where one direction is: bytes of the next head, or how much of the frame is left.
#[derive(Debug, Default)]
struct Framing {
    head: Vec<u8>,
    left: usize,
}

/// A frame's length, and the two bytes behind it.
const HEAD_BYTES: usize = 6;

impl Framing {
    /// Calls `begins` with the first two bytes of each frame, and `ends` for each that is whole.
    fn hear(&mut self, mut bytes: &[u8], mut begins: impl FnMut(i16), mut ends: impl FnMut()) {
        while !bytes.is_empty() {
            if self.left == 0 {
                let missing = (HEAD_BYTES - self.head.len()).min(bytes.len());
                self.head.extend_from_slice(&bytes[..missing]);
                bytes = &bytes[missing..];
                let Some((length, front)) = self.head.split_first_chunk::<4>() else { return };
                let Some(front) = front.first_chunk::<2>() else { return };
                let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
                begins(i16::from_be_bytes(*front));
                self.left = length.saturating_sub(2);
                self.head.clear();
            }
            let taken = self.left.min(bytes.len());
            self.left -= taken;
            bytes = &bytes[taken..];
            if self.left == 0 {
                ends();
            }
        }
    }
}

impl Ear {
    /// The client writes this. Returns the requests that begin with it.
    pub(super) fn hear_client(&mut self, bytes: &[u8]) -> Vec<i16> {
        let mut begun = Vec::new();
        self.outgoing.hear(bytes, |api| begun.push(api), || {});
        self.asked.extend(&begun);
        begun
    }

    /// The client is given this.
    pub(super) fn hear_server(&mut self, bytes: &[u8]) {
        let asked = &mut self.asked;
        self.incoming.hear(bytes, |_| {}, || _ = asked.pop_front());
    }

    /// Requests without an answer.
    pub(super) fn in_flight(&self) -> usize {
        self.asked.len()
    }

    /// Those of one kind.
    pub(super) fn in_flight_of(&self, api: ApiKey) -> usize {
        self.asked.iter().filter(|asked| **asked == api as i16).count()
    }
}
