//! Undoes what producers compress batches with, up to a bound.

use std::{fmt, io::Read};

use flate2::read::MultiGzDecoder;
use lz4_flex::frame::FrameDecoder;
use thiserror::Error;
use zstd_safe::{DCtx, InBuffer, OutBuffer, ResetDirective};

use super::{Batch, Codec};
use crate::mutants::enforced;

/// A batch that cannot be unpacked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UnpackError {
    /// A codec that is not known.
    #[error("a batch that is compressed with an unknown codec")]
    Unknown,
    /// Bytes that the codec does not make sense of.
    #[error("a batch that cannot be unpacked: {0}")]
    Damaged(String),
    /// Few bytes that may stand for any number of them.
    #[error("a batch that unpacks to more than {0} bytes")]
    TooLarge(usize),
}

/// Buffers that are larger than this are not kept for the next batch.
const KEPT_BYTES: usize = 4 << 20;

/// Unpacks batches, one at a time, into a buffer that is used again.
pub struct Unpacker {
    most_bytes: usize,
    out: Vec<u8>,
    snappy: snap::raw::Decoder,
    zstd: Option<DCtx<'static>>,
}

impl fmt::Debug for Unpacker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Unpacker").field("most_bytes", &self.most_bytes).finish_non_exhaustive()
    }
}

impl Unpacker {
    /// A batch may become as large as this, in bytes.
    #[must_use]
    pub fn new(most_bytes: usize) -> Self {
        Self { most_bytes, out: Vec::new(), snappy: snap::raw::Decoder::new(), zstd: None }
    }

    /// A batch's records without their codec: where they lie, if there is none.
    ///
    /// # Errors
    /// They cannot be unpacked, or would be too large.
    #[inline]
    pub fn unpack<'a>(&'a mut self, batch: &Batch<'a>) -> Result<&'a [u8], UnpackError> {
        match batch.codec() {
            // Compaction has taken everything, and left the codec's name.
            _ if batch.payload().is_empty() => Ok(&[]),
            Some(Codec::None) => Ok(batch.payload()),
            Some(codec) => self.unpack_as(codec, batch.payload()),
            None => Err(UnpackError::Unknown),
        }
    }

    /// What [`Self::unpack`] made of this very batch, which was the last one.
    #[must_use]
    #[inline]
    pub fn unpacked<'a>(&'a self, batch: &Batch<'a>) -> &'a [u8] {
        match batch.codec() {
            Some(Codec::None) => batch.payload(),
            _ if batch.payload().is_empty() => &[],
            _ => &self.out,
        }
    }

    fn unpack_as(&mut self, codec: Codec, packed: &[u8]) -> Result<&[u8], UnpackError> {
        if self.out.capacity() > KEPT_BYTES {
            self.out = Vec::new();
        }
        self.out.clear();
        match codec {
            Codec::None => self.out.extend_from_slice(packed),
            Codec::Gzip => read(MultiGzDecoder::new(packed), self.most_bytes, &mut self.out)?,
            Codec::Lz4 => read(FrameDecoder::new(packed), self.most_bytes, &mut self.out)?,
            Codec::Snappy => self.snappy(packed)?,
            Codec::Zstd => self.zstd(packed)?,
        }
        Ok(&self.out)
    }

    /// Raw, or in the framing of xerial's library, which is what Java clients write: a header of 16 bytes, then blocks behind
    /// their lengths (`org.xerial.snappy.SnappyCodec`).
    fn snappy(&mut self, packed: &[u8]) -> Result<(), UnpackError> {
        const MAGIC: &[u8] = b"\x82SNAPPY\0";
        const VERSIONS_BYTES: usize = 8;
        let Some(framed) = packed.strip_prefix(MAGIC) else { return self.snappy_block(packed) };
        let mut rest = framed.get(VERSIONS_BYTES..).ok_or_else(|| damaged("its header is cut off"))?;
        while let Some((length, behind)) = rest.split_first_chunk() {
            let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(usize::MAX);
            let block = behind.get(..length).ok_or_else(|| damaged("a block is cut off"))?;
            self.snappy_block(block)?;
            rest = &behind[length..];
        }
        if rest.is_empty() { Ok(()) } else { Err(damaged("a block's length is cut off")) }
    }

    fn snappy_block(&mut self, block: &[u8]) -> Result<(), UnpackError> {
        let bytes = snap::raw::decompress_len(block).map_err(damaged)?;
        let from = self.out.len();
        let to = from.saturating_add(bytes);
        if to > self.most_bytes {
            return Err(UnpackError::TooLarge(self.most_bytes));
        }
        self.out.resize(to, 0);
        let written = self.snappy.decompress(block, &mut self.out[from..]).map_err(damaged)?;
        self.out.truncate(from + written);
        Ok(())
    }

    fn zstd(&mut self, packed: &[u8]) -> Result<(), UnpackError> {
        /// It grows by so much at a time, where a frame does not say how much it holds.
        const STEP_BYTES: usize = 1 << 17;
        let context = self.zstd.get_or_insert_with(DCtx::create);
        // Whatever was left of the last batch, if that one was cut off.
        context.reset(ResetDirective::SessionOnly).map_err(zstd_error)?;
        let mut input = InBuffer::around(packed);
        let mut used = 0;
        loop {
            if self.out.len() - used < STEP_BYTES {
                let longer =
                    (self.out.len() * 2).clamp(used + STEP_BYTES, self.most_bytes.max(used) + STEP_BYTES);
                self.out.resize(longer, 0);
            }
            let mut output = OutBuffer::around_pos(&mut self.out[..], used);
            let wanted = context.decompress_stream(&mut output, &mut input).map_err(zstd_error)?;
            let (before, is_full) = (used, output.pos() == output.capacity());
            used = output.pos();
            if used > self.most_bytes {
                return Err(UnpackError::TooLarge(self.most_bytes));
            }
            let is_read = input.pos() == packed.len();
            if is_read && wanted == 0 {
                break;
            }
            if is_read && !is_full && used == before {
                return Err(damaged("it is cut off"));
            }
        }
        self.out.truncate(used);
        Ok(())
    }
}

/// Reads all that there is, but not more than so many bytes.
fn read(reader: impl Read, most_bytes: usize, out: &mut Vec<u8>) -> Result<(), UnpackError> {
    let room = u64::try_from(most_bytes).unwrap_or(u64::MAX).saturating_add(1);
    reader.take(room).read_to_end(out).map_err(damaged)?;
    if out.len() > most_bytes && enforced("wire-unpacked-most") {
        Err(UnpackError::TooLarge(most_bytes))
    } else {
        Ok(())
    }
}

#[cold]
fn damaged(error: impl fmt::Display) -> UnpackError {
    UnpackError::Damaged(error.to_string())
}

#[cold]
fn zstd_error(code: zstd_safe::ErrorCode) -> UnpackError {
    damaged(zstd_safe::get_error_name(code))
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;
