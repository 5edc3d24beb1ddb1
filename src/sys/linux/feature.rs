//! What this system can do, found out by trying.

use super::{interface_monitor, mmsg, socket};
use crate::addr::{Addr, family};
use crate::sys::{Control, Failure, GsoLimits, OwnerLock, SendBatch, SendMeta, Target};
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;

/// True if the feature of this name works here; false for unknown names.
pub fn is_supported(name: &str) -> bool {
    match name {
        "recvmmsg" => mmsg::has_recvmmsg(),
        "sendmmsg" => mmsg::has_sendmmsg(),
        "dual_stack" => has_option(family::INET6, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY),
        "bind_device" => has_option(family::INET, libc::SOL_SOCKET, libc::SO_BINDTODEVICE),
        "gso" => has_option(family::INET, libc::SOL_UDP, libc::UDP_SEGMENT),
        "gro" => has_option(family::INET, libc::SOL_UDP, libc::UDP_GRO),
        "send_at" => has_option(family::INET, libc::SOL_SOCKET, libc::SO_TXTIME),
        "message_ttl" => sends_with_ttl().is_some(),
        "packet_info" => has_option(family::INET, libc::IPPROTO_IP, libc::IP_PKTINFO),
        "error_reports" => has_option(family::INET, libc::IPPROTO_IP, libc::IP_RECVERR),
        // MSG_TRUNC, recv(2).
        "full_length" => true,
        "kernel_drops" => has_option(family::INET, libc::SOL_SOCKET, libc::SO_MEMINFO),
        "watch_interfaces" => interface_monitor::open().is_ok(),
        "wipe_on_fork" => OwnerLock::new().is_ok_and(|owner| owner.is_wiped_on_fork()),
        _ => false,
    }
}

fn socket(version: u16) -> Option<OwnedFd> {
    socket::udp(version).ok()
}

/// A datagram to the socket itself shows whether the system knows a TTL as control data, as Linux does since 3.13. Where it may
/// not be sent, the system has read the control data before.
fn sends_with_ttl() -> Option<()> {
    let socket = socket(family::INET)?;
    let fd = socket.as_raw_fd();
    socket::bind(fd, &Addr::v4([127, 0, 0, 1], 0)).ok()?;
    let own = socket::local_addr(fd).ok()?;
    let control = Control::of(false, None, 0, None, Some(1), None)?;
    let meta = SendMeta { control, interface: 0, tag: 0 };
    let mut send_batch = SendBatch::new(Rc::default());
    send_batch.push(0, 0, Target { to: Some(&own), meta: Some(&meta), limits: GsoLimits::NONE }, |_| {});
    let is_unknown = |error| Failure::of(&error) == Failure::Invalid;
    (!send_batch.send(fd, 1).is_err_and(is_unknown)).then_some(())
}

fn has_option(version: u16, level: i32, name: i32) -> bool {
    let value = &mut [0; 16];
    socket(version).is_some_and(|socket| socket::option(socket.as_raw_fd(), level, name, value).is_ok())
}
