//! The portable words of the contract: what a backend takes and returns, without a number or a name of any system.

use crate::addr::{Addr, family};
use crate::status::{Result, Status};
use std::ffi::CStr;
use std::io;
use std::sync::Arc;

/// What a system identifies a socket by: a descriptor, or the integer of a SOCKET on Windows. -1 is no socket.
pub type Handle = crate::abi::udpr_socket;

/// A [`Handle`] with its ownership: dropping it closes it.
#[cfg(unix)]
pub type OwnedHandle = std::os::fd::OwnedFd;

/// A [`Handle`] with its ownership: dropping it closes it.
#[cfg(windows)]
pub type OwnedHandle = std::os::windows::io::OwnedSocket;

/// The handle of an owner, which keeps it.
#[cfg(unix)]
pub fn handle_of(owner: &OwnedHandle) -> Handle {
    std::os::fd::AsRawFd::as_raw_fd(owner)
}

/// The handle of an owner, which keeps it.
#[cfg(windows)]
pub fn handle_of(owner: &OwnedHandle) -> Handle {
    std::os::windows::io::AsRawSocket::as_raw_socket(owner) as Handle
}

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

/// A set of signals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignalSet(u64);

impl SignalSet {
    /// The highest number that a set can contain. The lowest is 1.
    pub const HIGHEST: i32 = 64;

    /// The set with these [bits](SignalSet::bit).
    pub fn from_bits(bits: u64) -> SignalSet {
        SignalSet(bits)
    }

    /// The bit of a signal. 0 for numbers that no set contains.
    pub fn bit(signal: i32) -> u64 {
        if (1..=SignalSet::HIGHEST).contains(&signal) { 1 << (signal - 1) } else { 0 }
    }

    /// True if the signal is in the set.
    pub fn contains(self, signal: i32) -> bool {
        self.0 & SignalSet::bit(signal) != 0
    }

    /// Its signals, from the lowest to the highest.
    pub fn iter(self) -> impl Iterator<Item = i32> {
        (1..=SignalSet::HIGHEST)
            .filter(move |signal| self.contains(*signal))
            .take(self.0.count_ones() as usize)
    }
}

/// Looks a host name up, on any thread. Returns all addresses of a family ([`family::UNSPEC`]: of both) in the system's order,
/// each once; NAME_NOT_FOUND if the name has no such address, NAME_TRY_AGAIN if no server responded.
pub type LookUp = Arc<dyn Fn(&CStr, u16) -> Result<Vec<Addr>> + Send + Sync>;

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

/// A version of the Internet Protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpVersion {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl IpVersion {
    /// The version that addresses of this [`family`] belong to.
    pub fn of(family: u16) -> IpVersion {
        if family == family::INET6 { IpVersion::V6 } else { IpVersion::V4 }
    }

    /// The [`family`] of its addresses.
    pub fn family(self) -> u16 {
        match self {
            IpVersion::V4 => family::INET,
            IpVersion::V6 => family::INET6,
        }
    }
}

/// A socket option, named by its effect. A socket that speaks both versions of IP has both forms of the options that take
/// an [`IpVersion`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketOption {
    /// Whether datagrams may be sent to broadcast addresses (SO_BROADCAST).
    Broadcast,
    /// Whether other sockets that have this option may have the same port number (SO_REUSEADDR).
    ReuseAddress,
    /// As [`SocketOption::ReuseAddress`], and the system distributes unicast datagrams among the sockets (SO_REUSEPORT).
    ReusePort,
    /// Whether an IPv6 socket speaks IPv6 only (IPV6_V6ONLY).
    V6Only,
    /// The size of the receive buffer in bytes, in the sense in which it is requested (SO_RCVBUF).
    ReceiveBuffer,
    /// The size of the send buffer in bytes, in the sense in which it is requested (SO_SNDBUF).
    SendBuffer,
    /// Whether received datagrams carry the time of their arrival.
    Timestamps,
    /// Whether datagrams of one flow may be received merged (UDP_GRO).
    MergeReceived,
    /// Whether datagrams can have the instant at which they should leave, by the clock of `clock::now` (SO_TXTIME). Linux cannot
    /// turn it off again.
    SendAt,
    /// The size into which the system cuts what is sent (UDP_SEGMENT). Only a system that merges sends knows it.
    SegmentSize,
    /// Whether received datagrams carry their destination and interface (IP_PKTINFO).
    PacketInfo(IpVersion),
    /// Whether received datagrams carry their TOS byte or traffic class.
    ReceiveTos(IpVersion),
    /// Whether received datagrams carry their TTL or hop limit.
    ReceiveTtl(IpVersion),
    /// Whether datagrams are sent with "don't fragment" set, up to the MTU of the interface, whatever is known of the path.
    DontFragment(IpVersion),
    /// Whether the error queue receives the reports of datagrams that failed (IP_RECVERR).
    ErrorReports(IpVersion),
    /// The TTL or hop limit of unicast datagrams.
    UnicastTtl(IpVersion),
    /// The TTL or hop limit of multicast datagrams.
    MulticastTtl(IpVersion),
    /// Whether multicast datagrams also reach the members of the group on this host.
    MulticastLoop(IpVersion),
    /// The interface by which multicast datagrams leave, an [`OptionValue::Interface`].
    MulticastInterface(IpVersion),
    /// Whether datagrams of all groups that anybody on this host has joined are received (IP_MULTICAST_ALL).
    MulticastAll(IpVersion),
}

/// The value of a [`SocketOption`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionValue {
    /// A number; 0 and 1 turn an option off and on.
    Number(i32),
    /// An interface by its index, and the IPv4 address to send with; zero leaves either of them to the system.
    Interface {
        /// The index.
        index: u32,
        /// The address, which IPv6 ignores.
        address: [u8; 4],
    },
}

impl From<i32> for OptionValue {
    fn from(number: i32) -> OptionValue {
        OptionValue::Number(number)
    }
}

impl From<bool> for OptionValue {
    fn from(on: bool) -> OptionValue {
        OptionValue::Number(on.into())
    }
}

/// What a descriptor refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketKind {
    /// A UDP socket.
    Udp(IpVersion),
    /// A socket that is neither of IPv4 nor of IPv6.
    OtherFamily,
    /// A socket for another protocol than UDP, or no socket.
    NotUdp,
}

/// The membership of a socket in a multicast group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The group; its port is not used.
    pub group: Addr,
    /// The sender whose datagrams are received; none stands for all senders.
    pub source: Option<Addr>,
    /// The index of the interface; 0 leaves the choice to the system.
    pub interface: u32,
}

/// What a socket receives of a group on one interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupFilter {
    /// True if the listed sources are the ones that are not received: without sources, everything is.
    pub excludes: bool,
    /// The number of sources.
    pub sources: u32,
}

/// Why a group was not joined or left.
#[derive(Debug)]
pub enum GroupError {
    /// The socket has joined it on that interface before.
    AlreadyJoined,
    /// The socket has not joined it on that interface.
    NotJoined,
    /// There is no such interface.
    NoInterface,
    /// The socket has as many memberships as it can have, or there is no memory for another one.
    Full(io::Error),
    /// Another error.
    Other(io::Error),
}

impl From<GroupError> for Status {
    fn from(error: GroupError) -> Status {
        match error {
            GroupError::AlreadyJoined => Status::ALREADY_JOINED,
            GroupError::NotJoined => Status::NOT_JOINED,
            GroupError::NoInterface => Status::NO_INTERFACE,
            GroupError::Full(error) | GroupError::Other(error) => error.into(),
        }
    }
}
