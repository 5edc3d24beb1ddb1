//! The types of the header. Their comments are the header's.
#![allow(non_camel_case_types, clippy::upper_case_acronyms)]

use super::ptr::Versioned;
use std::ffi::{c_char, c_void};

/// 0 success, above 0 success with a note, below 0 failure: the numbers of udpr_status_code.
pub type udpr_status = i32;
/// 0 is false, anything else true.
pub type udpr_bool = i32;
/// Names a timer, trigger, look-up or watch. Never used again; 0 is never valid.
pub type udpr_id = u64;
/// Nanoseconds: a duration, or an instant of the reactor's monotonic clock.
pub type udpr_ns = u64;

/// Every status. Each named code stands for one errno or for none, so that udpr_status_errno gives every errno back.
#[repr(C)]
pub enum udpr_status_code {
    /// Success.
    UDPR_OK = 0,
    /// From a trigger: it will finish later.
    UDPR_PENDING = 1,
    /// A NULL where none is allowed, a bad size, a value out of range.
    UDPR_E_INVALID_ARGUMENT = -1,
    /// ENOMEM.
    UDPR_E_NO_MEMORY = -2,
    /// Another thread uses this reactor now.
    UDPR_E_WRONG_THREAD = -3,
    /// The reactor does not run.
    UDPR_E_NOT_RUNNING = -4,
    /// The reactor runs already.
    UDPR_E_ALREADY_RUNNING = -5,
    /// Not from inside a callback.
    UDPR_E_REENTRANT = -6,
    /// This transport has stopped, or the reactor is gone, or this is a forked child.
    UDPR_E_CLOSED = -7,
    /// No such id.
    UDPR_E_NOT_FOUND = -8,
    /// The delayed call has run, or is running.
    UDPR_E_ALREADY_CALLED = -9,
    /// The delayed call was cancelled.
    UDPR_E_ALREADY_CANCELLED = -10,
    /// Not an IP literal (a host name, say).
    UDPR_E_INVALID_ADDRESS = -11,
    /// IPv4 on an IPv6 port or the other way round (EAFNOSUPPORT).
    UDPR_E_ADDRESS_FAMILY = -12,
    /// Adopting: not a UDP socket.
    UDPR_E_SOCKET_TYPE = -13,
    /// A write without address on an unconnected port (ENOTCONN).
    UDPR_E_NOT_CONNECTED = -14,
    /// A write to somebody else on a connected port.
    UDPR_E_WRONG_PEER = -15,
    /// More than a datagram holds: 65,507 bytes over IPv4, 65,527 over IPv6; or than the path carries (EMSGSIZE).
    UDPR_E_MESSAGE_TOO_LONG = -16,
    /// The socket and the send queue are full; write_ready tells when to go on (EAGAIN).
    UDPR_E_WOULD_BLOCK = -17,
    /// Nobody listens there (ECONNREFUSED).
    UDPR_E_CONNECTION_REFUSED = -18,
    /// Another socket has this address (EADDRINUSE).
    UDPR_E_ADDRESS_IN_USE = -19,
    /// Not an address of this host (EADDRNOTAVAIL).
    UDPR_E_ADDRESS_NOT_AVAILABLE = -20,
    /// EPERM: a firewall, say.
    UDPR_E_PERMISSION = -21,
    /// EACCES: broadcast not allowed, a privileged port.
    UDPR_E_ACCESS = -22,
    /// EMFILE: this process has no descriptor left.
    UDPR_E_NO_FILES = -23,
    /// ENETUNREACH.
    UDPR_E_NETWORK_UNREACHABLE = -24,
    /// EHOSTUNREACH.
    UDPR_E_HOST_UNREACHABLE = -25,
    /// The group was joined before.
    UDPR_E_ALREADY_JOINED = -26,
    /// The group was not joined.
    UDPR_E_NOT_JOINED = -27,
    /// Joining: not a multicast address.
    UDPR_E_NOT_MULTICAST = -28,
    /// No such network interface (ENODEV).
    UDPR_E_NO_INTERFACE = -29,
    /// The name does not exist.
    UDPR_E_NAME_NOT_FOUND = -30,
    /// The name cannot be looked up now.
    UDPR_E_NAME_TRY_AGAIN = -31,
    /// ETIMEDOUT.
    UDPR_E_TIMED_OUT = -32,
    /// ECANCELED.
    UDPR_E_CANCELLED = -33,
    /// This system or this release cannot do it (EOPNOTSUPP).
    UDPR_E_NOT_SUPPORTED = -34,
    /// A struct or flag asks for more than this library knows.
    UDPR_E_VERSION = -35,
    /// A bug in the library: this reactor is dead, only udpr_reactor_free is allowed.
    UDPR_E_PANIC = -36,
    /// UDPR_E_SYSTEM - errno, for an errno without a name above.
    UDPR_E_SYSTEM = -65536,
}

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

