//! The one table of status codes: number, name, errno and message of each.

#[cfg(windows)]
pub(crate) mod errno;

use crate::abi::udpr_status_code as Code;
/// The errors of the system, by their names in C. On Windows, they are those of Winsock and of the system.
#[cfg(unix)]
pub(crate) use libc as errno;
use std::collections::TryReserveError;
use std::ffi::CStr;
use std::{error, fmt, io};

/// The result of a call: 0 is success, above 0 success with a note, below 0 failure.
///
/// A named code stands for one errno or for none; every other errno `e` is `SYSTEM - e`. So each errno of the kernel
/// can be recovered from the status. `EINVAL` has no name on purpose: `INVALID_ARGUMENT` is this library's own check of
/// its caller's arguments.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(transparent)]
pub struct Status(i32);

/// `Ok`, or the status of the failure.
pub type Result<T = ()> = core::result::Result<T, Status>;

/// Linux returns errnos as negative numbers down to -4095 (`MAX_ERRNO`). The errors of Windows have 16 bits.
const MAX_ERRNO: i32 = if cfg!(windows) { 0xffff } else { 4095 };

/// The text of a literal that ends in NUL; evaluated at compile time only.
const fn text(nul_terminated: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(nul_terminated.as_bytes()) {
        Ok(text) => text,
        Err(_) => panic!("a NUL inside the text"),
    }
}

/// Behind the message comes the errno that the status stands for, or, behind a `~`, the one that comes nearest.
macro_rules! table {
    ($($name:ident = $code:ident, $message:literal $(, $errno:ident)? $(~ $nearest:ident)?;)*) => {
        impl Status {
            $(#[doc = $message] pub const $name: Status = Status(Code::$code as i32);)*

            /// The status that stands for an errno. A number that is no errno (below 1, above `MAX_ERRNO`) becomes `SYSTEM`.
            pub const fn from_errno(errno: i32) -> Status {
                match errno {
                    $($(errno::$errno => Status::$name,)?)*
                    1..=MAX_ERRNO => Status(Status::SYSTEM.0 - errno),
                    _ => Status::SYSTEM,
                }
            }

            /// The errno that this status stands for, 0 if there is none.
            pub const fn errno(self) -> i32 {
                match self {
                    $($(Status::$name => errno::$errno,)?)*
                    _ => self.system_errno(),
                }
            }

            /// The errno of the C library, on Windows too, that comes nearest to this status, for callers that know nothing else:
            /// EIO for what is unknown, 0 for what is no failure.
            pub const fn nearest_errno(self) -> i32 {
                match self {
                    $($(Status::$name => libc::$errno,)? $(Status::$name => libc::$nearest,)?)*
                    Status(0..) => 0,
                    _ if self.system_errno() == 0 => libc::EIO,
                    _ => self.system_errno(),
                }
            }

            /// The name in C, such as `UDPR_E_CLOSED`; `UDPR_E_UNKNOWN` for what is no status.
            pub const fn name(self) -> &'static CStr {
                match self {
                    $(Status::$name => const { text(concat!(stringify!($code), "\0")) },)*
                    _ if self.system_errno() != 0 => Status::SYSTEM.name(),
                    _ => c"UDPR_E_UNKNOWN",
                }
            }

            /// A sentence for a human: what was wrong and, if it helps, what to do. For any integer.
            pub const fn message(self) -> &'static CStr {
                match self {
                    $(Status::$name => const { text(concat!($message, "\0")) },)*
                    _ if self.system_errno() != 0 => errno_message(self.system_errno()),
                    _ => c"not a status of this library: a newer version's, or no status at all",
                }
            }
        }

        #[cfg(test)]
        const TABLE: &[(Status, &str, &str)] = &[$((Status::$name, stringify!($name), stringify!($code))),*];
    };
}

