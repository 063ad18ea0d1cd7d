//! Compresses what a batch holds, in the forms in which Kafka's own clients write it.
//!
//! One packer serves all partitions of a client, one batch at a time. It holds a copy of the largest batch, as much again
//! for what becomes of it, and its codec's own tables (16 KiB for LZ4, some hundred for gzip, a few MiB for zstd): nothing
//! is allocated once these have grown.

use std::{fmt, io::Write, mem};

use flate2::{Compress, Compression, Crc as Crc32, FlushCompress, Status};
use lz4_flex::frame::{BlockSize, FrameEncoder, FrameInfo};
use zstd_safe::CCtx;

use super::Codec;

/// Packs batches, one at a time.
pub struct Packer {
    codec: Codec,
    state: State,
    /// Pieces that do not lie one behind the other are put together here.
    plain: Vec<u8>,
    packed: Vec<u8>,
}

enum State {
    Gzip(Compress),
    Snappy(Box<snap::raw::Encoder>),
    Lz4(Box<FrameEncoder<Vec<u8>>>),
    Zstd(CCtx<'static>),
}

impl fmt::Debug for Packer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Packer").field("codec", &self.codec).finish_non_exhaustive()
    }
}

impl Packer {
    /// One for this codec, at its usual level; `None` where nothing is to be packed.
    #[must_use]
    pub fn new(codec: Codec) -> Option<Self> {
        let state = match codec {
            Codec::None => return None,
            // Without zlib's own frame: gzip's is written around it.
            Codec::Gzip => State::Gzip(Compress::new(Compression::default(), false)),
            Codec::Snappy => State::Snappy(Box::new(snap::raw::Encoder::new())),
            Codec::Lz4 => State::Lz4(Box::new(lz4_encoder(Vec::new()))),
            Codec::Zstd => State::Zstd(CCtx::create()),
        };
        Some(Self { codec, state, plain: Vec::new(), packed: Vec::new() })
    }

    /// What it packs with.
    #[must_use]
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Packs these bytes. `None`: it failed, which no codec has a reason to, and they go as they are.
    pub fn pack(&mut self, plain: &[u8]) -> Option<&[u8]> {
        self.packed.clear();
        match &mut self.state {
            State::Gzip(coder) => gzip(coder, plain, &mut self.packed)?,
            State::Snappy(coder) => snappy(coder, plain, &mut self.packed)?,
            State::Lz4(coder) => lz4(coder, plain, &mut self.packed)?,
            State::Zstd(context) => zstd(context, plain, &mut self.packed)?,
        }
        Some(&self.packed)
    }

    /// Packs bytes that `pieces` shows one after the other.
    pub fn pack_pieces(&mut self, pieces: impl FnOnce(&mut Vec<u8>)) -> Option<&[u8]> {
        let mut plain = mem::take(&mut self.plain);
        plain.clear();
        pieces(&mut plain);
        let is_packed = self.pack(&plain).is_some();
        self.plain = plain;
        is_packed.then_some(&self.packed)
    }
}

/// A member of RFC 1952 without a name or a time.
fn gzip(coder: &mut Compress, plain: &[u8], out: &mut Vec<u8>) -> Option<()> {
    /// Magic, deflate, no flags, no time, no extra flags, an unknown system.
    const HEAD: [u8; 10] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF];
    /// What deflate adds at the most: five bytes for each block that it stores as it is.
    const STEP_BYTES: usize = 1 << 10;
    coder.reset();
    out.extend_from_slice(&HEAD);
    out.reserve(plain.len() + plain.len() / 100 + STEP_BYTES);
    loop {
        let read = usize::try_from(coder.total_in()).ok()?;
        match coder.compress_vec(&plain[read..], out, FlushCompress::Finish).ok()? {
            Status::StreamEnd => break,
            Status::Ok | Status::BufError => out.reserve(STEP_BYTES),
        }
    }
    let mut crc = Crc32::new();
    crc.update(plain);
    out.extend_from_slice(&crc.sum().to_le_bytes());
    // The size modulo 2³², says the RFC.
    out.extend_from_slice(&crc.amount().to_le_bytes());
    Some(())
}

/// In the framing of xerial's library, as Java clients write it (`org.xerial.snappy.SnappyOutputStream`): small blocks, so
/// that whoever unpacks needs little memory.
fn snappy(coder: &mut snap::raw::Encoder, plain: &[u8], out: &mut Vec<u8>) -> Option<()> {
    /// The magic, its version, and the oldest one that can read it.
    const HEAD: &[u8] = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
    const BLOCK_BYTES: usize = 32 << 10;
    const LENGTH_BYTES: usize = 4;
    out.extend_from_slice(HEAD);
    for block in plain.chunks(BLOCK_BYTES) {
        let at = out.len();
        out.resize(at + LENGTH_BYTES + snap::raw::max_compress_len(block.len()), 0);
        let packed = coder.compress(block, &mut out[at + LENGTH_BYTES..]).ok()?;
        out[at..at + LENGTH_BYTES].copy_from_slice(&u32::try_from(packed).ok()?.to_be_bytes());
        out.truncate(at + LENGTH_BYTES + packed);
    }
    Some(())
}