/// A reactor. Owned: udpr_reactor_new makes it, udpr_reactor_free ends it.
pub struct udpr_reactor(());

/// A port; the Port of Twisted. Counted: udpr_transport_retain, udpr_transport_release.
pub struct udpr_transport(());

/// A reactor's door for other threads. Counted: udpr_remote_retain, udpr_remote_release. [any thread]
pub struct udpr_remote(());

/// An address and a UDP port. 32 bytes, fixed for ever.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct udpr_addr {
    /// udpr_family_code.
    pub family: u16,
    /// In host byte order.
    pub port: u16,
    /// Link-local IPv6: the interface's index, else 0.
    pub scope_id: u32,
    /// IPv6: sin6_flowinfo as it is, in network byte order.
    pub flow_info: u32,
    /// In network order; IPv4 in the first four, the rest zero.
    pub bytes: [u8; 16],
    /// Zero.
    pub reserved: u32,
}

/// A received datagram. The library fills it; fields are only ever appended.
#[repr(C)]
pub struct udpr_datagram {
    /// Of this struct, in bytes.
    pub size: usize,
    /// Never NULL; valid until the callback returns. Not to be written to: what is sent on of it may leave from here once
    /// the callback has returned.
    pub data: *const u8,
    /// Bytes at data.
    pub len: usize,
    /// As it was sent; more than len where UDPR_DATAGRAM_TRUNCATED.
    pub full_len: usize,
    /// Who sent it. On a dual-stack port IPv4 senders are ::ffff:a.b.c.d.
    pub sender: udpr_addr,
    /// Where it was sent to (a group, too); UDPR_AF_UNSPEC without UDPR_UDP_PACKET_INFO.
    pub destination: udpr_addr,
    /// Where it came in; 0 without UDPR_UDP_PACKET_INFO.
    pub interface_index: u32,
    /// udpr_datagram_flag.
    pub flags: u32,
    /// The kernel's receive time, ns since 1970; 0 without UDPR_UDP_TIMESTAMPS.
    pub timestamp: u64,
    /// -1 without UDPR_UDP_TOS.
    pub tos: i32,
    /// -1 without UDPR_UDP_TTL.
    pub ttl: i32,
}

/// A piece of a datagram; fixed for ever.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct udpr_bytes {
    /// May be NULL where len is 0.
    pub data: *const c_void,
    /// Bytes at data.
    pub len: usize,
}

/// One write with everything that can be said of it; zeroed but for size: the port's settings.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct udpr_message {
    /// Of this struct, in bytes.
    pub size: usize,
    /// May be NULL where len is 0.
    pub data: *const c_void,
    /// Bytes at data.
    pub len: usize,
    /// NULL on a connected port.
    pub to: *const udpr_addr,
    /// Local address to send from (its port is ignored); NULL: the kernel chooses.
    pub source: *const udpr_addr,
    /// The interface to send by; 0: the kernel chooses. On a port that is bound to a device no other interface can be named:
    /// see bind_device. Linux takes it for a preference only, and may send by an interface with a better route, if the
    /// destination is an IPv6 unicast address that is not link-local and the source address is fixed: by `source`, by a
    /// connection, or since the port is bound to an address. bind_device holds then, too.
    pub interface_index: u32,
    /// udpr_message_flag.
    pub flags: u32,
    /// With UDPR_MESSAGE_TOS.
    pub tos: u32,
    /// 0: one datagram; else data is cut into datagrams of this size, the last may be short.
    pub segment_size: u32,
}

