//! What lies behind a batch that cannot be read.

use crate::kafka::wire::batch::{Batches, HEADER_BYTES};

/// What lies behind a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behind {
    /// A batch with this first offset.
    Batch { base: i64 },
    /// Nobody has seen it.
    Unseen,
    /// No batch that could follow: the length that led there may have been wrong.
    Nonsense,
}

pub(super) fn behind(rest: &[u8], base: i64) -> Behind {
    let Some((front, _)) = rest.split_first_chunk::<HEADER_BYTES>() else { return Behind::Unseen };
    // An own copy with the length of its header, so that it counts as whole.
    let mut front = *front;
    let plausible = i32::from_be_bytes([front[8], front[9], front[10], front[11]]) >= HEADER_BODY;
    front[8..12].copy_from_slice(&HEADER_BODY.to_be_bytes());
    match Batches::new(&front).next() {
        Some(Ok(next)) if plausible && next.base_offset() > base => {
            Behind::Batch { base: next.base_offset() }
        }
        _ => Behind::Nonsense,
    }
}

/// The length that a batch without records has in its header.
const HEADER_BODY: i32 = 49;
