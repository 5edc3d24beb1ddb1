//! What reads bytes that others made up, and what must hold whatever they are. Each target takes an input and panics where
//! something does not hold. scripts/fuzz-targets runs them on what libFuzzer thinks of, tests/corpus.rs on fuzz/corpus.

pub mod addr;
pub mod ancillary;
mod bytes;
mod control;
pub mod error_queue;
mod messages;
pub mod names;
pub mod options;
mod reactor;
mod sized;

/// Runs an input.
pub type Target = fn(&[u8]);

/// Every target, by the name of its corpus.
pub const TARGETS: [(&str, Target); 5] = [
    ("addr", addr::run),
    ("ancillary", ancillary::run),
    ("error_queue", error_queue::run),
    ("names", names::run),
    ("options", options::run),
];