/// An error that the kernel has about what we sent: one may stand for a whole GSO send.
#[repr(C)]
pub struct udpr_error_report {
    /// Of this struct, in bytes.
    pub size: usize,
    /// UDPR_E_CONNECTION_REFUSED, _HOST_UNREACHABLE, _MESSAGE_TOO_LONG, _PERMISSION, ...
    pub status: udpr_status,
    /// udpr_origin_code: our own kernel, or an ICMP message.
    pub origin: u32,
    /// The destination that failed.
    pub to: udpr_addr,
    /// Who sent the ICMP message; UDPR_AF_UNSPEC where local.
    pub reporter: udpr_addr,
    /// Of the ICMP message, else 0.
    pub icmp_type: u32,
    /// Of the ICMP message, else 0.
    pub icmp_code: u32,
    /// With UDPR_E_MESSAGE_TOO_LONG the MTU of the path that the datagram would have taken, in bytes with all headers, or 0 if
    /// it cannot be known; with every other status 0.
    pub mtu: u32,
    /// Zero.
    pub reserved: u32,
    /// As much of the datagram as came back; never NULL.
    pub data: *const u8,
    /// Bytes at data.
    pub len: usize,
}

/// A line of the log.
#[repr(C)]
pub struct udpr_log_record {
    /// Of this struct, in bytes.
    pub size: usize,
    /// udpr_log_code.
    pub level: u32,
    /// What it is about, or UDPR_OK.
    pub status: udpr_status,
    /// The part that speaks: NUL-terminated UTF-8, valid during the call.
    pub target: *const c_char,
    /// NUL-terminated UTF-8, valid during the call.
    pub message: *const c_char,
}

/// Frees a user pointer. Called exactly once.
pub type udpr_free_fn = Option<unsafe extern "C-unwind" fn(user: *mut c_void)>;
/// A delayed call, or a call from another thread.
pub type udpr_call_fn = Option<unsafe extern "C-unwind" fn(reactor: *mut udpr_reactor, user: *mut c_void)>;
/// Work for a thread of the pool.
pub type udpr_work_fn = Option<unsafe extern "C-unwind" fn(user: *mut c_void)>;
/// At startup or shutdown. UDPR_OK or, before-triggers, UDPR_PENDING; a failure is logged.
pub type udpr_trigger_fn = Option<
    unsafe extern "C-unwind" fn(reactor: *mut udpr_reactor, id: udpr_id, user: *mut c_void) -> udpr_status,
>;
/// A look-up has its answer: `count` addresses, or the status that tells why there are none.
pub type udpr_resolved_fn = Option<
    unsafe extern "C-unwind" fn(
        reactor: *mut udpr_reactor,
        id: udpr_id,
        status: udpr_status,
        addrs: *const udpr_addr,
        count: usize,
        user: *mut c_void,
    ),
>;
/// A watched descriptor is ready: `events` are udpr_watch_flag.
pub type udpr_watch_fn = Option<
    unsafe extern "C-unwind" fn(
        reactor: *mut udpr_reactor,
        id: udpr_id,
        fd: i32,
        events: u32,
        user: *mut c_void,
    ),
>;
/// A line of the log.
pub type udpr_log_fn = Option<unsafe extern "C-unwind" fn(record: *const udpr_log_record, user: *mut c_void)>;
/// One of udpr_reactor_each_transport.
pub type udpr_visit_fn =
    Option<unsafe extern "C-unwind" fn(transport: *mut udpr_transport, user: *mut c_void)>;
/// The port is bound. Not UDPR_OK: listen_* fails with it (a positive one as UDPR_E_INVALID_ARGUMENT), and
/// stop_protocol is not called.
pub type udpr_start_fn =
    Option<unsafe extern "C-unwind" fn(transport: *mut udpr_transport, user: *mut c_void) -> udpr_status>;
/// Something happened to a port.
pub type udpr_protocol_fn =
    Option<unsafe extern "C-unwind" fn(transport: *mut udpr_transport, user: *mut c_void)>;
/// A datagram came.
pub type udpr_datagram_fn = Option<
    unsafe extern "C-unwind" fn(
        transport: *mut udpr_transport,
        datagram: *const udpr_datagram,
        user: *mut c_void,
    ),
