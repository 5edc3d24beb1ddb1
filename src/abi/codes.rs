//! The enums of the header that name numbers: families, phases, events, levels, origins, flags and limits.

/// The values of udpr_addr.family. They are the same on every system.
#[repr(C)]
pub enum udpr_family_code {
    /// No address.
    UDPR_AF_UNSPEC = 0,
    /// IPv4.
    UDPR_AF_INET = 4,
    /// IPv6.
    UDPR_AF_INET6 = 6,
}

/// The phases of an event: when its triggers are called.
#[repr(C)]
pub enum udpr_phase_code {
    /// First. A trigger that returns UDPR_PENDING holds the other phases back.
    UDPR_PHASE_BEFORE = 0,
    /// Next. At shutdown, the ports have stopped.
    UDPR_PHASE_DURING = 1,
    /// Last.
    UDPR_PHASE_AFTER = 2,
}

/// The events of a reactor.
#[repr(C)]
pub enum udpr_event_code {
    /// The reactor begins to run.
    UDPR_EVENT_STARTUP = 0,
    /// The reactor was stopped.
    UDPR_EVENT_SHUTDOWN = 1,
}

/// The events of a watched descriptor.
#[repr(C)]
pub enum udpr_watch_flag {
    /// It can be read (EPOLLIN).
    UDPR_WATCH_READABLE = 1,
    /// It can be written to (EPOLLOUT).
    UDPR_WATCH_WRITABLE = 2,
    /// It has an error, or the other side is gone (EPOLLERR, EPOLLHUP). This is always reported.
    UDPR_WATCH_HANGUP = 4,
}

/// The severity of a log record.
#[repr(C)]
pub enum udpr_log_code {
    /// Something was lost or failed, and no function returned it.
    UDPR_LOG_ERROR = 1,
    /// It works, but not as requested.
    UDPR_LOG_WARN = 2,
    /// Something began or ended.
    UDPR_LOG_INFO = 3,
    /// Details for debugging.
    UDPR_LOG_DEBUG = 4,
}

/// The values of udpr_error_report.origin: who found the error.
#[repr(C)]
pub enum udpr_origin_code {
    /// Our own kernel.
    UDPR_ORIGIN_LOCAL = 0,
    /// An ICMP message.
    UDPR_ORIGIN_ICMP = 4,
    /// An ICMPv6 message.
    UDPR_ORIGIN_ICMP6 = 6,
}

/// The bits of udpr_datagram.flags.
#[repr(C)]
pub enum udpr_datagram_flag {
    /// The datagram was longer than max_packet_size: only len of its full_len bytes are at data.
    UDPR_DATAGRAM_TRUNCATED = 1,
    /// With UDPR_UDP_PACKET_INFO: the destination is a group or a broadcast address. The kernel knows which addresses are
    /// broadcast addresses.
    UDPR_DATAGRAM_TO_MANY = 2,
}

/// The bits of udpr_message.flags.
#[repr(C)]
pub enum udpr_message_flag {
    /// The field tos is used.
    UDPR_MESSAGE_TOS = 1,
    /// The message is sent at once, and not gathered.
    UDPR_MESSAGE_NOW = 2,
    /// The payload is in pieces instead of in data.
    UDPR_MESSAGE_PIECES = 4,
    /// The field ttl is used.
    UDPR_MESSAGE_TTL = 8,
    /// The message should leave at send_at (SO_TXTIME), with all its segments. It is a request: without a queueing
    /// discipline that obeys (fq) it leaves at once, and so does one whose instant has passed. fq keeps the order of
    /// instants, not of writes. It drops what is further ahead than its horizon, 10 seconds unless configured; such a
    /// drop is only reported if UDPR_UDP_ERROR_REPORTS is on. UDPR_E_NOT_SUPPORTED if the kernel does not know
    /// SO_TXTIME (see udpr_has_feature, "send_at"), and with a manual clock.
    UDPR_MESSAGE_SEND_AT = 16,
}

