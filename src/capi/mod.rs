//! The C face: the only `extern "C"` functions, one file per chapter of the header, without logic.
//!
//! Each checks its pointers, calls one safe method and maps the answer to a status. `include/udpr/udpr.h` is made
//! from these files and those of `abi` by cbindgen, so their comments are written for C programmers.
#![allow(unsafe_code)]
#![allow(rustdoc::broken_intra_doc_links, reason = "the header's comments show C, as in messages[0].size")]
#![allow(clippy::missing_safety_doc, reason = "the header's head says what a caller promises")]

pub mod addr;
mod callback;
pub mod embed;
pub mod events;
mod guard;
pub mod library;
pub mod life;
mod message;
pub mod multicast;
pub mod notices;
pub mod observe;
pub mod ports;
mod ptr;
pub mod thread;
pub mod time;
pub mod transport;
pub mod transport_time;