>;
/// Datagrams came. Returns how many it took: the rest comes in a later turn, or after resume when paused, or is
/// discarded when stopped.
pub type udpr_datagrams_fn = Option<
    unsafe extern "C-unwind" fn(
        transport: *mut udpr_transport,
        datagrams: *const *const udpr_datagram,
        count: usize,
        user: *mut c_void,
    ) -> usize,
>;
/// A write has failed after it was accepted, or the network says so.
pub type udpr_error_fn = Option<
    unsafe extern "C-unwind" fn(
        transport: *mut udpr_transport,
        report: *const udpr_error_report,
        user: *mut c_void,
    ),
>;
/// The port has stopped. `reason` is UDPR_OK if somebody asked for it, else the error that ended it: the socket was closed or shut
/// down behind the library's back, or a sandbox refuses every way to receive (UDPR_E_NOT_SUPPORTED).
pub type udpr_stopped_fn = Option<
    unsafe extern "C-unwind" fn(transport: *mut udpr_transport, reason: udpr_status, user: *mut c_void),
>;

/// A port's callbacks. Copied; every one may be NULL.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct udpr_protocol {
    /// Of this struct, in bytes.
    pub size: usize,
    /// Handed to every callback.
    pub user: *mut c_void,
    /// Called once, after the last callback has returned, also when listening fails.
    pub free_user: udpr_free_fn,
    /// Inside listen_*, once the socket is bound.
    pub start_protocol: udpr_start_fn,
    /// For each datagram.
    pub datagram_received: udpr_datagram_fn,
    /// Where set, called once a batch (at most 256) in place of datagram_received.
    pub datagrams_received: udpr_datagrams_fn,
    /// A connected port's earlier write found nobody listening; after error_received, once a turn. The port lives on.
    pub connection_refused: udpr_protocol_fn,
    /// UDPR_UDP_ERROR_REPORTS, and writes the kernel refused after they were accepted (UDPR_ORIGIN_LOCAL). While
    /// reading is paused, too; reports wait for their turn in send_queue_bytes at most, what is beyond is lost.
    pub error_received: udpr_error_fn,
    /// The send queue drained after UDPR_E_WOULD_BLOCK.
    pub write_ready: udpr_protocol_fn,
    /// The last callback of a port: its socket is closed already, the number can be bound again.
    pub stop_protocol: udpr_stopped_fn,
}

/// How a reactor is made; NULL = defaults.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct udpr_reactor_options {
    /// Of this struct, in bytes.
    pub size: usize,
    /// udpr_reactor_flag.
    pub flags: u32,
    /// Threads of the pool at most; 0: 10.
    pub thread_pool_size: u32,
}

/// How a port is made; NULL = defaults.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct udpr_udp_options {
    /// Of this struct, in bytes.
    pub size: usize,
    /// udpr_udp_flag; those that must precede bind are refused by adopt.
    pub flags: u32,
    /// Longer datagrams are cut and flagged; 0: 65535, which is the most.
    pub max_packet_size: u32,
    /// SO_RCVBUF in bytes; 0: the system's; a grant below the wish is logged as a warning.
    pub receive_buffer: u32,
    /// SO_SNDBUF in bytes; likewise.
    pub send_buffer: u32,
    /// Bound in bytes of what waits for a full socket (a datagram counts 64 at least); 0: 1 MiB.
    pub send_queue_bytes: u32,
    /// Zero.
    pub reserved: u32,
    /// An interface's name (SO_BINDTODEVICE), or NULL for none. The port receives and sends by that interface or not at all,
    /// also after a connect, a disconnect, or a change of its name: it is bound to the interface's index. If the interface is
    /// removed, writes fail and connects report UDPR_E_NO_INTERFACE or UDPR_E_NETWORK_UNREACHABLE; another interface that has
    /// its name later is another device, to which udpr_transport_set_option binds the port. A datagram that names another
    /// interface (by interface_index, or by the zone of a link-local destination) is refused with
    /// UDPR_E_NETWORK_UNREACHABLE, unless the device is a VRF that the interface belongs to.
    pub bind_device: *const c_char,
}

