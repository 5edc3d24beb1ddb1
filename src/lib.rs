//! udpr: a UDP reactor in the manner of Twisted, with a C face.
//!
//! The C API of `include/udpr/udpr.h` is the product; [`capi`] exports it. What is behind it, from the kernel up:
//! [`sys`] (system calls, the seam that tests replace), [`context`] (what ports and the loop share within a turn),
//! [`port`] (one UDP port), [`timer`], [`trigger`], [`threads`] and [`resolver`] (a reactor's other parts, as
//! pure as they can be), [`reactor`] (the loop). Leaves for all of them: [`abi`], [`addr`],
//! [`status`], [`log`], [`slots`]. Each refers to those before it only. The Rust API serves the tests, and promises
//! nothing.

pub mod abi;
pub mod addr;
pub mod capi;
pub mod context;
pub mod log;
pub mod port;
pub mod reactor;
pub mod resolver;
pub mod slots;
pub mod status;
pub mod sys;
pub mod threads;
pub mod timer;
pub mod trigger;
