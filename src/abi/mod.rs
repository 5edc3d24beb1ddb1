//! Every type of the header, defined once. The header is generated from these files, and their comments are the header's. The core
//! uses the same types under shorter names: `addr::Addr` is [`udpr_addr`], `port::Stats` is [`udpr_transport_stats`].
#![allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "C names")]

/// A socket or, except on Windows, any descriptor. The header defines it by the system that the program is compiled for: cbindgen.toml.
#[cfg(unix)]
pub type udpr_socket = i32;
/// A SOCKET.
#[cfg(windows)]
pub type udpr_socket = isize;

mod callbacks;
mod codes;
mod handles;
mod options;
mod stats;
mod status;
mod values;

pub use callbacks::*;
pub use codes::*;
pub use handles::*;
pub use options::*;
pub use stats::*;
pub use status::*;
pub use values::*;
