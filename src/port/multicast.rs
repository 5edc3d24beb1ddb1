//! Multicast: groups, and how datagrams to groups leave. IPv4 and IPv6 alike, interfaces by index.
//!
//! On a dual-stack port IPv4 groups are written as every IPv4 address there, `::ffff:228.0.0.5`: Linux lets an IPv6
//! socket join them with IPv4's options, delivers their datagrams to it and sends to them.

use super::socket_options::IpOption;
use super::{Open, Port};
use crate::addr::{Addr, family};
use crate::status::{Result, Status};
use crate::sys::interface;
use std::cell::{Cell, RefCell};

const TTL: IpOption = IpOption { v4: libc::IP_MULTICAST_TTL, v6: libc::IPV6_MULTICAST_HOPS };
const LOOP: IpOption = IpOption { v4: libc::IP_MULTICAST_LOOP, v6: libc::IPV6_MULTICAST_LOOP };
/// While on, a port gets the datagrams of every group that anybody on this host has joined (ip(7)).
const ALL: IpOption = IpOption { v4: libc::IP_MULTICAST_ALL, v6: IPV6_MULTICAST_ALL };
/// linux/in6.h, since Linux 4.20.
const IPV6_MULTICAST_ALL: i32 = 29;

/// The groups of a port.
#[derive(Debug, Default)]
pub(super) struct Groups {
    joined: RefCell<Vec<Membership>>,
    /// A first join has turned [`ALL`] off.
    only_joined: Cell<bool>,
    /// Where IPv4's goes out; the kernel gives an address for it only.
    outgoing: Cell<u32>,
}

/// A group, as it was joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Membership {
    group: Addr,
    /// None: whoever sends.
    source: Option<Addr>,
    interface: u32,
}

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

    /// Where what goes to groups leaves, over IPv4 also with that interface's first address. 0: the system's choice.
    /// NO_INTERFACE.
    pub fn set_outgoing_interface(&self, index: u32) -> Result {
        if index != 0 && !interface::exists(index) {
            return Err(Status::NO_INTERFACE);
        }
        let open = self.settable()?;
        open.set_outgoing(index)?;
        open.used().groups.outgoing.set(index);
        Ok(())
    }

    /// As it was set.
    pub fn get_outgoing_interface(&self) -> Result<u32> {
        Ok(self.readable()?.used.get().map_or(0, |used| used.groups.outgoing.get()))
    }

    /// Joins a group, for what anybody sends to it, or with a `source` for what that one sends. Interface 0: the zone
    /// of `group`, else the system's choice. A first join makes the port deaf to all other groups. NOT_MULTICAST,
    /// ADDRESS_FAMILY, NO_INTERFACE; ALREADY_JOINED, also where the group was joined there the other way, since the
    /// kernel would turn the one into the other.
    pub fn join_group(&self, group: &Addr, source: Option<&Addr>, interface: u32) -> Result {
        let open = self.listening()?;
        let membership = open.membership(group, source, interface)?;
        let groups = &open.used().groups;
        // By a first join that failed, and could not be undone: the other half of it is tried again.
        let is_half_joined = !groups.only_joined.get() && groups.joined.borrow().contains(&membership);
        if !is_half_joined {
            if groups.joined.borrow().iter().any(|other| other.rules_out(&membership)) {
                return Err(Status::ALREADY_JOINED);
            }
            open.change_membership(&membership, libc::MCAST_JOIN_GROUP, libc::MCAST_JOIN_SOURCE_GROUP)?;
            groups.joined.borrow_mut().push(membership);
        }
        if let Err(status) = open.hear_only_joined() {
            if open.leave(&membership).is_ok() {
                groups.joined.borrow_mut().retain(|other| *other != membership);
            }
            return Err(status);
        }
        Ok(())
    }

    /// Leaves a group that was joined with the same words. NOT_JOINED; NO_INTERFACE where there is none.
    pub fn leave_group(&self, group: &Addr, source: Option<&Addr>, interface: u32) -> Result {
        let open = self.listening()?;
        let membership = open.membership(group, source, interface)?;
        let groups = &open.used().groups;
        let found = groups.joined.borrow().iter().position(|other| *other == membership);
        let Some(index) = found else {
            let unknown = membership.interface != 0 && !interface::exists(membership.interface);
            return Err(if unknown { Status::NO_INTERFACE } else { Status::NOT_JOINED });
        };
        open.leave(&membership)?;
        groups.joined.borrow_mut().swap_remove(index);
        Ok(())
    }
}

