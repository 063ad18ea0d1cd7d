//! What batches are compressed with, by its number in their attributes.

use std::io::{Read, Write};

const XERIAL: &[u8] = b"\x82SNAPPY\0";

/// More than any batch of a test unpacks to: a frame need not say how much it is.
const UNPACKED_BYTES_AT_MOST: usize = 16 << 20;

pub fn unpack(codec: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match codec {
        0 => out.extend(bytes),
        1 => drop(flate2::read::GzDecoder::new(bytes).read_to_end(&mut out).expect("gzip")),
        2 => {
            assert!(!bytes.starts_with(XERIAL), "librdkafka writes snappy without frames");
            out = snap::raw::Decoder::new().decompress_vec(bytes).expect("snappy");
        }
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