table! {
    OK = UDPR_OK, "success";
    PENDING = UDPR_PENDING, "success so far: it will finish later";
    INVALID_ARGUMENT = UDPR_E_INVALID_ARGUMENT,
        "an argument is NULL, out of range, or does not fit: a logger at UDPR_LOG_DEBUG receives which one" ~ EINVAL;
    NO_MEMORY = UDPR_E_NO_MEMORY, "out of memory, or no thread can be made", ENOMEM;
    WRONG_THREAD = UDPR_E_WRONG_THREAD,
        "another thread is using this reactor: call from its callbacks, or hand the call to it from here" ~ EBUSY;
    NOT_RUNNING = UDPR_E_NOT_RUNNING, "the reactor is not running, or was stopped before" ~ ESRCH;
    ALREADY_RUNNING = UDPR_E_ALREADY_RUNNING, "the reactor is running already, or an event of it is in progress" ~ EALREADY;
    REENTRANT = UDPR_E_REENTRANT,
        "not allowed inside a callback of the same reactor, or inside work on its pool" ~ EDEADLK;
    CLOSED = UDPR_E_CLOSED,
        "the transport has stopped, or the reactor is freed or is the parent process's" ~ EBADF;
    NOT_FOUND = UDPR_E_NOT_FOUND, "no such id: it never was, is done with, or is not pending" ~ ENOENT;
    ALREADY_CALLED = UDPR_E_ALREADY_CALLED, "the delayed call has run, or is running" ~ EALREADY;
    ALREADY_CANCELLED = UDPR_E_ALREADY_CANCELLED, "the delayed call was cancelled before" ~ ECANCELED;
    INVALID_ADDRESS = UDPR_E_INVALID_ADDRESS,
        "not an IP address in the form that is read here: a host name has to be resolved first, and a local address has no port" ~ EINVAL;
    ADDRESS_FAMILY = UDPR_E_ADDRESS_FAMILY,
        "the wrong address family: IPv4 where IPv6 is needed or the other way round, or one this host lacks",
        EAFNOSUPPORT;
    SOCKET_TYPE = UDPR_E_SOCKET_TYPE, "the descriptor is not a UDP socket" ~ EPROTOTYPE;
    NOT_CONNECTED = UDPR_E_NOT_CONNECTED,
        "the port is not connected: say where to write to, or connect it first", ENOTCONN;
    WRONG_PEER = UDPR_E_WRONG_PEER,
        "the port is connected to another peer: write to that one, or disconnect first" ~ EISCONN;
    MESSAGE_TOO_LONG = UDPR_E_MESSAGE_TOO_LONG,
        "the datagram is too long for UDP, or for the path where it must not be fragmented", EMSGSIZE;
    WOULD_BLOCK = UDPR_E_WOULD_BLOCK, "the send queue is full: go on at write_ready", EAGAIN;
    CONNECTION_REFUSED = UDPR_E_CONNECTION_REFUSED, "nobody listens on that port there", ECONNREFUSED;
    ADDRESS_IN_USE = UDPR_E_ADDRESS_IN_USE,
        "another socket is bound to this address and port already", EADDRINUSE;
    ADDRESS_NOT_AVAILABLE = UDPR_E_ADDRESS_NOT_AVAILABLE,
        "the address is not one of this host's, or no port is free", EADDRNOTAVAIL;
    PERMISSION = UDPR_E_PERMISSION, "not permitted: a firewall rule, or a missing privilege", EPERM;
    ACCESS = UDPR_E_ACCESS,
        "access denied: a broadcast that was not allowed first, or a privileged port", EACCES;
    NO_FILES = UDPR_E_NO_FILES, "this process has too many open files: see its RLIMIT_NOFILE", EMFILE;
    NETWORK_UNREACHABLE = UDPR_E_NETWORK_UNREACHABLE, "no route to that network, or none by the device that the port is bound to", ENETUNREACH;
    HOST_UNREACHABLE = UDPR_E_HOST_UNREACHABLE, "no route to that host, or it does not respond", EHOSTUNREACH;
    ALREADY_JOINED = UDPR_E_ALREADY_JOINED, "the port has joined this group on this interface already" ~ EADDRINUSE;
    NOT_JOINED = UDPR_E_NOT_JOINED, "the port has not joined this group on this interface" ~ EADDRNOTAVAIL;
    NOT_MULTICAST = UDPR_E_NOT_MULTICAST,
        "not a multicast address: groups are 224.0.0.0/4 and ff00::/8" ~ EINVAL;
    NO_INTERFACE = UDPR_E_NO_INTERFACE, "no such network interface, or none that a route leads to", ENODEV;
    NAME_NOT_FOUND = UDPR_E_NAME_NOT_FOUND, "the host name does not exist, or has no such address" ~ ENOENT;
    NAME_TRY_AGAIN = UDPR_E_NAME_TRY_AGAIN, "the name server did not respond: try again later" ~ EAGAIN;
    TIMED_OUT = UDPR_E_TIMED_OUT, "it took too long", ETIMEDOUT;
    CANCELLED = UDPR_E_CANCELLED, "it was cancelled", ECANCELED;
    NOT_SUPPORTED = UDPR_E_NOT_SUPPORTED,
        "this system cannot do that, or this reactor, socket or descriptor is not made for it", EOPNOTSUPP;
    VERSION = UDPR_E_VERSION,
        "a struct or a flag asks for more than this version knows: zero what you do not set, or use a newer one" ~ ENOSYS;
    PANIC = UDPR_E_PANIC,
        "a bug in the library: this reactor is dead and can only be freed; please report it" ~ ENOTRECOVERABLE;
    SYSTEM = UDPR_E_SYSTEM, "a system error whose errno is not known";
}

