//! The scalar types and the status codes of the header.

/// The result of a function: 0 is success, above 0 is success with a note, below 0 is failure. The numbers are those of
/// udpr_status_code.
pub type udpr_status = i32;
/// 0 is false, anything else true.
pub type udpr_bool = i32;
/// The id of a timer, trigger, look-up or watch. An id is never reused, and 0 is never valid.
pub type udpr_id = u64;
/// Nanoseconds: a duration, or an instant of the reactor's monotonic clock.
pub type udpr_ns = u64;

/// Every status. A named status stands for one errno or for none, so that udpr_status_errno recovers every errno.
#[repr(C)]
pub enum udpr_status_code {
    /// Success.
    UDPR_OK = 0,
    /// Returned by a trigger: it will finish later.
    UDPR_PENDING = 1,
    /// A pointer is NULL that must not be, a size is wrong, or a value is out of range. A logger at UDPR_LOG_DEBUG receives
    /// which argument it is.
    UDPR_E_INVALID_ARGUMENT = -1,
    /// There is no memory (ENOMEM), or no thread can be made.
    UDPR_E_NO_MEMORY = -2,
    /// Another thread is using this reactor.
    UDPR_E_WRONG_THREAD = -3,
    /// The reactor is not running.
    UDPR_E_NOT_RUNNING = -4,
    /// The reactor is running already, or an event of it is in progress.
    UDPR_E_ALREADY_RUNNING = -5,
    /// The function must not be called inside a callback, or inside work on the reactor's pool.
    UDPR_E_REENTRANT = -6,
    /// The transport has stopped, the reactor was freed, or this is a forked child.
    UDPR_E_CLOSED = -7,
    /// There is no such id, or what it names is not pending.
    UDPR_E_NOT_FOUND = -8,
    /// The delayed call was made, or is being made.
    UDPR_E_ALREADY_CALLED = -9,
    /// The delayed call was cancelled.
    UDPR_E_ALREADY_CANCELLED = -10,
    /// The text is not an IP address in the form that the function reads; it may be a host name, or have a port.
    UDPR_E_INVALID_ADDRESS = -11,
    /// An IPv4 address for an IPv6 port, or the other way round (EAFNOSUPPORT).
    UDPR_E_ADDRESS_FAMILY = -12,
    /// The descriptor to be adopted is not a UDP socket.
    UDPR_E_SOCKET_TYPE = -13,
    /// A write without a destination on a port that is not connected (ENOTCONN).
    UDPR_E_NOT_CONNECTED = -14,
    /// A connected port cannot write to another destination.
    UDPR_E_WRONG_PEER = -15,
    /// The datagram is longer than UDP allows, 65,507 bytes over IPv4 and 65,527 over IPv6, or than the path carries
    /// (EMSGSIZE).
    UDPR_E_MESSAGE_TOO_LONG = -16,
    /// The socket and the send queue are full. write_ready is called when writes are accepted again (EAGAIN).
    UDPR_E_WOULD_BLOCK = -17,
    /// No socket listens at the destination (ECONNREFUSED).
    UDPR_E_CONNECTION_REFUSED = -18,
    /// Another socket has this address (EADDRINUSE).
    UDPR_E_ADDRESS_IN_USE = -19,
    /// The address is not an address of this host (EADDRNOTAVAIL).
    UDPR_E_ADDRESS_NOT_AVAILABLE = -20,
    /// Not permitted: for example a firewall rejects it (EPERM).
    UDPR_E_PERMISSION = -21,
    /// Access denied: a broadcast that was not allowed, or a privileged port (EACCES).
    UDPR_E_ACCESS = -22,
    /// The process has no descriptor left (EMFILE).
    UDPR_E_NO_FILES = -23,
    /// There is no route to the network (ENETUNREACH).
    UDPR_E_NETWORK_UNREACHABLE = -24,
    /// There is no route to the host (EHOSTUNREACH).
    UDPR_E_HOST_UNREACHABLE = -25,
    /// The port has joined the group already.
    UDPR_E_ALREADY_JOINED = -26,
    /// The port has not joined the group.
    UDPR_E_NOT_JOINED = -27,
    /// The address to be joined is not a multicast address.
    UDPR_E_NOT_MULTICAST = -28,
    /// There is no such network interface (ENODEV).
    UDPR_E_NO_INTERFACE = -29,
    /// The name does not exist.
    UDPR_E_NAME_NOT_FOUND = -30,
    /// The name cannot be looked up at the moment.
    UDPR_E_NAME_TRY_AGAIN = -31,
    /// It took too long (ETIMEDOUT).
    UDPR_E_TIMED_OUT = -32,
    /// It was cancelled (ECANCELED).
    UDPR_E_CANCELLED = -33,
    /// This system cannot do it, or this reactor, socket or descriptor is not made for it (EOPNOTSUPP).
    UDPR_E_NOT_SUPPORTED = -34,
    /// A struct or a flag asks for more than this version of the library knows.
    UDPR_E_VERSION = -35,
    /// The library has a bug: this reactor is unusable, and only udpr_reactor_free is allowed.
    UDPR_E_PANIC = -36,
    /// UDPR_E_SYSTEM - errno stands for an errno that has no status of its own.
    UDPR_E_SYSTEM = -65536,
}
