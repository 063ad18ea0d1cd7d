//! What batches are compressed with, by its number in their attributes.

use std::io::{Read, Write};

/// How Java clients write snappy, and our own; librdkafka writes it without frames.
const XERIAL: &[u8] = b"\x82SNAPPY\0";
/// The name, and two versions.
const XERIAL_HEADER_BYTES: usize = 16;

/// More than any batch of a test unpacks to: a frame need not say how much it is.
const UNPACKED_BYTES_AT_MOST: usize = 16 << 20;

pub fn unpack(codec: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match codec {
        0 => out.extend(bytes),
        1 => drop(flate2::read::GzDecoder::new(bytes).read_to_end(&mut out).expect("gzip")),
        2 if bytes.starts_with(XERIAL) => unpack_blocks(&bytes[XERIAL_HEADER_BYTES..], &mut out),
        2 => out = snap::raw::Decoder::new().decompress_vec(bytes).expect("snappy"),
        3 => drop(lz4_flex::frame::FrameDecoder::new(bytes).read_to_end(&mut out).expect("lz4")),
        4 => {
            out.resize(UNPACKED_BYTES_AT_MOST, 0);
            let len = zstd_safe::decompress(out.as_mut_slice(), bytes).expect("zstd");
            out.truncate(len);
        }
        other => panic!("codec {other}"),
    }
    out
}

/// Each block of snappy lies behind its size.
fn unpack_blocks(mut bytes: &[u8], out: &mut Vec<u8>) {
    while let Some((size, rest)) = bytes.split_first_chunk() {
        let size = usize::try_from(u32::from_be_bytes(*size)).expect("a size");
        out.extend(snap::raw::Decoder::new().decompress_vec(&rest[..size]).expect("snappy"));
        bytes = &rest[size..];
    }
}

pub fn pack(codec: u8, bytes: &[u8]) -> Vec<u8> {
    match codec {
        0 => bytes.to_vec(),
        1 => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            out.write_all(bytes).expect("gzip");
            out.finish().expect("gzip")
        }
        2 => snap::raw::Encoder::new().compress_vec(bytes).expect("snappy"),
        3 => {
            let mut out = lz4_flex::frame::FrameEncoder::new(Vec::new());
            out.write_all(bytes).expect("lz4");
            out.finish().expect("lz4")
        }
        4 => {
            let mut out = vec![0; zstd_safe::compress_bound(bytes.len())];
            let len = zstd_safe::compress(out.as_mut_slice(), bytes, 1).expect("zstd");
            out.truncate(len);
            out
        }
        other => panic!("codec {other}"),
    }
}