macro_rules! errnos {
    ($($(#[$condition:meta])? $errno:ident $message:literal)*) => {
        /// The message of an errno without a status of its own, for those that sockets, pollers and look-ups return.
        const fn errno_message(errno: i32) -> &'static CStr {
            match errno {
                $($(#[$condition])? errno::$errno => const { text(concat!(stringify!($errno), ": ", $message, "\0")) },)*
                _ => c"a system error without a text here: its errno tells which",
            }
        }

        #[cfg(test)]
        const ERRNOS: &[i32] = &[$($(#[$condition])? errno::$errno),*];
    };
}

#[cfg(unix)]
errnos! {
    ENOENT "no such file or entry"
    EINTR "interrupted by a signal"
    EIO "input or output error"
    ENXIO "no such device or address"
    E2BIG "argument list too long"
    EBADF "bad file descriptor"
    EFAULT "bad memory address"
    EBUSY "device or resource busy"
    EEXIST "exists already"
    EINVAL "the kernel refused an argument"
    ENFILE "the whole system has too many open files"
    ENOTTY "the descriptor does not know this request"
    ENOSPC "no space left, or a limit of the system reached"
    ESPIPE "the descriptor cannot seek"
    EPIPE "the socket is shut down for writing"
    EDOM "a number out of the kernel's domain"
    ERANGE "a number out of the kernel's range"
    ELOOP "a loop, or nested too deep"
    ENOSYS "this kernel lacks the system call"
    ENOMSG "no such message"
    #[cfg(not(target_os = "freebsd"))]
    ENODATA "no data"
    #[cfg(target_os = "linux")]
    ENONET "the host is not on the network"
    EPROTO "protocol error"
    EOVERFLOW "a value too large for its type"
    ENOTSOCK "the descriptor is not a socket"
    EDESTADDRREQ "a destination address is required"
    EPROTOTYPE "the wrong protocol for this kind of socket"
    ENOPROTOOPT "the socket does not know this option"
    EPROTONOSUPPORT "this host does not support the protocol"
    ESOCKTNOSUPPORT "this host does not support the kind of socket"
    EPFNOSUPPORT "this host does not support the protocol family"
    ENETDOWN "the network or the interface is down"
    ENETRESET "the network dropped the connection"
    ECONNABORTED "connection aborted"
    ECONNRESET "connection reset by the peer"
    ENOBUFS "no buffer space in the kernel"
    EISCONN "the socket is connected already"
    ESHUTDOWN "the socket is shut down"
    ETOOMANYREFS "too many references: a limit of the system reached"
    EHOSTDOWN "the host is down"
    EALREADY "under way already"
    EINPROGRESS "in progress"
    #[cfg(target_os = "linux")]
    EREMOTEIO "input or output error at the other end"
    EDQUOT "over the quota"
}

#[cfg(windows)]
errnos! {
    ENOENT "no such file or entry"
    EBADF "bad handle"
    EEXIST "exists already"
    EBUSY "device or resource busy"
    EINTR "the call was interrupted"
    EFAULT "bad memory address"
    EINVAL "the system refused an argument"
    EINPROGRESS "a blocking call is in progress"
    EALREADY "under way already"
    ENOTSOCK "it is not an open socket"
    EDESTADDRREQ "a destination address is required"
    EPROTOTYPE "the wrong protocol for this kind of socket"
    ENOPROTOOPT "the socket does not know this option"
    EPROTONOSUPPORT "this host does not support the protocol"
    ENETDOWN "the network or the interface is down"
    ENETRESET "the time to live of a datagram has expired"
    ECONNRESET "connection reset by the peer"
    ENOBUFS "no buffer space, or a full queue"
    EISCONN "the socket is connected already"
    ESHUTDOWN "the socket is shut down"
}

impl Status {
    /// A socket was shut down: a system status, which has no name of its own.
    pub const SHUT_DOWN: Status = Status::from_errno(errno::ESHUTDOWN);

    /// The status with this number; any integer will do.
    pub const fn from_code(code: i32) -> Status {
        Status(code)
    }

    /// The number in C.
    pub const fn code(self) -> i32 {
        self.0
    }

    /// `e` if this is `SYSTEM - e`, else 0.
    const fn system_errno(self) -> i32 {
        match Status::SYSTEM.0.wrapping_sub(self.0) {
            errno @ 1..=MAX_ERRNO => errno,
            _ => 0,
        }
    }
}

impl From<TryReserveError> for Status {
    fn from(_: TryReserveError) -> Status {
        Status::NO_MEMORY
    }
}

impl From<io::Error> for Status {
    fn from(error: io::Error) -> Status {
        match (error.raw_os_error(), error.kind()) {
            (Some(errno), _) => Status::from_errno(errno),
            // The standard library finds this without asking the kernel: a NUL inside a name.
            (None, io::ErrorKind::InvalidInput) => Status::INVALID_ARGUMENT,
            (None, _) => Status::SYSTEM,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |text: &'static CStr| text.to_str().unwrap_or_default();
        write!(f, "{} ({}): {}", text(self.name()), self.0, text(self.message()))
    }
}

impl error::Error for Status {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_errno_survives() {
        let mut codes = HashSet::new();
        for errno in 1..=MAX_ERRNO {
            let status = Status::from_errno(errno);
            assert_eq!(status.errno(), errno);
            assert!(status.code() < 0);
            assert!(codes.insert(status), "{status} stands for two errnos");
            assert_eq!(Status::from(io::Error::from_raw_os_error(errno)), status);
        }
    }

    #[test]
    fn what_is_no_errno_is_system() {
        for errno in [0, -1, MAX_ERRNO + 1, i32::MIN, i32::MAX] {
            assert_eq!(Status::from_errno(errno), Status::SYSTEM);
        }
        assert_eq!(Status::SYSTEM.errno(), 0);
        assert_eq!(Status::from(io::Error::other("no number")), Status::SYSTEM);
        let nul = std::ffi::CString::new("a\0b").unwrap_err();
        assert_eq!(Status::from(io::Error::from(nul)), Status::INVALID_ARGUMENT);
    }

    #[test]
    fn named_codes_have_their_errno() {
        for (errno, status) in [
            (errno::ENOMEM, Status::NO_MEMORY),
            (errno::EAFNOSUPPORT, Status::ADDRESS_FAMILY),
            (errno::ENOTCONN, Status::NOT_CONNECTED),
            (errno::EMSGSIZE, Status::MESSAGE_TOO_LONG),
            (errno::EAGAIN, Status::WOULD_BLOCK),
            #[cfg(unix)]
            (errno::EWOULDBLOCK, Status::WOULD_BLOCK),
            (errno::ECONNREFUSED, Status::CONNECTION_REFUSED),
            (errno::EADDRINUSE, Status::ADDRESS_IN_USE),
            (errno::EADDRNOTAVAIL, Status::ADDRESS_NOT_AVAILABLE),
            (errno::EPERM, Status::PERMISSION),
            (errno::EACCES, Status::ACCESS),
            (errno::EMFILE, Status::NO_FILES),
            (errno::ENETUNREACH, Status::NETWORK_UNREACHABLE),
            (errno::EHOSTUNREACH, Status::HOST_UNREACHABLE),
            (errno::ENODEV, Status::NO_INTERFACE),
            (errno::ETIMEDOUT, Status::TIMED_OUT),
            (errno::ECANCELED, Status::CANCELLED),
            (errno::EOPNOTSUPP, Status::NOT_SUPPORTED),
        ] {
            assert_eq!(Status::from_errno(errno), status);
        }
        assert_eq!(Status::from_errno(errno::EINVAL).code(), -65536 - errno::EINVAL);
        assert_eq!(Status::INVALID_ARGUMENT.errno(), 0);
        assert_eq!(Status::CLOSED.errno(), 0);
    }

    #[test]
    fn the_table_is_complete_and_consistent() {
        let codes: Vec<i32> = TABLE.iter().map(|(status, ..)| status.code()).collect();
        let expected: Vec<i32> = [0, 1].into_iter().chain((1..=36).map(|n| -n)).chain([-65536]).collect();
        assert_eq!(codes, expected);
        for (status, name, c_name) in TABLE {
            let prefix = if status.code() < 0 { "UDPR_E_" } else { "UDPR_" };
            assert_eq!(*c_name, format!("{prefix}{name}"));
            assert_eq!(status.name().to_str(), Ok(*c_name));
            assert_eq!(Status::from_code(status.code()), *status);
        }
        let messages: HashSet<_> = TABLE.iter().map(|(status, ..)| status.message()).collect();
        assert_eq!(messages.len(), TABLE.len());
    }

    #[test]
    fn every_integer_has_name_and_message() {
        for code in (-65_600 - MAX_ERRNO..=100).chain([i32::MIN, i32::MIN + 1, i32::MAX]) {
            let status = Status::from_code(code);
            let known = TABLE.iter().any(|(status, ..)| status.code() == code);
            let system = (-65536 - MAX_ERRNO..=-65536).contains(&code);
            assert_eq!(status.name() == c"UDPR_E_UNKNOWN", !known && !system, "{code}");
            assert_eq!(status.name() == c"UDPR_E_SYSTEM", system, "{code}");
            assert!(status.message().to_str().is_ok_and(|text| !text.is_empty()));
            assert!((0..=MAX_ERRNO).contains(&status.errno()));
        }
    }

    #[test]
    fn the_nearest_errno_is_the_statuss_own_if_there_is_one() {
        for code in (-65_600 - MAX_ERRNO..=100).chain([i32::MIN, i32::MIN + 1, i32::MAX]) {
            let status = Status::from_code(code);
            let is_named = TABLE.iter().any(|(status, ..)| status.code() == code) && status != Status::SYSTEM;
            match status.nearest_errno() {
                0 => assert!(code >= 0),
                // On Windows, the errors of the system have other numbers than those of the C library.
                nearest if status.errno() != 0 && (cfg!(unix) || !is_named) => {
                    assert_eq!(nearest, status.errno());
                }
                nearest => assert_eq!(nearest == libc::EIO, !is_named, "{code}"),
            }
        }
    }

    #[test]
    fn errnos_tell_their_names() {
        let message = Status::from_errno(errno::EBADF).message().to_str().expect("UTF-8");
        assert!(message.starts_with("EBADF: "), "{message}");
        for errno in ERRNOS {
            assert_eq!(Status::from_errno(*errno).name(), c"UDPR_E_SYSTEM", "{errno} has a code of its own");
        }
        assert_eq!(Status::from_errno(4000).message(), Status::from_errno(4001).message());
    }

    #[test]
    fn display_says_it_all() {
        let text = Status::ADDRESS_IN_USE.to_string();
        assert_eq!(
            text,
            "UDPR_E_ADDRESS_IN_USE (-19): another socket is bound to this address and port already"
        );
    }
}
