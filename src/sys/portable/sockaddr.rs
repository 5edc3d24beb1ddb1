//! The heads of this system's `sockaddr_in` and `sockaddr_in6`.

use super::system::SYSTEM;
use crate::sys::sockaddr::Format;

/// The format of this system.
pub(in crate::sys) const FORMAT: Format = SYSTEM.sockaddr;