/// The bits of udpr_reactor_options.flags.
#[repr(C)]
pub enum udpr_reactor_flag {
    /// While run is running, SIGINT and SIGTERM stop the reactor. A second signal ends a run whose shutdown is held
    /// back. The previous handlers are installed again when run returns. If the host restores our handler later, it
    /// behaves like the previous one.
    UDPR_REACTOR_SIGNALS = 1,
    /// Only udpr_reactor_advance moves the clock; sockets stay real. For tests.
    UDPR_REACTOR_MANUAL_CLOCK = 2,
    /// The first thread in run or iterate owns the reactor, between turns too, until free or the end of that thread.
    UDPR_REACTOR_PINNED = 4,
}

/// The bits of udpr_udp_options.flags.
#[repr(C)]
pub enum udpr_udp_flag {
    /// Several sockets share a port number, in one program or in many. Each of them receives every multicast datagram
    /// of the groups that it joined; a unicast datagram goes to one of them, on Linux to the one that was bound last.
    /// On Linux this is SO_REUSEADDR: all sockets that share the number must have it set. They may have SO_REUSEPORT,
    /// too, as Twisted's listenMultiple has.
    UDPR_UDP_LISTEN_MULTIPLE = 0x0001,
    /// SO_REUSEADDR, on every system. On Linux it is the same as UDPR_UDP_LISTEN_MULTIPLE.
    UDPR_UDP_REUSE_ADDRESS = 0x0002,
    /// SO_REUSEPORT: the kernel distributes unicast flows among the sockets of one user that have it set, for example a
    /// reactor per core. It may distribute multicast datagrams from the network as well, so that a port receives only
    /// some of those of its groups (Linux 6.9 and later), also together with UDPR_UDP_LISTEN_MULTIPLE. Twisted's
    /// listenMultiple sets both.
    UDPR_UDP_REUSE_PORT = 0x0004,
    /// IPv6 only. Without it an IPv6 port on "::" receives IPv4 too, whatever the system's default is.
    UDPR_UDP_V6_ONLY = 0x0008,
    /// Datagrams may be sent to broadcast addresses (SO_BROADCAST).
    UDPR_UDP_BROADCAST = 0x0010,
    /// Sets destination and interface_index of received datagrams.
    UDPR_UDP_PACKET_INFO = 0x0020,
    /// Sets timestamp of received datagrams. It turns GRO off for the port, since the kernel stamps a merged buffer
    /// only once.
    UDPR_UDP_TIMESTAMPS = 0x0040,
    /// Sets tos of received datagrams; ECN is in its low two bits.
    UDPR_UDP_TOS = 0x0080,
    /// Sets ttl of received datagrams.
    UDPR_UDP_TTL = 0x0100,
    /// error_received is called with what the kernel reports about each failed datagram, including its destination.
    UDPR_UDP_ERROR_REPORTS = 0x0200,
    /// Path MTU discovery in probe mode (IP_PMTUDISC_PROBE), for IPv4 and IPv6.
    UDPR_UDP_DONT_FRAGMENT = 0x0400,
    /// If the socket is full, datagrams are dropped and counted instead of queued: for games and voice, which need no
    /// old data.
    UDPR_UDP_NO_QUEUE = 0x0800,
    /// Each write is one system call, made at once, with its exact result. Nothing is gathered or queued.
    UDPR_UDP_UNBATCHED = 0x1000,
    /// Neither GSO nor GRO.
    UDPR_UDP_NO_OFFLOAD = 0x2000,
    /// For adopted sockets: GRO too. It stays set for the other holders of the socket.
    UDPR_UDP_OFFLOAD = 0x4000,
    /// For adopting: takes the descriptor over instead of duplicating it.
    UDPR_UDP_TAKE_FD = 0x8000,
}

/// Sizes.
#[repr(C)]
pub enum udpr_limit {
    /// Bytes for any formatted address and its NUL.
    UDPR_ADDR_TEXT_MAX = 80,
}

/// The bits of udpr_interface.flags.
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
