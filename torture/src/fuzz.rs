//! Broken files for every reader: a value or a typed error, never a panic, and memory in proportion to the
//! input.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use crate::guard::caught;
use crate::models::text;
use crate::mutate::{mutate, mutate_tensors};
use crate::readers::{Input, Reader, checkpoints};
use crate::report::{Report, Scale};
use crate::rng::Rng;
use crate::{corpus, readers};

const THREADS: u64 = 2;

/// Bytes that a reader may have at once for each byte of its input, unpacked. A field of a text takes
/// two bytes ("1,") and becomes an f32 in a vector that doubles; a word of a review takes two and becomes
/// an entry of a map (a string, its heap block, a count: some 64 bytes), in a table that doubles too.
const FACTOR: i64 = 64;

/// What a reader may have for any input: the decoder's window and buffers.
const BASE: i64 = 1 << 20;

/// Every so manyth input of a snapshot is also the newest file of a folder.
const FOLDERS: u64 = 1_000;

pub(crate) fn run(scale: Scale) -> Result<Report, String> {
    let (started, inputs) = (Instant::now(), scale.pick(100_000, 10_000_000));
    let all = readers::all();
    let mut fuzzers = Vec::new();
    for reader in all {
        let corpus = corpus::read(reader.corpus)?;
        if corpus.is_empty() {
            return Err(format!("the corpus has no {}", reader.corpus));
        }
        fuzzers.push((reader, corpus));
    }
    let fuzzers = &fuzzers;
    let threads = std::thread::scope(|scope| {
        let threads = (0..THREADS).map(|thread| {
            scope.spawn(move || {
                let cases = (thread..inputs).step_by(THREADS as usize);
                worker(fuzzers, scale.seed, thread, cases)
            })
        });
        let threads: Vec<_> = threads.collect();
        let ended = threads.into_iter().map(|thread| thread.join());
        ended.collect::<Vec<_>>()
    });
    let mut report = Report::default();
    for ended in threads {
        report.join(ended.map_err(|_| "a thread has panicked")??);
    }
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}

/// An input of `cargo fuzz`, for the reader that `OPT_READER` names.
///
/// # Panics
///
/// If the reader does, or has more memory at once than it may: that is how the fuzzer knows. And if
/// there is no such reader.
pub fn fuzzed(bytes: &[u8]) {
    thread_local! {
        static STATE: (Reader, Scratch) = {
            let asked = std::env::var("OPT_READER").unwrap_or_default();
            let reader = readers::all().into_iter().find(|reader| reader.corpus == asked);
            let reader = reader.unwrap_or_else(|| panic!("OPT_READER `{asked}`: a folder of torture/corpus"));
            (reader, Scratch::new(0).expect("a temporary folder can be written"))
        };
    }
    STATE.with(|(reader, scratch)| {
        if let Err(why) = try_one(reader, bytes, scratch) {
            panic!("{why}");
        }
    });
}

type Fuzzer = (Reader, Vec<Vec<u8>>);

fn worker(
    fuzzers: &[Fuzzer],
    seed: u64,
    thread: u64,
    cases: impl Iterator<Item = u64>,
) -> Result<Report, String> {
    let scratch = Scratch::new(thread)?;
    let mut report = Report::default();
    for case in cases {
        let (reader, corpus) = &fuzzers[(case % fuzzers.len() as u64) as usize];
        let input = input(reader, corpus, &mut Rng::new(&[seed, case]));
        let mut result = try_one(reader, &input, &scratch);
        if result.is_ok() && reader.name == "snapshot f32" && case % FOLDERS == 0 {
            let folder = scratch.0.join("checkpoints");
            let done = caught(|| checkpoints(&folder, &input));
            result = result.and_then(|read| done.and_then(|done| done).map(|()| read));
            report.add("folders of checkpoints", 1);
        }
        report.add("inputs", 1);
        match result {
            Ok(true) => report.add("read", 1),
            Ok(false) => report.add("refused", 1),
            Err(why) => {
                let name = format!("fuzz-{}-{seed}-{case}", reader.name.replace(' ', "-"));
                let kept = crate::folder().join(name);
                let saved = std::fs::create_dir_all(crate::folder())
                    .and_then(|()| std::fs::write(&kept, &input));
                let at = saved.map_or_else(text, |()| kept.display().to_string());
                let why = format!("{}, seed {seed}, case {case}, {at}: {why}", reader.name);
                report.failures.push(why);
            }
        }
    }
    Ok(report)
}

/// A broken file. Of a packed one, half the time what is in it is broken and half the time the packing.
fn input(reader: &Reader, corpus: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let (mut bytes, other) = (rng.of(corpus).clone(), rng.of(corpus));
    let tensors = reader.corpus.starts_with("snapshot") || reader.corpus == "torch";
    match (reader.gzip, tensors) {
        (false, true) => mutate_tensors(&mut bytes, other, rng),
        (false, false) => mutate(&mut bytes, other, rng),
        (true, _) => {
            let inside = rng.below(2) == 0;
            if inside {
                mutate(&mut bytes, other, rng);
            }
            bytes = pack(&bytes);
            if !inside {
                mutate(&mut bytes, other, rng);
            }
        }
    }
    bytes
}

fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // A vector takes all.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

/// Whether it was read, or what is wrong.
fn try_one(reader: &Reader, bytes: &[u8], scratch: &Scratch) -> Result<bool, String> {
    let path = scratch.0.join("input");
    if reader.by_path {
        std::fs::write(&path, bytes).map_err(text)?;
    }
    let input = Input { bytes, path: &path };
    let (read, peak) = crate::alloc::peak(|| caught(|| (reader.read)(&input)));
    let read = read.map_err(|what| format!("it panics: {what}"))?;
    let bound = |len: usize| FACTOR * len as i64 + BASE;
    if peak > bound(bytes.len()) && peak > bound(bytes.len().max(unpacked(bytes))) {
        return Err(format!(
            "{peak} bytes at once for an input of {}",
            bytes.len()
        ));
    }
    Ok(read)
}

/// How long it is unpacked, as far as it can be.
fn unpacked(bytes: &[u8]) -> usize {
    let (mut decoder, mut buffer, mut len) = (MultiGzDecoder::new(bytes), [0; 4096], 0);
    while let Ok(read @ 1..) = decoder.read(&mut buffer) {
        len += read;
    }
    len
}

/// A folder in memory, where there is one.
struct Scratch(PathBuf);

impl Scratch {
    fn new(thread: u64) -> Result<Self, String> {
        let memory = Path::new("/dev/shm");
        let temporary = std::env::temp_dir();
        let parent = if memory.is_dir() { memory } else { &temporary };
        let folder = parent.join(format!("opt-torture-{}-{thread}", std::process::id()));
        let checkpoints = folder.join("checkpoints");
        std::fs::create_dir_all(&checkpoints).map_err(text)?;
        let (mut x, mut step, mut best) = (vec![1.0_f32; 3], 1_u64, 0.5);
        let mut run = opt_core::run![x, step, best];
        let older = checkpoints.join(format!("{:020}.safetensors", 1));
        run.save(older).map_err(text)?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
