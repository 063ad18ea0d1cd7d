//! What a shard's records hold, and the digests of that.

use crate::{
    config::{Compression, ProduceConfig},
    kafka::Value,
    random::Random,
    record::{self, NUMBERED_VALUE_BYTES, PayloadPool, proof},
};

/// Where values come from.
pub(crate) struct Values {
    pool: PayloadPool,
    /// Where a numbered value is written before the client copies it.
    numbered: Option<Box<[u8]>>,
    /// Digests are wanted.
    digests: bool,
    tombstone_digest: u64,
}

impl Values {
    pub(crate) fn new(config: &ProduceConfig, random: &mut Random) -> Self {
        let packed = config.compression != Compression::None;
        let pool = match &config.payload {
            Some(payload) => PayloadPool::given(payload, config.value_bytes, random),
            None => PayloadPool::new(config.fill, config.value_bytes, packed, random),
        };
        Self {
            pool,
            numbered: config.latest_values.then(|| vec![0; config.value_bytes].into()),
            digests: config.proof_header,
            tombstone_digest: proof::digest_of(None),
        }
    }

    /// The value of the record that is expected to land at `offset`, and its digest.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "handed back in memory, it waits for stores of another size: some 5 % of what a record costs"
    )]
    pub(crate) fn next(
        &mut self,
        tombstone: bool,
        offset: i64,
        random: &mut Random,
    ) -> (Option<Value<'_>>, u64) {
        match (&mut self.numbered, tombstone) {
            (_, true) => (None, self.tombstone_digest),
            (Some(value), false) => {
                value[..NUMBERED_VALUE_BYTES].copy_from_slice(&record::numbered_value(offset));
                let digest = if self.digests { proof::digest_of(Some(value)) } else { 0 };
                (Some(Value::Passing(value)), digest)
            }
            (None, false) => {
                let (value, digest) = self.pool.pick(random);
                (Some(Value::Lasting(value)), digest)
            }
        }
    }
}
