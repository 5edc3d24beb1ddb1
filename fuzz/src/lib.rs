//! Fuzz targets for the code that parses bytes from outside. Each target takes an input and panics if a property does not hold.
//! scripts/fuzz-targets runs them with libFuzzer, tests/corpus.rs with the inputs of fuzz/corpus.

pub mod addr;
pub mod ancillary;
mod control_data;
pub mod error_queue;
mod input;
mod messages;
pub mod names;
pub mod options;
mod reactor;
mod sized_struct;

/// Runs an input.
pub type Target = fn(&[u8]);

/// Every target with its name, which is also that of its corpus.
pub const TARGETS: [(&str, Target); 5] = [
    ("addr", addr::run),
    ("ancillary", ancillary::run),
    ("error_queue", error_queue::run),
    ("names", names::run),
    ("options", options::run),
];
