//! Inputs made of other inputs.

use proofload::inside::record::Random;

/// Numbers at which things change.
const TELLING: [i64; 16] =
    [0, 1, -1, 2, -2, 7, 16, 61, 127, 128, 255, 256, 32_767, 65_535, 2_147_483_647, i64::MAX];
/// The longest input.
const MOST_BYTES: usize = 4_096;
const MOST_STEPS: usize = 6;

/// Changes an input a little; `other` is another one, of which parts may come.
pub fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    for _ in 0..=random.index(MOST_STEPS) {
        step(bytes, other, random);
    }
    bytes.truncate(MOST_BYTES);
}

fn step(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    if bytes.is_empty() {
        bytes.extend(other.iter().take(64));
        bytes.push(random.next_u64().to_le_bytes()[0]);
    }
    let at = random.index(bytes.len());
    match random.index(9) {
        0 => bytes[at] ^= 1 << random.index(8),
        1 => bytes[at] = random.next_u64().to_le_bytes()[0],
        2 => bytes[at] = bytes[at].wrapping_add(if random.chance(0.5) { 1 } else { 255 }),
        3 | 4 => {
            let number = TELLING[random.index(TELLING.len())].to_be_bytes();
            let width = [1, 2, 4, 8][random.index(4)].min(bytes.len() - at);
            bytes[at..at + width].copy_from_slice(&number[8 - width..]);
        }
        5 => {
            let count = random.index(16).min(bytes.len() - at);
            bytes.drain(at..at + count);
        }
        6 => {
            let count = 1 + random.index(16);
            let from = random.index(bytes.len());
            let part: Vec<u8> = bytes[from..].iter().copied().take(count).collect();
            bytes.splice(at..at, part);
        }
        7 => bytes.truncate(at),
        _ => {
            let from = random.index(other.len());
            let count = random.index(128);
            let part: Vec<u8> = other.iter().skip(from).take(count).copied().collect();
            let replaced = if random.chance(0.5) { part.len().min(bytes.len() - at) } else { 0 };
            bytes.splice(at..at + replaced, part);
        }
    }
}
