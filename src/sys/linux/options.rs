//! The named socket options as socket(7), ip(7), ipv6(7) and udp(7) have them, and the options that ports manage
//! themselves.

use crate::sys::raw_options::{Setting, Value, read};
use crate::sys::{Failure, IpVersion, Kernel, OptionValue, SavedOption, SocketKind, SocketOption};
use IpVersion::{V4, V6};
use std::io;
use std::os::fd::{AsRawFd, RawFd};

pub(in crate::sys) use crate::sys::raw_options::{integer, is_socket, take_error};

/// IPV6_MULTICAST_ALL in linux/in6.h, since Linux 4.20.
const IPV6_MULTICAST_ALL: i32 = 29;

/// The names of the options for time stamps, of which the kernel keeps one form (`sock_set_timestamp`), and
/// SO_TIMESTAMPING_NEW, in the order to read them: the value of a later one also shows whether an earlier one is meant.
const STAMPS: [i32; 5] = if cfg!(any(target_arch = "sparc", target_arch = "sparc64")) {
    [0x42, 0x46, 0x21, 0x1d, 0x43]
} else {
    [64, 63, 35, 29, 65]
};

/// The level and the name of an option.
fn number(option: SocketOption) -> (i32, i32) {
    use libc::{IPPROTO_IP, IPPROTO_IPV6, SOL_SOCKET, SOL_UDP};
    match option {
        SocketOption::Broadcast => (SOL_SOCKET, libc::SO_BROADCAST),
        SocketOption::ReuseAddress => (SOL_SOCKET, libc::SO_REUSEADDR),
        SocketOption::ReusePort => (SOL_SOCKET, libc::SO_REUSEPORT),
        SocketOption::V6Only => (IPPROTO_IPV6, libc::IPV6_V6ONLY),
        SocketOption::ReceiveBuffer => (SOL_SOCKET, libc::SO_RCVBUF),
        SocketOption::SendBuffer => (SOL_SOCKET, libc::SO_SNDBUF),
        SocketOption::Timestamps => (SOL_SOCKET, libc::SO_TIMESTAMPNS),
        SocketOption::MergeReceived => (SOL_UDP, libc::UDP_GRO),
        SocketOption::SegmentSize => (SOL_UDP, libc::UDP_SEGMENT),
        SocketOption::SendAt => (SOL_SOCKET, libc::SO_TXTIME),
        SocketOption::PacketInfo(V4) => (IPPROTO_IP, libc::IP_PKTINFO),
        SocketOption::PacketInfo(V6) => (IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
        SocketOption::ReceiveTos(V4) => (IPPROTO_IP, libc::IP_RECVTOS),
        SocketOption::ReceiveTos(V6) => (IPPROTO_IPV6, libc::IPV6_RECVTCLASS),
        SocketOption::ReceiveTtl(V4) => (IPPROTO_IP, libc::IP_RECVTTL),
        SocketOption::ReceiveTtl(V6) => (IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT),
        SocketOption::DontFragment(V4) => (IPPROTO_IP, libc::IP_MTU_DISCOVER),
        SocketOption::DontFragment(V6) => (IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER),
        SocketOption::ErrorReports(V4) => (IPPROTO_IP, libc::IP_RECVERR),
        SocketOption::ErrorReports(V6) => (IPPROTO_IPV6, libc::IPV6_RECVERR),
        SocketOption::UnicastTtl(V4) => (IPPROTO_IP, libc::IP_TTL),
        SocketOption::UnicastTtl(V6) => (IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS),
        SocketOption::MulticastTtl(V4) => (IPPROTO_IP, libc::IP_MULTICAST_TTL),
        SocketOption::MulticastTtl(V6) => (IPPROTO_IPV6, libc::IPV6_MULTICAST_HOPS),
        SocketOption::MulticastLoop(V4) => (IPPROTO_IP, libc::IP_MULTICAST_LOOP),
        SocketOption::MulticastLoop(V6) => (IPPROTO_IPV6, libc::IPV6_MULTICAST_LOOP),
        SocketOption::MulticastInterface(V4) => (IPPROTO_IP, libc::IP_MULTICAST_IF),
        SocketOption::MulticastInterface(V6) => (IPPROTO_IPV6, libc::IPV6_MULTICAST_IF),
        SocketOption::MulticastAll(V4) => (IPPROTO_IP, libc::IP_MULTICAST_ALL),
        SocketOption::MulticastAll(V6) => (IPPROTO_IPV6, IPV6_MULTICAST_ALL),
    }
}

/// What setsockopt(2) takes for a value of an option.
pub(in crate::sys) fn encode(option: SocketOption, value: OptionValue) -> Value {
    match (option, value) {
        // struct sock_txtime: the clock, and no flags.
        (SocketOption::SendAt, OptionValue::Number(_)) => {
            Value::new([libc::CLOCK_MONOTONIC.to_ne_bytes(), [0; 4]].as_flattened())
        }
        (SocketOption::DontFragment(_), OptionValue::Number(0)) => Value::number(libc::IP_PMTUDISC_WANT),
        // In probe mode no datagram is refused for what is known of the path (ip(7)).
        (SocketOption::DontFragment(_), OptionValue::Number(_)) => Value::number(libc::IP_PMTUDISC_PROBE),
        _ => Value::of(option, value),
    }
}

/// See [`Kernel::set_option`].
pub(in crate::sys) fn set(
    kernel: &(impl Kernel + ?Sized),
    fd: RawFd,
    option: SocketOption,
    value: OptionValue,
) -> io::Result<()> {
    let (level, name) = number(option);
    kernel.set_raw_option(fd, level, name, encode(option, value).bytes())
}

/// See [`Kernel::option`].
pub(in crate::sys) fn get(
    kernel: &(impl Kernel + ?Sized),
    fd: RawFd,
    option: SocketOption,
) -> io::Result<i32> {
    let (level, name) = number(option);
    match (option, integer(kernel, fd, level, name)) {
        // The kernel has doubled what was requested (socket(7)).
        (SocketOption::ReceiveBuffer | SocketOption::SendBuffer, Ok(doubled)) => Ok(doubled / 2),
        (SocketOption::DontFragment(_), Ok(mode)) => Ok((mode == libc::IP_PMTUDISC_PROBE).into()),
        // A kernel before Linux 5.0 merges nothing.
        (SocketOption::MergeReceived, Err(error)) if Failure::of(&error) == Failure::UnknownOption => Ok(0),
        (_, value) => value,
    }
}

/// See [`Kernel::save_option`].
pub(in crate::sys) fn save(
    kernel: &(impl Kernel + ?Sized),
    fd: RawFd,
    option: SocketOption,
) -> io::Result<SavedOption> {
    let mut settings = match option {
        SocketOption::Timestamps => other_stamps(kernel, fd)?,
        _ => Vec::new(),
    };
    let (level, name) = number(option);
    let value = read(kernel, fd, level, name, if option == SocketOption::SendAt { 8 } else { 4 })?;
    if option == SocketOption::SendAt && value.bytes() == [0; 8] {
        // As on a new socket, and it cannot be turned off again.
        return Ok(SavedOption { option, settings });
    }
    let number = value.bytes().first_chunk().map(|bytes| i32::from_ne_bytes(*bytes));
    let value = match (option, number) {
        (SocketOption::ReceiveBuffer | SocketOption::SendBuffer, Some(doubled)) => Value::number(doubled / 2),
        // For a socket that follows the system's default the kernel reports the default.
        (SocketOption::UnicastTtl(version), Some(ttl)) if is_default(kernel, version, option, ttl) => {
            Value::number(-1)
        }
        _ => value,
    };
    settings.push((level, name, value));
    settings.reverse();
    Ok(SavedOption { option, settings })
}

/// See [`Kernel::restore_option`].
pub(in crate::sys) fn restore(
    kernel: &(impl Kernel + ?Sized),
    fd: RawFd,
    saved: &SavedOption,
) -> io::Result<()> {
    let settings = saved.settings.iter();
    settings.map(|setting| set_again(kernel, fd, setting)).fold(Ok(()), io::Result::and)
}

/// A buffer may have been larger than the system allows without privilege.
fn set_again(kernel: &(impl Kernel + ?Sized), fd: RawFd, setting: &Setting) -> io::Result<()> {
    let (level, name, value) = setting;
    let forced = match (*level, *name) {
        (libc::SOL_SOCKET, libc::SO_RCVBUF) => Some(libc::SO_RCVBUFFORCE),
        (libc::SOL_SOCKET, libc::SO_SNDBUF) => Some(libc::SO_SNDBUFFORCE),
        _ => None,
    };
    match forced {
        Some(forced) if kernel.set_raw_option(fd, *level, forced, value.bytes()).is_ok() => Ok(()),
        _ => kernel.set_raw_option(fd, *level, *name, value.bytes()),
    }
}

/// True if a new socket has this value.
fn is_default(kernel: &(impl Kernel + ?Sized), version: IpVersion, option: SocketOption, value: i32) -> bool {
    let (level, name) = number(option);
    let default =
        kernel.socket(version.family()).and_then(|new| integer(kernel, new.as_raw_fd(), level, name));
    default.is_ok_and(|default| default == value)
}

/// The forms of time stamps that SO_TIMESTAMPNS would replace. A kernel before Linux 5.1 does not know all of them.
fn other_stamps(kernel: &(impl Kernel + ?Sized), fd: RawFd) -> io::Result<Vec<Setting>> {
    let mut found = Vec::new();
    for name in STAMPS.into_iter().filter(|name| *name != libc::SO_TIMESTAMPNS) {
        // An int, or a struct so_timestamping of two.
        match read(kernel, fd, libc::SOL_SOCKET, name, 8) {
            Ok(value) if value.bytes != [0; Value::MAX] => found.push((libc::SOL_SOCKET, name, value)),
            Err(error) if Failure::of(&error) != Failure::UnknownOption => return Err(error),
            _ => {}
        }
    }
    Ok(found)
}

/// See [`Kernel::socket_kind`]. Sockets for ping and UDP-Lite are SOCK_DGRAM, too.
pub(in crate::sys) fn socket_kind(kernel: &(impl Kernel + ?Sized), fd: RawFd) -> io::Result<SocketKind> {
    let number = |name| integer(kernel, fd, libc::SOL_SOCKET, name);
    let version = match number(libc::SO_DOMAIN) {
        Ok(libc::AF_INET) => V4,
        Ok(libc::AF_INET6) => V6,
        Ok(_) => return Ok(SocketKind::OtherFamily),
        Err(error) if Failure::of(&error) == Failure::NotSocket => return Ok(SocketKind::NotUdp),
        Err(error) => return Err(error),
    };
    let is_udp =
        number(libc::SO_TYPE)? == libc::SOCK_DGRAM && number(libc::SO_PROTOCOL)? == libc::IPPROTO_UDP;
    Ok(if is_udp { SocketKind::Udp(version) } else { SocketKind::NotUdp })
}

/// See [`Kernel::drops`]: SO_MEMINFO, sock_diag(7).
pub(in crate::sys) fn drops(kernel: &(impl Kernel + ?Sized), fd: RawFd) -> Option<u32> {
    const DROPS: usize = 8; // SK_MEMINFO_DROPS in linux/sock_diag.h
    let mut info = [0; (DROPS + 1) * 4];
    let filled = kernel.raw_option(fd, libc::SOL_SOCKET, libc::SO_MEMINFO, &mut info).ok()?;
    info.last_chunk().filter(|_| filled == info.len()).map(|word| u32::from_ne_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{OwnedHandle, SystemKernel, socket};

    /// Options that are on or off, and options that are a number.
    fn flags(version: IpVersion) -> Vec<SocketOption> {
        let of_version = [
            SocketOption::PacketInfo,
            SocketOption::ReceiveTos,
            SocketOption::ReceiveTtl,
            SocketOption::DontFragment,
            SocketOption::ErrorReports,
            SocketOption::MulticastLoop,
            SocketOption::MulticastAll,
        ];
        let common = [
            SocketOption::Broadcast,
            SocketOption::ReuseAddress,
            SocketOption::ReusePort,
            SocketOption::Timestamps,
            SocketOption::MergeReceived,
        ];
        let v6_only = (version == V6).then_some(SocketOption::V6Only);
        of_version.into_iter().map(|option| option(version)).chain(common).chain(v6_only).collect()
    }

    fn numbers(version: IpVersion) -> [(SocketOption, i32); 5] {
        [
            (SocketOption::UnicastTtl(version), 7),
            (SocketOption::MulticastTtl(version), 8),
            (SocketOption::ReceiveBuffer, 12_345),
            (SocketOption::SendBuffer, 23_456),
            (SocketOption::SegmentSize, 1_200),
        ]
    }

    /// A socket of each version that this host has.
    fn sockets() -> impl Iterator<Item = (IpVersion, OwnedHandle)> {
        let new = |version: IpVersion| socket::udp(version.family()).ok().map(|socket| (version, socket));
        [V4, V6].into_iter().filter_map(new)
    }

    fn option(fd: RawFd, option: SocketOption) -> i32 {
        SystemKernel.option(fd, option).unwrap_or_else(|error| panic!("{option:?}: {error}"))
    }

    #[test]
    fn an_option_has_the_value_that_was_set() {
        for (version, socket) in sockets() {
            let fd = socket.as_raw_fd();
            for (flag, value) in flags(version).into_iter().flat_map(|flag| [(flag, 1), (flag, 0), (flag, 1)])
            {
                SystemKernel.set_option(fd, flag, value.into()).expect("a known option");
                assert_eq!(option(fd, flag), value, "{flag:?}");
            }
            for (number, value) in numbers(version) {
                SystemKernel.set_option(fd, number, value.into()).expect("a known option");
                assert_eq!(option(fd, number), value, "{number:?}");
            }
        }
    }

    /// Read by its number, so that it does not depend on the code that sets it.
    fn raw(fd: RawFd, option: SocketOption) -> Value {
        let (level, name) = number(option);
        read(&SystemKernel, fd, level, name, 4).expect("a known option")
    }

    #[test]
    fn a_saved_option_is_restored() {
        for (version, socket) in sockets() {
            let fd = socket.as_raw_fd();
            let flags = flags(version).into_iter().map(|flag| (flag, (option(fd, flag) == 0).into()));
            for (changed, value) in flags.chain(numbers(version)) {
                let before = raw(fd, changed);
                let saved = save(&SystemKernel, fd, changed).expect("a known option");
                assert!(saved.option() == changed && !saved.is(value.into()), "{changed:?}");
                SystemKernel.set_option(fd, changed, value.into()).expect("a known option");
                assert!(
                    save(&SystemKernel, fd, changed).is_ok_and(|saved| saved.is(value.into())),
                    "{changed:?}"
                );
                restore(&SystemKernel, fd, &saved).expect("a value that was there");
                assert_eq!(raw(fd, changed), before, "{changed:?}");
            }
        }
    }

    #[test]
    fn time_stamps_of_another_form_are_restored() {
        let (_, socket) = sockets().next().expect("a socket");
        let fd = socket.as_raw_fd();
        SystemKernel
            .set_raw_option(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMP, &1i32.to_ne_bytes())
            .expect("socket(7)");
        let stamps = || integer(&SystemKernel, fd, libc::SOL_SOCKET, libc::SO_TIMESTAMP).expect("socket(7)");
        let saved = save(&SystemKernel, fd, SocketOption::Timestamps).expect("a known option");
        SystemKernel.set_option(fd, SocketOption::Timestamps, true.into()).expect("a known option");
        assert_eq!(stamps(), 0);
        restore(&SystemKernel, fd, &saved).expect("a value that was there");
        assert_eq!((stamps(), option(fd, SocketOption::Timestamps)), (1, 0));
    }

    /// The TTL of a socket that has none of its own follows the system's: it is not fixed at the present number.
    #[test]
    fn a_default_ttl_stays_the_systems() {
        for (version, socket) in sockets() {
            let saved =
                save(&SystemKernel, socket.as_raw_fd(), SocketOption::UnicastTtl(version)).expect("known");
            assert!(saved.is(OptionValue::Number(-1)), "{version:?}");
        }
    }

    #[test]
    fn sockets_for_udp_are_told_from_others() {
        for (version, socket) in sockets() {
            assert_eq!(socket_kind(&SystemKernel, socket.as_raw_fd()).ok(), Some(SocketKind::Udp(version)));
            assert_eq!(drops(&SystemKernel, socket.as_raw_fd()), Some(0));
        }
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
        assert_eq!(socket_kind(&SystemKernel, tcp.as_raw_fd()).ok(), Some(SocketKind::NotUdp));
        let (unix, _) = std::os::unix::net::UnixDatagram::pair().expect("a socket");
        assert_eq!(socket_kind(&SystemKernel, unix.as_raw_fd()).ok(), Some(SocketKind::OtherFamily));
        let file = std::fs::File::open("/dev/null").expect("a file");
        assert_eq!(socket_kind(&SystemKernel, file.as_raw_fd()).ok(), Some(SocketKind::NotUdp));
        assert!(socket_kind(&SystemKernel, -1).is_err());
    }
}
