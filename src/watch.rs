//! Watching descriptors of others: what may be asked for, as epoll names it.

use crate::status::{Result, Status};
use crate::sys::epoll;

/// The bits of a watch, with the numbers of `udpr_watch_flag`.
pub mod flag {
    use crate::abi::udpr_watch_flag as Flag;

    /// Can be read.
    pub const READABLE: u32 = Flag::UDPR_WATCH_READABLE as u32;
    /// Can be written to.
    pub const WRITABLE: u32 = Flag::UDPR_WATCH_WRITABLE as u32;
    /// An error, or the other side is gone; always reported.
    pub const HANGUP: u32 = Flag::UDPR_WATCH_HANGUP as u32;
}

/// What epoll is asked for. INVALID_ARGUMENT for nothing, and for bits that there are not.
pub fn interest(events: u32) -> Result<u32> {
    if events == 0 || events & !(flag::READABLE | flag::WRITABLE | flag::HANGUP) != 0 {
        return Err(Status::INVALID_ARGUMENT);
    }
    let readable = if events & flag::READABLE != 0 { epoll::READABLE } else { 0 };
    let writable = if events & flag::WRITABLE != 0 { epoll::WRITABLE } else { 0 };
    Ok(readable | writable)
}

/// What a watch is told of what epoll reports.
pub fn events(ready: u32) -> u32 {
    let pairs = [
        (epoll::READABLE, flag::READABLE),
        (epoll::WRITABLE, flag::WRITABLE),
        (epoll::HANGUP | epoll::ERROR, flag::HANGUP),
    ];
    pairs.iter().filter(|(bits, _)| ready & bits != 0).fold(0, |events, (_, bit)| events | bit)
}
