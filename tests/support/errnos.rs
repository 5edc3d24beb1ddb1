//! The errnos with which each call of [`udpr::sys::Kernel`] may fail, from the man pages: section 2 for each call, and
//! socket(7), ip(7), ipv6(7) and udp(7) for options, sends and receives.

use super::Syscall;
use libc::*;

/// Errors of any call on a descriptor, for example after the host has closed it.
const DESCRIPTOR: &[i32] = &[EBADF, ENOTSOCK, EFAULT, EINVAL];
/// Network errors of earlier datagrams, which a later call returns (ip(7), udp(7)).
const NETWORK: &[i32] =
    &[ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EHOSTDOWN, ENETDOWN, ENONET, EPROTO, ENOPROTOOPT, EOPNOTSUPP];

/// All errnos of a call, each once.
pub(crate) fn errnos(syscall: Syscall) -> Vec<i32> {
    let (own, more): (&[i32], &[&[i32]]) = match syscall {
        Syscall::Socket => {
            (&[EACCES, EAFNOSUPPORT, EINVAL, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPROTONOSUPPORT, EPERM], &[])
        }
        Syscall::Bind => {
            (&[EACCES, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, ENODEV, ENOMEM, EPERM], &[DESCRIPTOR])
        }
        Syscall::LocalAddr => (&[ENOBUFS], &[DESCRIPTOR]),
        Syscall::PeerAddr => (&[ENOBUFS, ENOTCONN], &[DESCRIPTOR]),
        Syscall::Connect => (
            &[
                EACCES,
                EPERM,
                EADDRINUSE,
                EADDRNOTAVAIL,
                EAFNOSUPPORT,
                EAGAIN,
                EALREADY,
                ECONNREFUSED,
                EINPROGRESS,
                EINTR,
                EISCONN,
                ENETUNREACH,
                EHOSTUNREACH,
                ENETDOWN,
                ENODEV,
                ENOBUFS,
                EPROTOTYPE,
                ETIMEDOUT,
            ],
            &[DESCRIPTOR],
        ),
        Syscall::Duplicate => (&[EBADF, EMFILE, EINVAL, EAGAIN, EACCES], &[]),
        Syscall::SetOption => (
            &[
                ENOPROTOOPT,
                EPERM,
                EACCES,
                ENODEV,
                ENOMEM,
                ENOBUFS,
                EADDRINUSE,
                EADDRNOTAVAIL,
                EDOM,
                EISCONN,
                EOPNOTSUPP,
                ENXIO,
            ],
            &[DESCRIPTOR],
        ),
        Syscall::Option => (&[ENOPROTOOPT, ENODEV, ENOTCONN, ENOBUFS, EOPNOTSUPP], &[DESCRIPTOR]),
        Syscall::Receive => (&[EAGAIN, EINTR, ENOMEM, ENOTCONN, ENOBUFS, EMSGSIZE], &[DESCRIPTOR, NETWORK]),
        Syscall::ReadError => (&[EAGAIN, EINTR, ENOMEM, ENOTCONN, ENOBUFS], &[DESCRIPTOR, NETWORK]),
        Syscall::Send => (
            &[
                EACCES,
                EAGAIN,
                EALREADY,
                ECONNRESET,
                EDESTADDRREQ,
                EINTR,
                EISCONN,
                EMSGSIZE,
                ENOBUFS,
                ENOMEM,
                ENOTCONN,
                EPIPE,
                EPERM,
                EADDRNOTAVAIL,
                EAFNOSUPPORT,
                EIO,
                ENODEV,
            ],
            &[DESCRIPTOR, NETWORK],
        ),
        Syscall::Watch | Syscall::Rewatch | Syscall::Unwatch => {
            (&[EBADF, EEXIST, EINVAL, ELOOP, ENOENT, ENOMEM, ENOSPC, EPERM], &[])
        }
        Syscall::Wait => (&[EBADF, EFAULT, EINTR, EINVAL], &[]),
    };
    own.iter().chain(more.iter().copied().flatten()).copied().collect()
}
