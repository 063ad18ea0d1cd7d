//! Record batches of format 2 as they are on their way: bytes, of which a few are changed in place.
//!
//! [`super::surgery`] takes batches apart, down to their records. Here nothing is unpacked: what a proxy
//! changes lies in a batch's head.

/// Bytes of a batch in front of its records.
const HEAD_BYTES: usize = 61;
/// Where what the checksum covers begins.
const CHECKED_FROM: usize = 21;

/// A whole batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawBatch(Vec<u8>);

/// The whole batches among these bytes. A broker may cut the last one off in the middle, and clients ask for it again.
pub fn split(mut bytes: &[u8]) -> Vec<RawBatch> {
    let mut batches = Vec::new();
    while bytes.len() >= HEAD_BYTES {
        let size = 12 + u32::from_be_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]) as usize;
        let Some((batch, rest)) = bytes.split_at_checked(size) else { break };
        batches.push(RawBatch(batch.to_vec()));
        bytes = rest;
    }
    batches
}

/// Batches one behind the other.
pub fn join(batches: &[RawBatch]) -> Vec<u8> {
    batches.iter().flat_map(|batch| &batch.0).copied().collect()
}

impl RawBatch {
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0[at..at + N].try_into().expect("a head of 61 bytes")
    }

    pub fn base_offset(&self) -> i64 {
        i64::from_be_bytes(self.array(0))
    }

    /// The offset behind its last record.
    pub fn next_offset(&self) -> i64 {
        self.base_offset() + i64::from(i32::from_be_bytes(self.array(23))) + 1
    }

    pub fn producer_id(&self) -> i64 {
        i64::from_be_bytes(self.array(43))
    }

    /// Whether it has records of a transaction: no marker is meant.
    pub fn is_transactional(&self) -> bool {
        const TRANSACTIONAL: u16 = 1 << 4;
        const CONTROL: u16 = 1 << 5;
        u16::from_be_bytes(self.array(21)) & (TRANSACTIONAL | CONTROL) == TRANSACTIONAL
    }

    /// Has its records lie elsewhere. The checksum does not cover that.
    pub fn move_to(&mut self, base_offset: i64) {
        self.0[..8].copy_from_slice(&base_offset.to_be_bytes());
    }

    /// Has another leader have written it. The checksum does not cover that, either.
    pub fn set_leader_epoch(&mut self, epoch: i32) {
        self.0[12..16].copy_from_slice(&epoch.to_be_bytes());
    }

    /// As a producer without an id would have sent it: the broker cannot tell that it has it already.
    pub fn without_producer(mut self) -> Self {
        // Id, epoch and sequence number.
        self.0[43..57].fill(0xFF);
        let checksum = crc32c::crc32c(&self.0[CHECKED_FROM..]);
        self.0[17..21].copy_from_slice(&checksum.to_be_bytes());
        self
    }
}
