//! What others pack is unpacked, up to a bound, and nothing else panics.

use std::io::Write;

use proptest::prelude::*;

use super::*;

const MOST: usize = 1 << 20;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn lz4(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn snappy(bytes: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(bytes).unwrap()
}

/// As `SnappyOutputStream` of xerial's library writes it.
fn xerial(bytes: &[u8]) -> Vec<u8> {
    let mut out = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
    for block in bytes.chunks(32 << 10) {
        let block = snappy(block);
        out.extend(i32::try_from(block.len()).unwrap().to_be_bytes());
        out.extend(block);
    }
    out
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0; zstd_safe::compress_bound(bytes.len())];
    let written = zstd_safe::compress(&mut out[..], bytes, 3).unwrap();
    out.truncate(written);
    out
}

/// Without the size at the front, as streams are written.
fn zstd_stream(bytes: &[u8]) -> Vec<u8> {
    let mut context = zstd_safe::CCtx::create();
    context.set_parameter(zstd_safe::CParameter::ContentSizeFlag(false)).unwrap();
    let mut out = vec![0; zstd_safe::compress_bound(bytes.len())];
    let written = context.compress2(&mut out[..], bytes).unwrap();
    out.truncate(written);
    out
}

type Pack = fn(&[u8]) -> Vec<u8>;

const PACKED: [(Codec, Pack); 6] = [
    (Codec::Gzip, gzip),
    (Codec::Lz4, lz4),
    (Codec::Snappy, snappy),
    (Codec::Snappy, xerial),
    (Codec::Zstd, zstd),
    (Codec::Zstd, zstd_stream),
];

#[test]
fn one_byte_less_than_all_is_too_much() {
    let bytes = vec![b'a'; 300_000];
    for (codec, pack) in PACKED {
        let packed = pack(&bytes);
        assert_eq!(Unpacker::new(300_000).unpack_as(codec, &packed).unwrap(), bytes);
        let error = Unpacker::new(299_999).unpack_as(codec, &packed).unwrap_err();
        assert_eq!(error, UnpackError::TooLarge(299_999), "{codec:?}");
    }
}

/// A size that a few bytes claim takes no memory.
#[test]
fn a_claim_is_not_believed() {
    let mut unpacker = Unpacker::new(MOST);
    let huge = [0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0];
    assert_eq!(unpacker.unpack_as(Codec::Snappy, &huge).unwrap_err(), UnpackError::TooLarge(MOST));
    assert_eq!(unpacker.out.capacity(), 0);
}

#[test]
fn what_is_cut_off_is_damaged() {
    let bytes: Vec<u8> = (0..50_000_u32).flat_map(u32::to_be_bytes).collect();
    for (codec, pack) in PACKED {
        let packed = pack(&bytes);
        let mut unpacker = Unpacker::new(MOST);
        // Without its end mark, an LZ4 frame still has all its blocks.
        let almost = if codec == Codec::Lz4 { packed.len() - 5 } else { packed.len() - 1 };
        for cut in [packed.len() / 2, almost] {
            let outcome = unpacker.unpack_as(codec, &packed[..cut]).map(<[u8]>::len);
            assert!(matches!(outcome, Err(UnpackError::Damaged(_))), "{codec:?} {cut}: {outcome:?}");
        }
        assert_eq!(unpacker.unpack_as(codec, &packed).unwrap(), bytes, "{codec:?}: as good as new");
    }
}

#[test]
fn large_buffers_are_not_kept() {
    let mut unpacker = Unpacker::new(4 * KEPT_BYTES);
    unpacker.unpack_as(Codec::Lz4, &lz4(&vec![0; 2 * KEPT_BYTES])).unwrap();
    assert!(unpacker.out.capacity() >= 2 * KEPT_BYTES);
    unpacker.unpack_as(Codec::Lz4, &lz4(b"small")).unwrap();
    assert!(unpacker.out.capacity() < KEPT_BYTES);
}

proptest! {
    #[test]
    fn what_was_packed_is_unpacked(
        bytes in proptest::collection::vec(0_u8..4, 0..100_000),
        again in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut unpacker = Unpacker::new(MOST);
        for (codec, pack) in PACKED {
            prop_assert_eq!(unpacker.unpack_as(codec, &pack(&bytes)).unwrap(), &bytes[..]);
            prop_assert_eq!(unpacker.unpack_as(codec, &pack(&again)).unwrap(), &again[..]);
        }
    }

    #[test]
    fn any_bytes_are_survived(
        front in 0..PACKED.len(),
        flip in any::<proptest::sample::Index>(),
        with: u8,
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut unpacker = Unpacker::new(MOST);
        let (codec, pack) = PACKED[front];
        let mut packed = pack(&bytes);
        let at = flip.index(packed.len());
        packed[at] = with;
        let _ = unpacker.unpack_as(codec, &packed);
        let _ = unpacker.unpack_as(codec, &bytes);
    }
}
