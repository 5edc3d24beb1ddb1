//! The enums of the header that name numbers: families, phases, events, levels, origins, flags and limits.

/// udpr_addr.family: the same on every system.
#[repr(C)]
pub enum udpr_family_code {
    /// No address.
    UDPR_AF_UNSPEC = 0,
    /// IPv4.
    UDPR_AF_INET = 4,
    /// IPv6.
    UDPR_AF_INET6 = 6,
}

/// When a trigger of an event is called.
#[repr(C)]
pub enum udpr_phase_code {
    /// First; a trigger that answers UDPR_PENDING holds the rest back.
    UDPR_PHASE_BEFORE = 0,
    /// Next; at shutdown, when the ports have stopped.
    UDPR_PHASE_DURING = 1,
    /// Last.
    UDPR_PHASE_AFTER = 2,
}

/// What happens to a reactor.
#[repr(C)]
pub enum udpr_event_code {
    /// It begins to run.
    UDPR_EVENT_STARTUP = 0,
    /// It was stopped.
    UDPR_EVENT_SHUTDOWN = 1,
}

/// What a watch is told of its descriptor.
#[repr(C)]
pub enum udpr_watch_flag {
    /// It can be read (EPOLLIN).
    UDPR_WATCH_READABLE = 1,
    /// It can be written to (EPOLLOUT).
    UDPR_WATCH_WRITABLE = 2,
    /// An error, or the other side is gone (EPOLLERR, EPOLLHUP); always reported.
    UDPR_WATCH_HANGUP = 4,
}

/// How grave a log record is.
#[repr(C)]
pub enum udpr_log_code {
    /// Something was lost or failed that no result tells of.
    UDPR_LOG_ERROR = 1,
    /// It works, but not as asked for.
    UDPR_LOG_WARN = 2,
    /// Beginnings and ends.
    UDPR_LOG_INFO = 3,
    /// For who looks for a fault.
    UDPR_LOG_DEBUG = 4,
}

/// udpr_error_report.origin: who found the error.
#[repr(C)]
pub enum udpr_origin_code {
    /// Our own kernel.
    UDPR_ORIGIN_LOCAL = 0,
    /// An ICMP message.
    UDPR_ORIGIN_ICMP = 4,
    /// An ICMPv6 message.
    UDPR_ORIGIN_ICMP6 = 6,
}

/// udpr_datagram.flags.
#[repr(C)]
pub enum udpr_datagram_flag {
    /// It was longer than max_packet_size: len bytes of full_len are there.
    UDPR_DATAGRAM_TRUNCATED = 1,
}

/// udpr_message.flags.
#[repr(C)]
pub enum udpr_message_flag {
    /// The message's tos counts.
    UDPR_MESSAGE_TOS = 1,
    /// Do not gather, send now.
    UDPR_MESSAGE_NOW = 2,
}

/// udpr_reactor_options.flags.
#[repr(C)]
pub enum udpr_reactor_flag {
    /// While run runs, SIGINT and SIGTERM stop it; a second one ends a run whose shutdown hangs. The former handlers are
    /// back when it returns. If the host restores ours later, it acts as the former one.
    UDPR_REACTOR_SIGNALS = 1,
    /// Time moves by udpr_reactor_advance alone, sockets stay real: for tests.
    UDPR_REACTOR_MANUAL_CLOCK = 2,
    /// The first thread in run or iterate owns it, between turns too, until free or the end of that thread.
    UDPR_REACTOR_PINNED = 4,
}

/// udpr_udp_options.flags.
#[repr(C)]
pub enum udpr_udp_flag {
    /// Several sockets on one number, in one program or many: each of them receives every multicast datagram of the groups
    /// it joined; a unicast datagram goes to one of them, on Linux the one that was bound last. SO_REUSEADDR on Linux: all
    /// who share the number must have that option set (they may have SO_REUSEPORT, too, as Twisted's listenMultiple has).
    UDPR_UDP_LISTEN_MULTIPLE = 0x0001,
    /// SO_REUSEADDR, on every system: on Linux the same as UDPR_UDP_LISTEN_MULTIPLE.
    UDPR_UDP_REUSE_ADDRESS = 0x0002,
    /// SO_REUSEPORT: the kernel spreads unicast flows over the sockets of one user that have it (a reactor per core). It may
    /// spread multicast datagrams from the network, too, so that a port receives some of those of its groups only (Linux 6.9
    /// and later), also together with UDPR_UDP_LISTEN_MULTIPLE; both flags are what Twisted's listenMultiple sets.
    UDPR_UDP_REUSE_PORT = 0x0004,
    /// Else an IPv6 port on "::" is dual-stack, whatever the system's default.
    UDPR_UDP_V6_ONLY = 0x0008,
    /// Broadcasts may be sent (SO_BROADCAST).
    UDPR_UDP_BROADCAST = 0x0010,
    /// Fill datagram.destination and .interface_index.
    UDPR_UDP_PACKET_INFO = 0x0020,
    /// Fill datagram.timestamp; turns GRO off for the port (one stamp per kernel buffer).
    UDPR_UDP_TIMESTAMPS = 0x0040,
    /// Fill datagram.tos (ECN in its low two bits).
    UDPR_UDP_TOS = 0x0080,
    /// Fill datagram.ttl.
    UDPR_UDP_TTL = 0x0100,
    /// error_received gets what the kernel knows of every failure, with its destination.
    UDPR_UDP_ERROR_REPORTS = 0x0200,
    /// Path MTU discovery in probe mode, IPv4 and IPv6.
    UDPR_UDP_DONT_FRAGMENT = 0x0400,
    /// A full socket drops and counts: no stale data (games, voice).
    UDPR_UDP_NO_QUEUE = 0x0800,
    /// Each write is one system call now, with its exact result; never queues.
    UDPR_UDP_UNBATCHED = 0x1000,
    /// Neither GSO nor GRO.
    UDPR_UDP_NO_OFFLOAD = 0x2000,
    /// Adopted sockets: GRO too (it stays set for the socket's other holders).
    UDPR_UDP_OFFLOAD = 0x4000,
    /// Adopting: take the descriptor over instead of duplicating it.
    UDPR_UDP_TAKE_FD = 0x8000,
}

/// Sizes.
#[repr(C)]
pub enum udpr_limit {
    /// Room for any formatted address and its NUL, in bytes.
    UDPR_ADDR_TEXT_MAX = 80,
}

/// udpr_interface.flags.
#[repr(C)]
#[derive(Clone, Copy)]
pub enum udpr_interface_flag {
    /// The interface is up.
    UDPR_INTERFACE_UP = 1,
    /// Its datagrams come back to this host.
    UDPR_INTERFACE_LOOPBACK = 2,
    /// It carries multicast datagrams.
    UDPR_INTERFACE_MULTICAST = 4,
    /// It carries broadcasts.
    UDPR_INTERFACE_BROADCAST = 8,
    /// There is one other end, as with a tunnel.
    UDPR_INTERFACE_POINT_TO_POINT = 16,
}
