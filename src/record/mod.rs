//! What a record carries: its id, its key, its proof.

pub(crate) mod headers;
mod id;
pub(crate) mod proof;
mod view;

pub use id::*;
pub(crate) use view::Header;
pub use view::{ProducedBatch, RecordView};

/// Bytes of key and headers that a record has beside its value, at most: what proves it.
#[must_use]
pub(crate) fn key_and_header_bytes(is_transactional: bool) -> usize {
    let proof_bytes = if is_transactional { proof::LONG_BYTES } else { proof::TIMED_BYTES };
    let headers = RECORD_ID_HEADER.len() + RECORD_ID_BYTES + proof::PROOF_HEADER.len() + proof_bytes;
    RECORD_ID_BYTES + headers
}
