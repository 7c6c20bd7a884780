//! Inputs made of others: what a bad disk, a bad transfer or an editor makes of a file.

use crate::rng::Rng;

/// Numbers as text that readers stumble over.
const TEXTS: [&str; 14] = [
    "0",
    "-1",
    "-0",
    "1e309",
    "-1e39",
    "1e-400",
    "nan",
    "inf",
    "255",
    "256",
    "4294967296",
    "18446744073709551615",
    "99999999999999999999999999",
    "",
];

/// And as bytes.
const WORDS: [u64; 8] = [
    0,
    1,
    0x7f,
    0x7fff_ffff,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    u64::MAX,
    1 << 40,
];

/// Inputs stay below this.
const MOST: usize = 16 << 10;

/// One to four changes of `bytes`; `other` is for splices.
pub(crate) fn mutate(bytes: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
    for _ in 0..=rng.below(4) {
        change(bytes, other, rng);
    }
    bytes.truncate(MOST);
}

fn change(bytes: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
    let len = bytes.len();
    if len == 0 {
        return bytes.push(rng.next() as u8);
    }
    match rng.below(10) {
        0 => bytes[rng.below(len)] ^= 1 << rng.below(8),
        1 => bytes[rng.below(len)] = *rng.of(&[0, 1, 0x7f, 0x80, 0xff, b',', b'\n', b'"']),
        2 => bytes.truncate(rng.below(len)),
        3 => {
            let new: Vec<u8> = (0..=rng.below(8)).map(|_| rng.next() as u8).collect();
            insert(bytes, rng.below(len + 1), &new);
        }
        4 => {
            let from = part(other.len(), rng);
            insert(bytes, rng.below(len + 1), &other[from]);
        }
        5 => number(bytes, rng),
        6 => word(bytes, rng),
        7 => {
            let line = line(bytes, rng.below(len));
            let copy = bytes[line.clone()].to_vec();
            insert(bytes, line.end, &copy);
        }
        8 => {
            let part = part(len, rng);
            bytes.drain(part);
        }
        _ => {
            let part = part(len, rng);
            let copy = bytes[part].to_vec();
            let at = rng.below(len - copy.len() + 1);
            bytes[at..at + copy.len()].copy_from_slice(&copy);
        }
    }
}

/// A short part of so many bytes.
fn part(len: usize, rng: &mut Rng) -> std::ops::Range<usize> {
    let start = rng.below(len);
    let end = start + rng.below(64);
    start..end.min(len)
}

fn insert(bytes: &mut Vec<u8>, at: usize, new: &[u8]) {
    bytes.splice(at..at, new.iter().copied());
}

/// Another text for a number that is there.
fn number(bytes: &mut Vec<u8>, rng: &mut Rng) {
    let from = rng.below(bytes.len());
    let digit = |b: &u8| b.is_ascii_digit();
    let Some(start) = bytes[from..].iter().position(digit) else {
        return;
    };
    let start = from + start;
    let run = bytes[start..].iter().position(|b| !digit(b) && *b != b'.');
    let end = run.map_or(bytes.len(), |run| start + run);
    bytes.splice(start..end, rng.of(&TEXTS).bytes());
}

/// Another word of 1, 2, 4 or 8 bytes, either end first.
fn word(bytes: &mut [u8], rng: &mut Rng) {
    let size = (*rng.of(&[1, 2, 4, 8])).min(bytes.len());
    let (word, at) = (*rng.of(&WORDS), rng.below(bytes.len() - size + 1));
    let word = match rng.below(2) {
        0 => word.to_le_bytes()[..size].to_vec(),
        _ => word.to_be_bytes()[8 - size..].to_vec(),
    };
    bytes[at..at + size].copy_from_slice(&word);
}

/// The line around `at`, with what ends it.
fn line(bytes: &[u8], at: usize) -> std::ops::Range<usize> {
    let start = bytes[..at].iter().rposition(|b| *b == b'\n');
    let end = bytes[at..].iter().position(|b| *b == b'\n');
    start.map_or(0, |start| start + 1)..end.map_or(bytes.len(), |end| at + end + 1)
}

/// As [`mutate`], of a safetensors file: half the time its header and its data apart, with the length of
/// the header set right, so that what comes after the length is reached.
pub(crate) fn mutate_tensors(bytes: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
    let header = bytes.first_chunk().map(|len| u64::from_le_bytes(*len));
    let header = header.and_then(|len| usize::try_from(len).ok());
    let split = header.filter(|len| len.saturating_add(8) <= bytes.len());
    let Some(header) = split.filter(|_| rng.below(2) == 0) else {
        return mutate(bytes, other, rng);
    };
    let (mut json, mut data) = (bytes[8..8 + header].to_vec(), bytes[8 + header..].to_vec());
    match rng.below(4) {
        0 => mutate(&mut data, other, rng),
        _ => mutate(&mut json, other, rng),
    }
    bytes.clear();
    bytes.extend((json.len() as u64).to_le_bytes());
    bytes.extend(json);
    bytes.extend(data);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_one_input() {
        let made = |seed| {
            let mut bytes = b"1 2:3 4:5\n0 1:1\n".to_vec();
            mutate(&mut bytes, b"7,8\n", &mut Rng::new(&[seed]));
            bytes
        };
        assert!((0..1_000).all(|seed| made(seed) == made(seed) && made(seed).len() <= MOST));
        assert!((0..100).any(|seed| made(seed) != made(seed + 1)));
    }
}
