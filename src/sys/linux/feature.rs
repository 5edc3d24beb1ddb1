//! What this system can do, found out by trying.

use super::{mmsg, socket};
use crate::addr::family;
use crate::sys::OwnerLock;
use std::os::fd::{AsRawFd, OwnedFd};

/// True if the feature of this name works here; false for unknown names.
pub fn is_supported(name: &str) -> bool {
    match name {
        "recvmmsg" => mmsg::has_recvmmsg(),
        "sendmmsg" => mmsg::has_sendmmsg(),
        "dual_stack" => has_option(family::INET6, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY),
        "bind_device" => has_option(family::INET, libc::SOL_SOCKET, libc::SO_BINDTODEVICE),
        "gso" => has_option(family::INET, libc::SOL_UDP, libc::UDP_SEGMENT),
        "gro" => has_option(family::INET, libc::SOL_UDP, libc::UDP_GRO),
        "packet_info" => has_option(family::INET, libc::IPPROTO_IP, libc::IP_PKTINFO),
        "wipe_on_fork" => OwnerLock::new().is_ok_and(|owner| owner.is_wiped_on_fork()),
        _ => false,
    }
}

fn socket(version: u16) -> Option<OwnedFd> {
    socket::udp(version).ok()
}

fn has_option(version: u16, level: i32, name: i32) -> bool {
    let value = &mut [0; 16];
    socket(version).is_some_and(|socket| socket::option(socket.as_raw_fd(), level, name, value).is_ok())
}
