//! The scalar types and the status codes of the header.

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
