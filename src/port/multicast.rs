//! Multicast: groups, and how datagrams to groups are sent. IPv4 and IPv6 have the same functions; interfaces are given by
//! their index.
//!
//! On a dual-stack port IPv4 groups are written like all IPv4 addresses there, `::ffff:228.0.0.5`: Linux lets an IPv6
//! socket join them with the options of IPv4, delivers their datagrams to it and sends to them.

use super::membership::Joined;
use super::{Open, Port};
use crate::addr::{Addr, family};
use crate::refusal;
use crate::status::{Result, Status};
use crate::sys::{Failure, IpVersion, Membership, OptionValue, SocketOption};
use std::io;

impl Port {
    /// Sets the TTL or hop limit of multicast datagrams.
    ///
    /// # Errors
    /// INVALID_ARGUMENT unless it is from 0 to 255; CLOSED after a stop; a system status if the kernel refuses the option.
    pub fn set_ttl(&self, ttl: u32) -> Result {
        self.set_number(SocketOption::MulticastTtl, ttl, 0)
    }

    /// The TTL or hop limit of multicast datagrams; for a dual-stack port that of IPv6.
    ///
    /// # Errors
    /// CLOSED if the socket is closed; a system status if the kernel does not report the option.
    pub fn get_ttl(&self) -> Result<u32> {
        self.get_number(SocketOption::MulticastTtl)
    }

    /// Sets whether multicast datagrams also reach the members of the group on this host.
    ///
    /// # Errors
    /// CLOSED after a stop; a system status if the kernel refuses the option.
    pub fn set_loopback_mode(&self, on: bool) -> Result {
        self.set_number(SocketOption::MulticastLoop, on.into(), 0)
    }

    /// True if multicast datagrams also reach the members of the group on this host.
    ///
    /// # Errors
    /// CLOSED if the socket is closed; a system status if the kernel does not report the option.
    pub fn get_loopback_mode(&self) -> Result<bool> {
        Ok(self.get_number(SocketOption::MulticastLoop)? != 0)
    }

    /// Sets the interface by which multicast datagrams leave, over IPv4 with its first address, also after that has
    /// changed. 0 leaves the choice to the system.
    ///
    /// # Errors
    /// NO_INTERFACE if there is no such interface; INVALID_ARGUMENT if the port is bound to another device; CLOSED after a stop.
    pub fn set_outgoing_interface(&self, index: u32) -> Result {
        let open = self.settable()?;
        open.set_outgoing(index)?;
        open.lazy().groups.outgoing.set(index);
        Ok(())
    }

    /// The interface that was set, or 0.
    ///
    /// # Errors
    /// CLOSED if the socket is closed.
    pub fn get_outgoing_interface(&self) -> Result<u32> {
        Ok(self.readable()?.lazy.get().map_or(0, |lazy| lazy.groups.outgoing.get()))
    }

    /// Joins a group, for the datagrams of all senders or of one `source`. Interface 0 stands for the zone of `group`, else the
    /// device that the port is bound to, else the system's choice. With its first group a port stops receiving the datagrams
    /// of all groups that it has not joined.
    ///
    /// # Errors
    /// NOT_MULTICAST if `group` is not a group; ADDRESS_FAMILY if an address is not of the port's family, or `source` not of the
    /// group's; INVALID_ARGUMENT if `source` cannot be a sender, or `interface` is not the zone of `group`; NO_INTERFACE if there
    /// is no such interface; ALREADY_JOINED, also if the group was joined there for all senders instead of one or the other way
    /// round, since the kernel would turn the one into the other; CLOSED after a stop.
    pub fn join_group(&self, group: &Addr, source: Option<&Addr>, interface: u32) -> Result {
        let open = self.listening()?;
        let wanted = open.membership(group, source, interface)?;
        let groups = &open.lazy().groups;
        // A first join may have failed halfway and not been undone: its second half is tried again.
        let half = groups.find(&wanted).filter(|_| !groups.only_joined.get());
        let joined = match half {
            Some(joined) => joined,
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
            if open.leave(&joined.membership).is_ok() {
                groups.forget(&joined);
            }
        })
    }

    /// Leaves a group that was joined with the same arguments, or on the same interface.
    ///
    /// # Errors
    /// NOT_JOINED if the port has not joined it; NO_INTERFACE if there is no such interface; those of [`Port::join_group`] for
    /// its arguments.
    pub fn leave_group(&self, group: &Addr, source: Option<&Addr>, interface: u32) -> Result {
        let open = self.listening()?;
        let meant = open.membership(group, source, interface)?;
        let groups = &open.lazy().groups;
        let Some(joined) = groups.find(&meant) else {
            let unknown =
                meant.named != 0 && open.context.kernel.is_interface_gone(open.fd.get(), meant.named);
            return Err(if unknown { Status::NO_INTERFACE } else { Status::NOT_JOINED });
        };
        let left = open.leave(&joined.membership);
        // Also if another holder of the socket has left it before.
        if matches!(left, Ok(()) | Err(Status::NOT_JOINED)) {
            groups.forget(&joined);
        }
        left
    }
}

