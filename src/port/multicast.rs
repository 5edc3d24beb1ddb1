//! Multicast: groups, and how datagrams to groups leave. IPv4 and IPv6 alike, interfaces by index.
//!
//! On a dual-stack port IPv4 groups are written as every IPv4 address there, `::ffff:228.0.0.5`: Linux lets an IPv6
//! socket join them with IPv4's options, delivers their datagrams to it and sends to them.

use super::membership::Membership;
use super::socket_options::IpOption;
use super::{Open, Port};
use crate::addr::{Addr, family};
use crate::status::{Result, Status};
use std::io;

const TTL: IpOption = IpOption { v4: libc::IP_MULTICAST_TTL, v6: libc::IPV6_MULTICAST_HOPS };
const LOOP: IpOption = IpOption { v4: libc::IP_MULTICAST_LOOP, v6: libc::IPV6_MULTICAST_LOOP };
/// While on, a port receives the datagrams of every group that anybody on this host has joined (ip(7)).
const ALL: IpOption = IpOption { v4: libc::IP_MULTICAST_ALL, v6: IPV6_MULTICAST_ALL };
/// linux/in6.h, since Linux 4.20.
const IPV6_MULTICAST_ALL: i32 = 29;
impl Port {
    /// The TTL or hop limit of what goes to groups. INVALID_ARGUMENT but for 0 to 255.
    pub fn set_ttl(&self, ttl: u32) -> Result {
        self.set_number(TTL, ttl, 0)
    }

    /// The socket's; of a dual-stack port, IPv6's.
    pub fn get_ttl(&self) -> Result<u32> {
        self.get_number(TTL)
    }

    /// Whether what goes to groups also comes to those who joined them on this host.
    pub fn set_loopback_mode(&self, on: bool) -> Result {
        self.set_number(LOOP, on.into(), 0)
    }

    /// As it was set.
    pub fn get_loopback_mode(&self) -> Result<bool> {
        Ok(self.get_number(LOOP)? != 0)
    }

    /// The interface that datagrams to groups leave by, over IPv4 with its first address, also after that has
    /// changed. 0: the system's choice. NO_INTERFACE.
    pub fn set_outgoing_interface(&self, index: u32) -> Result {
        let open = self.settable()?;
        open.set_outgoing(index)?;
        open.lazy().groups.outgoing.set(index);
        Ok(())
    }

    /// As it was set.
    pub fn get_outgoing_interface(&self) -> Result<u32> {
        Ok(self.readable()?.lazy.get().map_or(0, |lazy| lazy.groups.outgoing.get()))
    }

    /// Joins a group, for what anybody sends to it, or with a `source` for what that one sends. Interface 0: the zone
    /// of `group`, else the device that the port is bound to, else the system's choice. A first join makes the port deaf to
    /// all other groups. NOT_MULTICAST, ADDRESS_FAMILY, NO_INTERFACE; ALREADY_JOINED, also if the group was joined there the
    /// other way, since the kernel would turn the one into the other.
    pub fn join_group(&self, group: &Addr, source: Option<&Addr>, interface: u32) -> Result {
        let open = self.listening()?;
        let wanted = open.membership(group, source, interface)?;
        let groups = &open.lazy().groups;
        // A first join may have failed halfway and not been undone: its other half is tried again.
        let half = groups.find(&wanted).filter(|_| !groups.only_joined.get());
        let membership = match half {
            Some(membership) => membership,
            None => {
                open.forget_lost(|other| other.rules_out(&wanted));
                if groups.joined.borrow().iter().any(|other| other.rules_out(&wanted)) {
                    return Err(Status::ALREADY_JOINED);
                }
                let joined = open.join(&wanted)?;
                groups.joined.borrow_mut().push(joined);
                joined
            }
        };
        open.receive_only_joined().inspect_err(|_| {
            if open.leave(&membership).is_ok() {
                groups.forget(&membership);
            }
        })
    }

    /// Leaves a group that was joined with the same words, or on the same interface. NOT_JOINED; NO_INTERFACE if there is
    /// no such interface.
    pub fn leave_group(&self, group: &Addr, source: Option<&Addr>, interface: u32) -> Result {
        let open = self.listening()?;
        let meant = open.membership(group, source, interface)?;
        let groups = &open.lazy().groups;
        let Some(membership) = groups.find(&meant) else {
            let unknown =
                meant.named != 0 && open.context.kernel.is_interface_gone(open.fd.get(), meant.named);
            return Err(if unknown { Status::NO_INTERFACE } else { Status::NOT_JOINED });
        };
        let left = open.leave(&membership);
        // Also if another holder of the socket has left it before.
        if matches!(left, Ok(()) | Err(Status::NOT_JOINED)) {
            groups.forget(&membership);
        }
        left
    }
}

