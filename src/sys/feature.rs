//! What this system can do, found out by trying.

use super::{Gate, Inbound, Limits, Outbound, Reception, Target, socket};
use crate::addr::{Addr, family};
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;

/// True where the feature of this name works here; false for names that nobody knows.
pub fn is_there(name: &str) -> bool {
    match name {
        "recvmmsg" => receives(),
        "sendmmsg" => sends(),
        "dual_stack" => has_option(family::INET6, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY),
        "bind_device" => has_option(family::INET, libc::SOL_SOCKET, libc::SO_BINDTODEVICE),
        "gso" => has_option(family::INET, libc::SOL_UDP, libc::UDP_SEGMENT),
        "gro" => has_option(family::INET, libc::SOL_UDP, libc::UDP_GRO),
        "packet_info" => has_option(family::INET, libc::IPPROTO_IP, libc::IP_PKTINFO),
        "wipe_on_fork" => Gate::new().is_ok(),
        _ => false,
    }
}

fn socket(version: u16) -> Option<OwnedFd> {
    socket::udp(version).ok()
}

/// Nothing waits on a new socket, so EAGAIN says that the call is there.
fn receives() -> bool {
    let Some(socket) = socket(family::INET) else { return false };
    let reception = Reception { messages: 1, packet_size: 1, merges: false, told: None };
    let result = Inbound::new(Rc::default()).receive(socket.as_raw_fd(), &reception);
    result.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

/// A datagram from a socket to itself, on loopback.
fn sends() -> bool {
    let Some(socket) = socket(family::INET) else { return false };
    let fd = socket.as_raw_fd();
    let bound = socket::bind(fd, &Addr::v4([127, 0, 0, 1], 0)).and_then(|()| socket::local_addr(fd));
    let mut outbound = Outbound::new(Rc::default());
    bound.is_ok_and(|own| {
        outbound.push(0, 0, Target { to: Some(&own), control: None }, Limits::NONE, |_| {});
        outbound.send(fd, 1).is_ok()
    })
}

fn has_option(version: u16, level: i32, name: i32) -> bool {
    let value = &mut [0; 16];
    socket(version).is_some_and(|socket| socket::option(socket.as_raw_fd(), level, name, value).is_ok())
}