impl Membership {
    /// True where both cannot be: the same twice, or one for a source and one for all of them on one interface, which
    /// interface 0 may stand for.
    fn rules_out(&self, other: &Membership) -> bool {
        let interfaces = [self.interface, other.interface];
        let meet = self.interface == other.interface || interfaces.contains(&0);
        let kinds_differ = self.source.is_some() != other.source.is_some();
        self == other || (self.group == other.group && kinds_differ && meet)
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
        let interface = if interface == 0 { group.scope_id } else { interface };
        Ok(Membership { group: Addr { scope_id: 0, ..group }, source, interface })
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
        // struct ip_mreqn: a group, which does not matter, the address to leave with, the index. Without an address the
        // kernel takes one of another interface where the route to the group says so.
        let address = interface::first_v4(index).unwrap_or(Addr::v4([0; 4], 0));
        let (mut request, number) = ([0; 12], index.to_ne_bytes());
        request[4..8].copy_from_slice(&address.bytes[..4]);
        request[8..].copy_from_slice(&number);
        self.set_options(self.versions().map(|version| match version {
            family::INET6 => (libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_IF, &number[..]),
            _ => (libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &request[..]),
        }))
    }

    fn hear_only_joined(&self) -> Result {
        let only_joined = &self.used().groups.only_joined;
        if !only_joined.get() {
            ALL.set(self, 0)?;
            only_joined.set(true);
        }
        Ok(())
    }

    /// Leaves all groups that the port has joined; a socket's close does it, too, but for an adopted one's other holders.
    pub(super) fn leave_groups(&self) {
        let Some(used) = self.used.get() else { return };
        for membership in used.groups.joined.take() {
            // Nobody is left to be told.
            let _ = self.leave(&membership);
        }
    }

    fn leave(&self, membership: &Membership) -> Result {
        let result =
            self.change_membership(membership, libc::MCAST_LEAVE_GROUP, libc::MCAST_LEAVE_SOURCE_GROUP);
        match result {
            Err(Status::ALREADY_JOINED) => Err(Status::NOT_JOINED),
            // With its interface gone a group can be left, one source of it cannot (ip_mc_source in igmp.c, ip6_mc_source
            // in mcast.c), and would count among the groups of the socket for ever: there no source can send any more.
            Err(Status::NO_INTERFACE) if membership.source.is_some() && membership.interface != 0 => {
                let whole = Membership { source: None, ..*membership };
                match self.change_membership(&whole, libc::MCAST_LEAVE_GROUP, libc::MCAST_LEAVE_SOURCE_GROUP)
                {
                    Ok(()) | Err(Status::ALREADY_JOINED) => Ok(()),
                    Err(status) => Err(status),
                }
            }
            result => result,
        }
    }

    /// The options of RFC 3678, which take an interface's index for either version.
    fn change_membership(&self, membership: &Membership, any: i32, with_source: i32) -> Result {
        let Membership { group, source, interface } = membership;
        let level = if group.family == family::INET6 { libc::IPPROTO_IPV6 } else { libc::IPPROTO_IP };
        let name = if source.is_some() { with_source } else { any };
        // struct group_req, or group_source_req: the index, then each address in a sockaddr_storage.
        const STORAGE: usize = size_of::<libc::sockaddr_storage>();
        const FIRST: usize = size_of::<usize>();
        let mut request = [0; FIRST + 2 * STORAGE];
        request[..4].copy_from_slice(&interface.to_ne_bytes());
        for (addr, place) in
            [Some(group), source.as_ref()].into_iter().zip(request[FIRST..].chunks_mut(STORAGE))
        {
            if let (Some(addr), Some(place)) = (addr, place.first_chunk_mut()) {
                addr.to_sockaddr(place);
            }
        }
        let len = FIRST + STORAGE * if source.is_some() { 2 } else { 1 };
        match self.turn.kernel.set_option(self.fd.get(), level, name, &request[..len]) {
            // EADDRINUSE: the group is joined, EADDRNOTAVAIL: the source is, or none of both (Linux, igmp.c, mcast.c).
            Err(error) if matches!(error.raw_os_error(), Some(libc::EADDRINUSE | libc::EADDRNOTAVAIL)) => {
                Err(Status::ALREADY_JOINED)
            }
            result => Ok(result?),
        }
    }
}