impl Open {
    /// What is meant, with the address family that its options are of. A group's port does not matter.
    fn membership(&self, group: &Addr, source: Option<&Addr>, interface: u32) -> Result<Membership> {
        let group = self.plain(group)?;
        if !group.is_multicast() {
            return Err(Status::NOT_MULTICAST);
        }
        let source = source.map(|source| self.plain(source)).transpose()?;
        if source.is_some_and(|source| source.family != group.family) {
            return Err(Status::ADDRESS_FAMILY);
        }
        if source.is_some_and(|source| source.is_multicast() || source.is_any()) {
            return Err(Status::INVALID_ARGUMENT);
        }
        if ![0, interface].contains(&group.scope_id) && interface != 0 {
            return Err(Status::INVALID_ARGUMENT);
        }
        let named = if interface == 0 { group.scope_id } else { interface };
        // A bound port can receive by that device alone, whereas the kernel would follow its routes (ip_mc_find_dev).
        let index = match named {
            0 => self.read_device()?.index(),
            index => index,
        };
        Ok(Membership { group: Addr { scope_id: 0, ..group }, source, named, index })
    }

    fn plain(&self, addr: &Addr) -> Result<Addr> {
        addr.check()?;
        let plain = addr.unmap_v4().unwrap_or(*addr);
        if addr.family != self.family || !self.versions().any(|version| version == plain.family) {
            return Err(Status::ADDRESS_FAMILY);
        }
        Ok(Addr { port: 0, ..plain })
    }

    fn set_outgoing(&self, index: u32) -> Result {
        // struct ip_mreqn: a group, which does not matter; the address to leave with; the index. Without an address the
        // kernel takes one of the interface for each datagram, but never the loopback's (inet_select_addr).
        let address = self.outgoing_address(index);
        let (mut request, number) = ([0; 12], index.to_ne_bytes());
        request[4..8].copy_from_slice(&address);
        request[8..].copy_from_slice(&number);
        let set = self.set_options(self.versions().map(|version| match version {
            family::INET6 => (libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_IF, &number[..]),
            _ => (libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &request[..]),
        }));
        // IPv4 says EADDRNOTAVAIL where IPv6 says ENODEV. EINVAL: the socket is bound to another device.
        set.map_err(|status| match status {
            Status::ADDRESS_NOT_AVAILABLE => Status::NO_INTERFACE,
            status if status == Status::from_errno(libc::EINVAL) => Status::INVALID_ARGUMENT,
            status => status,
        })?;
        self.lazy().groups.outgoing_address.set(address);
        Ok(())
    }

    fn outgoing_address(&self, index: u32) -> [u8; 4] {
        let first = || self.context.kernel.first_v4(self.fd.get(), index);
        if index == 0 { [0; 4] } else { first().unwrap_or_default() }
    }

    /// After a datagram to a group or a connection to one has failed: its source address may have been taken from the
    /// outgoing interface (DHCP, another network), of which the kernel says ENETUNREACH, before Linux 5.4 EINVAL. True if
    /// there is another one, with which it is worth another try.
    pub(super) fn renews_outgoing_address(&self, error: &io::Error) -> bool {
        let Some(lazy) = self.lazy.get() else { return false };
        let (index, former) = (lazy.groups.outgoing.get(), lazy.groups.outgoing_address.get());
        let may_be_gone =
            matches!(error.raw_os_error(), Some(libc::ENETUNREACH | libc::EINVAL)) && former != [0; 4];
        may_be_gone && self.outgoing_address(index) != former && self.set_outgoing(index).is_ok()
    }

    /// What is needed to receive only what the port has joined: [`ALL`] off, and the packet info of IPv6 datagrams.
    fn receive_only_joined(&self) -> Result {
        let only_joined = &self.lazy().groups.only_joined;
        if only_joined.get() {
            return Ok(());
        }
        let (off, on) = (0i32.to_ne_bytes(), 1i32.to_ne_bytes());
        let over_v6 = self.family == family::INET6;
        let info = over_v6.then_some((libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, &on[..]));
        let all = self.versions().map(|version| {
            let (level, name) = ALL.of(version);
            (level, name, &off[..])
        });
        self.set_options(info.into_iter().chain(all))?;
        if over_v6 {
            // A number that is there already is shown to the program; this one is not.
            self.meta_port.set(self.meta_port.get().or(Some(0)));
        }
        only_joined.set(true);
        Ok(())
    }
}
