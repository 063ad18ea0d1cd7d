//! Frames out of a stream of bytes: a length of four bytes, and as many bytes as it says.

use thiserror::Error;

use crate::mutants::enforced;

/// A length that no response has. Nobody knows where the next frame begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a response of {length} bytes, where {most} are the most")]
pub struct FrameError {
    /// The length that was claimed, in bytes.
    pub length: i32,
    /// The largest length that is taken, in bytes.
    pub most: usize,
}

/// What has come in on a connection and has not been dealt with: whole frames, and the beginning of another one.
#[derive(Debug)]
pub(crate) struct Inbox {
    /// Always filled up to its length: only its growth writes zeros.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// What it has at the beginning, in bytes.
    base: usize,
    /// The longest frame that is taken, in bytes.
    most: usize,
}

const LENGTH_BYTES: usize = 4;
/// So many times what it has at the beginning is not more than a frame may be expected to have.
const EXPECTED_BASES: usize = 32;

impl Inbox {
    /// An empty one, with room for `base` bytes; it grows up to frames of `most` bytes.
    #[must_use]
    pub(crate) fn new(base: usize, most: usize) -> Self {
        Self { buffer: Vec::new(), start: 0, end: 0, base: base.max(LENGTH_BYTES), most }
    }

    /// Where the next bytes go: never empty, and not beyond the end of a frame that is larger than what there is at the
    /// beginning: what is behind it would have to be copied, and make room for another one that large. A frame that does not
    /// fit makes it grow: at once where it is not larger than frames may be expected to be, else never by more than what has
    /// come already. A length alone takes no memory. It is the same place again until [`Self::received`] says otherwise.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        let held = self.end - self.start;
        let wanted = match self.length() {
            Some(length) => usize::try_from(length).unwrap_or(0).min(self.most) + LENGTH_BYTES,
            None => LENGTH_BYTES,
        };
        let at_once = self.base.saturating_mul(EXPECTED_BASES);
        let most = if wanted <= at_once { at_once } else { held.max(self.base) * 2 };
        let wanted = wanted.max(self.base).min(most).max(held + 1);
        if self.buffer.len() < wanted {
            // New memory is zero as it comes: writing zeros to it would only fetch it into the cache.
            let mut larger = vec![0; wanted];
            larger[..held].copy_from_slice(&self.buffer[self.start..self.end]);
            self.buffer = larger;
            (self.start, self.end) = (0, held);
        } else if self.buffer.len() - self.start < wanted {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, held);
        }
        &mut self.buffer[self.end..self.start + wanted]
    }

    /// Bytes that are missing of the first frame, as far as its length is known; 0 where nothing is known to be missing.
    #[must_use]
    pub(crate) fn missing_bytes(&self) -> usize {
        let length = self.length().and_then(|length| usize::try_from(length).ok());
        let whole = length.filter(|length| *length <= self.most).map_or(0, |length| length + LENGTH_BYTES);
        whole.saturating_sub(self.end - self.start)
    }

    /// So many bytes have been written to [`Self::space`].
    pub(crate) fn received(&mut self, bytes: usize) {
        self.end = (self.end + bytes).min(self.buffer.len());
    }

    /// The first frame, without its length, if it is there as a whole.
    ///
    /// # Errors
    /// Its length is negative, or more than is taken.
    pub(crate) fn frame(&self) -> Result<Option<&[u8]>, FrameError> {
        let Some(length) = self.length() else { return Ok(None) };
        let bytes = usize::try_from(length)
            .ok()
            .filter(|bytes| *bytes <= self.most || !enforced("wire-frame-length"));
        let Some(bytes) = bytes else { return Err(FrameError { length, most: self.most }) };
        let start = self.start + LENGTH_BYTES;
        Ok(self.buffer[..self.end].get(start..start + bytes))
    }

    /// Drops the first frame.
    pub(crate) fn pass(&mut self) {
        self.start = self.frame_end();
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Has the first frame in a spare buffer, without its length: the buffers are exchanged, and what lies behind the frame
    /// is copied; or the frame is, where it is shorter than that. Returns where in `spare` it lies now: the first byte, and
    /// the one behind the last.
    pub(crate) fn swap(&mut self, spare: &mut Vec<u8>) -> (usize, usize) {
        let (first, end) = (self.start + LENGTH_BYTES, self.frame_end());
        let (frame, rest) = (end - first.min(end), self.end - end);
        let is_copied = frame < rest;
        let wanted = if is_copied { frame } else { rest }.max(self.base);
        if spare.len() < wanted {
            // New memory is zero as it comes.
            *spare = vec![0; wanted];
        }
        if is_copied {
            spare[..frame].copy_from_slice(&self.buffer[first..end]);
            self.pass();
            return (0, frame);
        }
        spare[..rest].copy_from_slice(&self.buffer[end..self.end]);
        std::mem::swap(&mut self.buffer, spare);
        (self.start, self.end) = (0, rest);
        (first, end)
    }

    fn frame_end(&self) -> usize {
        let length = self.length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        (self.start + LENGTH_BYTES).saturating_add(length).min(self.end)
    }

    fn length(&self) -> Option<i32> {
        let held = &self.buffer[self.start..self.end];
        held.first_chunk().map(|length: &[u8; LENGTH_BYTES]| i32::from_be_bytes(*length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(inbox: &mut Inbox, mut bytes: &[u8], most_at_once: usize) {
        while !bytes.is_empty() {
            let space = inbox.space();
            let count = bytes.len().min(space.len()).min(most_at_once);
            space[..count].copy_from_slice(&bytes[..count]);
            inbox.received(count);
            bytes = &bytes[count..];
        }
    }

    fn frame(body: &[u8]) -> Vec<u8> {
        [&i32::try_from(body.len()).unwrap().to_be_bytes()[..], body].concat()
    }

    #[test]
    fn frames_come_out_whole_however_they_come_in() {
        let bodies: Vec<Vec<u8>> = (0..50_u8).map(|index| vec![index; usize::from(index) * 7]).collect();
        let stream: Vec<u8> = bodies.iter().flat_map(|body| frame(body)).collect();
        for at_once in [1, 3, 64, 10_000] {
            let mut inbox = Inbox::new(16, 1_000);
            let mut seen = Vec::new();
            for part in stream.chunks(at_once) {
                feed(&mut inbox, part, at_once);
                while let Some(frame) = inbox.frame().unwrap() {
                    seen.push(frame.to_vec());
                    inbox.pass();
                }
            }
            assert_eq!(seen, bodies, "{at_once} bytes at once");
            // Twice what it holds, which is a frame and what came with it.
            let most = 2 * (350 + at_once);
            assert!(inbox.buffer.len() <= most, "{} bytes, {at_once} at once", inbox.buffer.len());
        }
    }

    #[test]
    fn what_is_missing_of_a_frame_is_known_from_its_length_on() {
        let mut inbox = Inbox::new(16, 1_000);
        let bytes = [frame(&[7; 100]), frame(b"next")].concat();
        let missing = [(0, 0), (3, 0), (4, 100), (103, 1), (104, 0), (106, 0)];
        for (fed, bytes_missing) in missing {
            inbox = Inbox::new(16, 1_000);
            feed(&mut inbox, &bytes[..fed], 10);
            assert_eq!(inbox.missing_bytes(), bytes_missing, "{fed} bytes have come");
        }
        inbox.pass();
        assert_eq!(inbox.missing_bytes(), 0, "of the next one the length has not come");
        for impossible in [-1, 1_001] {
            inbox = Inbox::new(16, 1_000);
            feed(&mut inbox, &i32::to_be_bytes(impossible), 4);
            assert_eq!(inbox.missing_bytes(), 0);
        }
    }

    #[test]
    fn a_length_that_cannot_be_is_an_error() {
        for (length, is_error) in [(-1, true), (i32::MIN, true), (1_001, true), (1_000, false)] {
            let mut inbox = Inbox::new(16, 1_000);
            feed(&mut inbox, &length.to_be_bytes(), 4);
            assert_eq!(inbox.frame().is_err(), is_error, "{length}");
            assert!(!inbox.space().is_empty());
        }
    }

    /// What was written there may not have been told of yet.
    #[test]
    fn the_same_space_is_given_until_something_has_been_received() {
        let length = 16 * i32::try_from(EXPECTED_BASES).unwrap() * 10;
        for held in [4, 20, 1_000] {
            let mut inbox = Inbox::new(16, 1 << 20);
            feed(&mut inbox, &[&length.to_be_bytes()[..], &vec![7; held - 4]].concat(), 1_000);
            let before = (inbox.space().as_ptr(), inbox.space().len());
            inbox.space().fill(9);
            assert_eq!((inbox.space().as_ptr(), inbox.space().len()), before, "{held} bytes have come");
            assert!(inbox.space().iter().all(|byte| *byte == 9));
            assert!(inbox.buffer.len() <= 2 * held.max(16), "no more than what has come");
        }
    }

    #[test]
    fn nothing_behind_a_large_frame_is_read_with_it() {
        let mut inbox = Inbox::new(16, 1_000);
        feed(&mut inbox, &frame(&[7; 100])[..10], 10);
        assert_eq!(inbox.space().len(), 104 - 10);
        inbox.received(94);
        assert!(inbox.frame().unwrap().is_some());
        inbox.pass();
        assert_eq!(inbox.space().len(), 16, "of what comes next nothing is known");
        feed(&mut inbox, &frame(b"small"), 9);
        assert_eq!(inbox.space().len(), 16 - 9, "small ones come together");
    }

    #[test]
    fn a_length_alone_takes_no_memory() {
        let mut inbox = Inbox::new(64, usize::MAX / 4);
        feed(&mut inbox, &i32::MAX.to_be_bytes(), 4);
        inbox.space();
        assert!(inbox.buffer.len() <= 128, "{}", inbox.buffer.len());
        feed(&mut inbox, &[0; 1_000], 1_000);
        assert!(inbox.buffer.len() <= 4_096, "{}", inbox.buffer.len());
    }

    #[test]
    fn a_short_frame_is_kept_and_what_follows_stays_where_it_is() {
        let mut inbox = Inbox::new(16, 1_000);
        feed(&mut inbox, &[frame(b"one"), frame(&[7; 300]), frame(b"three")].concat(), 1_000);
        let before = inbox.buffer.as_ptr();
        for (expected, is_copied) in [(&b"one"[..], true), (&[7; 300][..], false), (&b"three"[..], false)] {
            let mut kept = Vec::new();
            let (from, to) = inbox.swap(&mut kept);
            assert_eq!(&kept[from..to], expected);
            assert_eq!(kept.as_ptr() != before, is_copied || expected == b"three");
        }
        assert_eq!(inbox.frame(), Ok(None));
    }

    #[test]
    fn a_frame_can_be_kept_and_what_follows_is_not_lost() {
        let mut inbox = Inbox::new(16, 1_000);
        feed(&mut inbox, &[frame(b"first"), frame(b"second")].concat(), 1_000);
        let mut kept = Vec::new();
        let (from, to) = inbox.swap(&mut kept);
        assert_eq!(&kept[from..to], b"first");
        assert_eq!(inbox.frame(), Ok(Some(&b"second"[..])));
        inbox.pass();
        feed(&mut inbox, &frame(&[7; 500]), 100);
        assert_eq!(inbox.frame().unwrap().unwrap(), [7; 500]);
    }
}