/// Kafka's own reader takes no blocks that depend on each other (`Lz4BlockInputStream`), and has buffers of their size.
fn lz4_encoder(out: Vec<u8>) -> FrameEncoder<Vec<u8>> {
    FrameEncoder::with_frame_info(FrameInfo::new().block_size(BlockSize::Max64KB), out)
}

fn lz4(coder: &mut FrameEncoder<Vec<u8>>, plain: &[u8], out: &mut Vec<u8>) -> Option<()> {
    mem::swap(coder.get_mut(), out);
    let written = coder.write_all(plain).is_ok() && coder.try_finish().is_ok();
    mem::swap(coder.get_mut(), out);
    if written {
        return Some(());
    }
    // Whatever it has begun must not be gone on with.
    *coder = lz4_encoder(Vec::new());
    None
}

fn zstd(context: &mut CCtx<'static>, plain: &[u8], out: &mut Vec<u8>) -> Option<()> {
    out.resize(zstd_safe::compress_bound(plain.len()), 0);
    let packed = context.compress2(&mut out[..], plain).ok()?;
    out.truncate(packed);
    Some(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;

    const CODECS: [Codec; 4] = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    /// By the crates' own readers, where they have some.
    fn unpacked(codec: Codec, packed: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        match codec {
            Codec::Gzip => {
                flate2::read::GzDecoder::new(packed).read_to_end(&mut out).unwrap();
            }
            Codec::Lz4 => {
                lz4_flex::frame::FrameDecoder::new(packed).read_to_end(&mut out).unwrap();
            }
            Codec::Zstd => {
                out.resize(4 << 20, 0);
                let bytes = zstd_safe::decompress(&mut out[..], packed).unwrap();
                out.truncate(bytes);
            }
            Codec::Snappy => {
                let mut rest = packed.strip_prefix(b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01").unwrap();
                while let Some((length, behind)) = rest.split_first_chunk::<4>() {
                    let (block, next) = behind.split_at(u32::from_be_bytes(*length) as usize);
                    out.extend(snap::raw::Decoder::new().decompress_vec(block).unwrap());
                    rest = next;
                }
            }
            Codec::None => unreachable!(),
        }
        out
    }

    #[test]
    fn nothing_is_packed_without_a_codec() {
        assert!(Packer::new(Codec::None).is_none());
    }

    #[test]
    fn what_is_packed_twice_is_the_same_and_takes_no_more_memory() {
        let plain: Vec<u8> = (0..300_000_u32).map(|index| index.to_be_bytes()[3] % 7).collect();
        for codec in CODECS {
            let mut packer = Packer::new(codec).unwrap();
            let first = packer.pack(&plain).unwrap().to_vec();
            assert!(first.len() < plain.len() / 4, "{codec:?}: {}", first.len());
            let capacity = packer.packed.capacity();
            for _ in 0..3 {
                assert_eq!(
                    packer.pack(&plain[..1_000]).map(|packed| unpacked(codec, packed)).unwrap(),
                    plain[..1_000]
                );
                assert_eq!(packer.pack(&plain).unwrap(), first, "{codec:?}");
            }
            assert_eq!(packer.packed.capacity(), capacity, "{codec:?}");
        }
    }

    #[test]
    fn lz4_blocks_are_independent_and_of_64_kib() {
        let mut packer = Packer::new(Codec::Lz4).unwrap();
        let frame = packer.pack(&vec![7; 200_000]).unwrap();
        // Version 1, independent blocks; no checksums, no size, no dictionary; 64 KiB.
        assert_eq!(frame[4..6], [0b0110_0000, 4 << 4]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn what_is_packed_is_unpacked(
            all in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..2_000), 1..4),
            zeros in 0_usize..200_000,
        ) {
            for codec in CODECS {
                let mut packer = Packer::new(codec).unwrap();
                for part in &all {
                    let plain = [&part[..], &vec![0; zeros]].concat();
                    let whole = packer.pack(&plain).unwrap();
                    prop_assert_eq!(unpacked(codec, whole), plain.clone(), "{:?}", codec);
                    let pieces = packer.pack_pieces(|out| plain.chunks(777).for_each(|piece| out.extend(piece)));
                    prop_assert_eq!(unpacked(codec, pieces.unwrap()), plain);
                }
            }
        }
    }
}