impl Open {
    /// The membership that a caller means. IPv4 addresses are in their plain form, and ports are 0.
    fn membership(&self, group: &Addr, source: Option<&Addr>, interface: u32) -> Result<Joined> {
        let group = self.plain(group, "group->")?;
        if !group.is_multicast() {
            return Err(Status::NOT_MULTICAST);
        }
        let source = source.map(|source| self.plain(source, "source->")).transpose()?;
        if source.is_some_and(|source| source.family != group.family) {
            return Err(Status::ADDRESS_FAMILY);
        }
        if source.is_some_and(|source| source.is_multicast() || source.is_any()) {
            return Err(refusal::wrong("source", "is a group or unspecified, and no sender's address"));
        }
        if ![0, interface].contains(&group.scope_id) && interface != 0 {
            let rule = "the zone of group is another one";
            return Err(refusal::invalid("interface_index", interface.into(), rule));
        }
        let named = if interface == 0 { group.scope_id } else { interface };
        // A port receives by the device that it is bound to only, whereas the kernel would follow its routes (ip_mc_find_dev).
        let interface = match named {
            0 => self.read_device()?.index(),
            index => index,
        };
        let group = Addr { scope_id: 0, ..group };
        Ok(Joined { membership: Membership { group, source, interface }, named })
    }

    fn plain(&self, addr: &Addr, path: &'static str) -> Result<Addr> {
        addr.check(path)?;
        let plain = addr.unmap_v4().unwrap_or(*addr);
        if addr.family != self.family
            || !self.versions().any(|version| version == IpVersion::of(plain.family))
        {
            return Err(Status::ADDRESS_FAMILY);
        }
        Ok(Addr { port: 0, ..plain })
    }

    fn set_outgoing(&self, index: u32) -> Result {
        // Without an address the kernel takes one of the interface for each datagram, but never the loopback's
        // (inet_select_addr).
        let address = self.outgoing_address(index);
        let value = OptionValue::Interface { index, address };
        let set = self
            .set_options(self.versions().map(|version| (SocketOption::MulticastInterface(version), value)));
        set.map_err(|error| match Failure::of(&error) {
            // For an interface that does not exist Linux reports EADDRNOTAVAIL over IPv4, and ENODEV over IPv6.
            Failure::AddressNotAvailable => Status::NO_INTERFACE,
            // The socket is bound to another device.
            Failure::Invalid => {
                let rule = "the port is bound to another device";
                refusal::invalid("interface_index", index.into(), rule)
            }
            _ => error.into(),
        })?;
        self.lazy().groups.outgoing_address.set(address);
        Ok(())
    }

    fn outgoing_address(&self, index: u32) -> [u8; 4] {
        let first = || self.context.kernel.first_v4(self.fd.get(), index);
        if index == 0 { [0; 4] } else { first().unwrap_or_default() }
    }

    /// Called after a datagram or a connection to a group has failed. The address of the outgoing interface may have changed
    /// (DHCP, another network), for which Linux reports ENETUNREACH, and before 5.4 EINVAL. Sets the present address. True if it
    /// is another one, so that trying again may succeed.
    pub(super) fn refresh_outgoing_address(&self, error: &io::Error) -> bool {
        let Some(lazy) = self.lazy.get() else { return false };
        let (index, former) = (lazy.groups.outgoing.get(), lazy.groups.outgoing_address.get());
        let may_be_gone =
            matches!(Failure::of(error), Failure::Unreachable | Failure::Invalid) && former != [0; 4];
        may_be_gone && self.outgoing_address(index) != former && self.set_outgoing(index).is_ok()
    }

    /// Lets the port receive only the groups that it has joined. Over IPv6 that takes the packet info of each datagram, see
    /// [`Open::needs_group_filter`].
    fn receive_only_joined(&self) -> Result {
        let only_joined = &self.lazy().groups.only_joined;
        if only_joined.get() {
            return Ok(());
        }
        let over_v6 = self.family == family::INET6;
        let info = over_v6.then_some((SocketOption::PacketInfo(IpVersion::V6), true.into()));
        let all = self.versions().map(|version| (SocketOption::MulticastAll(version), false.into()));
        self.set_options(info.into_iter().chain(all))?;
        if over_v6 {
            // The program receives the number only if the port has known it before.
            self.meta_port.set(self.meta_port.get().or(Some(0)));
        }
        only_joined.set(true);
        Ok(())
    }
}
