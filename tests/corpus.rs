//! The fuzz targets (fuzz/src) with the inputs of fuzz/corpus, and with small changes of them. They know the control data and the
//! error queue of the Linux backend.
#![cfg(not(udpr_portable))]

mod support;
#[allow(unreachable_pub, dead_code, reason = "a crate of its own for the fuzzers")]
#[path = "../fuzz/src/lib.rs"]
mod targets;

use std::path::{Path, PathBuf};
use support::{Random, exclusive};
use targets::TARGETS;

/// The number of mutated inputs for each target.
const MUTATIONS: u64 = 5_000;
/// The minimum size of a corpus.
const MIN_INPUTS: usize = 20;

/// A target's corpus, in the order of the file names.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let entries = std::fs::read_dir(directory).expect("a corpus");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("an input")).collect()
}

fn replay(name: &str) {
    let (_, run) = TARGETS.into_iter().find(|target| target.0 == name).expect("a target");
    // Targets count descriptors.
    let _exclusive = exclusive();
    let inputs = corpus(name);
    assert!(inputs.len() >= MIN_INPUTS, "{} inputs", inputs.len());
    inputs.iter().for_each(|input| run(input));
    let random = Random::new(4711);
    for _ in 0..MUTATIONS {
        let input = mutate(&inputs[random.below(inputs.len() as u64) as usize], &inputs, &random);
        let _print = PrintOnPanic(&input);
        run(&input);
    }
}

/// Prints the input if the target panics.
struct PrintOnPanic<'a>(&'a [u8]);

impl Drop for PrintOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the input was {:?}", self.0);
        }
    }
}

/// Changes or removes one to four bytes, and sometimes appends the end of another input.
fn mutate(input: &[u8], inputs: &[Vec<u8>], random: &Random) -> Vec<u8> {
    let mut input = input.to_vec();
    let below = |bound: usize| random.below(bound as u64) as usize;
    if below(4) == 0 {
        let other = &inputs[below(inputs.len())];
        input.truncate(below(input.len() + 1));
        input.extend(&other[below(other.len() + 1)..]);
    }
    for _ in 0..=below(4) {
        let place = below(input.len() + 1);
        match (input.get_mut(place), below(4)) {
            (None, _) => input.push(below(256) as u8),
            (Some(_), 0) => drop(input.remove(place)),
            (Some(byte), 1) => *byte ^= 1 << below(8),
            (Some(byte), 2) => *byte = [0, 1, 0x7f, 0xff][below(4)],
            (Some(byte), _) => *byte = below(256) as u8,
        }
    }
    input
}

#[test]
fn addr() {
    replay("addr");
}

#[test]
fn ancillary() {
    replay("ancillary");
}

#[test]
fn error_queue() {
    replay("error_queue");
}

#[test]
fn names() {
    replay("names");
}

#[test]
fn options() {
    replay("options");
}