/// What a reactor counts, from its making on.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct udpr_reactor_stats {
    /// Of this struct, in bytes.
    pub size: usize,
    /// Turns.
    pub iterations: u64,
    /// Turns that found something ready.
    pub wakeups: u64,
    /// Delayed calls that ran.
    pub timers_fired: u64,
    /// Calls from other threads that ran.
    pub calls_from_thread: u64,
    /// Ports whose stop_protocol is still to come.
    pub transports: u64,
    /// Delayed calls that are pending.
    pub timers_pending: u64,
}

/// What a port counts, from its making on.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct udpr_transport_stats {
    /// Of this struct, in bytes.
    pub size: usize,
    /// Datagrams received.
    pub datagrams_in: u64,
    /// Their bytes, after truncation.
    pub bytes_in: u64,
    /// Datagrams that the kernel took.
    pub datagrams_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Datagrams that the kernel dropped at the socket (SO_MEMINFO's counter): because the receive buffer was full, because
    /// a filter of the socket (SO_ATTACH_FILTER, SO_ATTACH_BPF) did not want them, or because of a wrong checksum. Of
    /// datagrams that came merged (GRO) it counts one; without that (UDPR_UDP_NO_OFFLOAD) what was sent is datagrams_in +
    /// dropped_in.
    pub dropped_in: u64,
    /// Received, but the port had stopped, or been connected to somebody else; or it came to an IPv6 group that the port has
    /// not joined on the interface it came by; or there was no memory to keep it.
    pub discarded_in: u64,
    /// Accepted by a write, and not sent after all.
    pub dropped_out: u64,
    /// Longer than max_packet_size.
    pub truncated_in: u64,
    /// Times that the kernel told of a refused datagram.
    pub refused: u64,
    /// Receiving system calls.
    pub syscalls_in: u64,
    /// Sending system calls.
    pub syscalls_out: u64,
    /// Bytes that wait for a full socket.
    pub queued_bytes: u64,
    /// Datagrams that wait for a full socket.
    pub queued_datagrams: u64,
    /// Received while pausing, waiting for resume.
    pub kept_datagrams: u64,
}

macro_rules! versioned {
    ($($name:ident)*) => {$(
        // SAFETY: repr(C), `size` first, words and pairs of half words behind it, all of them valid as zero.
        unsafe impl Versioned for $name {}
    )*};
}
versioned!(udpr_protocol udpr_reactor_options udpr_udp_options udpr_message udpr_reactor_stats udpr_transport_stats);

/// The C face hands the core's own addresses and datagrams on, so their layouts are one.
const _: () = {
    use crate::addr::Addr;
    use crate::sys::Datagram;
    use std::mem::offset_of;
    assert!(size_of::<udpr_addr>() == size_of::<Addr>());
    assert!(offset_of!(udpr_addr, port) == offset_of!(Addr, port));
    assert!(offset_of!(udpr_addr, scope_id) == offset_of!(Addr, scope_id));
    assert!(offset_of!(udpr_addr, flow_info) == offset_of!(Addr, flow_info));
    assert!(offset_of!(udpr_addr, bytes) == offset_of!(Addr, bytes));
    assert!(offset_of!(udpr_addr, reserved) == offset_of!(Addr, reserved));
    assert!(size_of::<udpr_datagram>() == size_of::<Datagram>());
    let [size, data, len] = Datagram::PRIVATE_OFFSETS;
    assert!(offset_of!(udpr_datagram, size) == size);
    assert!(offset_of!(udpr_datagram, data) == data);
    assert!(offset_of!(udpr_datagram, len) == len);
    assert!(offset_of!(udpr_datagram, full_len) == offset_of!(Datagram, full_len));
    assert!(offset_of!(udpr_datagram, sender) == offset_of!(Datagram, sender));
    assert!(offset_of!(udpr_datagram, destination) == offset_of!(Datagram, destination));
    assert!(offset_of!(udpr_datagram, interface_index) == offset_of!(Datagram, interface_index));
    assert!(offset_of!(udpr_datagram, flags) == offset_of!(Datagram, flags));
    assert!(offset_of!(udpr_datagram, timestamp) == offset_of!(Datagram, timestamp));
    assert!(offset_of!(udpr_datagram, tos) == offset_of!(Datagram, tos));
    assert!(offset_of!(udpr_datagram, ttl) == offset_of!(Datagram, ttl));
};
