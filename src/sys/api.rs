//! The portable words of the contract: what a backend takes and returns, without a number or a name of any system.

/// What a system identifies a socket by.
#[cfg(unix)]
pub type Handle = std::os::fd::RawFd;

/// A [`Handle`] with its ownership: dropping it closes it.
#[cfg(unix)]
pub type OwnedHandle = std::os::fd::OwnedFd;

/// What a handle is watched for. Errors and hang-ups are reported in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// Something can be read.
    pub readable: bool,
    /// Something can be written.
    pub writable: bool,
    /// Only changes are reported. Otherwise a handle is reported again by each wait as long as it is ready.
    pub edge_triggered: bool,
}

impl Interest {
    /// Reading alone.
    pub const READABLE: Interest = Interest { readable: true, writable: false, edge_triggered: false };
}

/// What a wait has found out about one handle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// The token that the handle was registered with.
    pub token: u64,
    /// Something can be read.
    pub readable: bool,
    /// Something can be written.
    pub writable: bool,
    /// An error is pending.
    pub error: bool,
    /// The other side is gone, or a socket was shut down in both directions.
    pub hangup: bool,
}

/// What a failed call means, as far as its caller has to tell one failure from another. `Failure::of` returns it for an error;
/// the error itself becomes the status that the program gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing can be received or sent at the moment.
    WouldBlock,
    /// A signal has interrupted the call.
    Interrupted,
    /// A queue of the system or of a device is full, and no readiness is reported when it has room again.
    NoBuffers,
    /// There is no memory.
    NoMemory,
    /// Nobody listens at the destination of an earlier datagram.
    Refused,
    /// The datagram is too long.
    TooLong,
    /// The system has no route to the destination.
    Unreachable,
    /// A packet filter, or a missing privilege, forbids it.
    NotPermitted,
    /// An argument is wrong, or does not fit the state of the socket.
    Invalid,
    /// The address is in use.
    AddressInUse,
    /// The address is not one of this host's. Of a membership: there is none.
    AddressNotAvailable,
    /// There is no such network interface.
    NoDevice,
    /// The system does not know the socket option.
    UnknownOption,
    /// The handle is closed.
    BadHandle,
    /// The handle is not a socket.
    NotSocket,
    /// The system, or a sandbox, does not have the call at all.
    NoSuchCall,
    /// Any other failure.
    Other,
}
