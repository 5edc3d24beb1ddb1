//! udpr: a UDP reactor (an event loop) modelled on Twisted, with a C API.
//!
//! The C API of `include/udpr/udpr.h` is the product; [`capi`] exports it. Below it are, from the kernel up: [`sys`]
//! (system calls, behind an interface that tests replace), [`context`] (what the ports and the loop share), [`port`]
//! (one UDP port), [`timer`], [`trigger`], [`threads`] and [`resolver`] (the other parts of a reactor), and [`reactor`]
//! (the loop). Leaves for all of them are [`abi`], [`addr`], [`status`], [`refusal`], [`log`] and [`slots`]. Each refers to those
//! before it only. docs/architecture.md follows a datagram through them. The Rust API serves the tests, and promises
//! nothing.

pub mod abi;
pub mod addr;
pub mod capi;
pub mod context;
pub mod log;
pub mod port;
pub mod reactor;
pub mod refusal;
pub mod resolver;
pub mod slots;
pub mod status;
pub mod sys;
pub mod threads;
pub mod timer;
pub mod trigger;
