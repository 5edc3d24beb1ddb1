//! The groups that a port has joined, which of them the kernel still has, and which datagrams to groups the port receives.
//!
//! The kernel resolves interface 0 by its route to the group, anew for each call: a group could not be left once the route
//! has changed. So each membership has the interface that the kernel took when it was joined. It is found by comparing the
//! socket's filters before and after ([`Kernel::group_filter`](crate::sys::Kernel::group_filter)), which works in the network
//! namespace of the socket, and requires neither a netlink socket nor the routes.

use super::{Open, flag};
use crate::addr::{Addr, family};
use crate::status::{Result, Status};
use crate::sys::{Datagram, Datagrams, GroupError, GroupFilter, Membership, RecvBatch};
use std::cell::{Cell, RefCell};

/// Interfaces that are not listed are looked for below this index, which takes some milliseconds.
const SEARCHED: u32 = 1 << 14;

/// The groups of a port.
#[derive(Debug, Default)]
pub(super) struct Groups {
    pub(super) joined: RefCell<Vec<Joined>>,
    /// The port receives only the groups that it has joined, since its first join.
    pub(super) only_joined: Cell<bool>,
    /// The interface by which multicast datagrams leave, as it was set.
    pub(super) outgoing: Cell<u32>,
    /// The address with which they leave over IPv4; zero leaves it to the kernel.
    pub(super) outgoing_address: Cell<[u8; 4]>,
}

/// A membership as the port has joined it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Joined {
    /// With the interface on which the kernel has joined it; 0 if that is not known.
    pub(super) membership: Membership,
    /// The interface that the caller named; 0 left the choice to the system.
    pub(super) named: u32,
}

impl Joined {
    fn is_same_group(&self, other: &Joined) -> bool {
        let (ours, its) = (&self.membership, &other.membership);
        ours.group == its.group && ours.source == its.source
    }

    fn is_same_interface(&self, other: &Joined) -> bool {
        let (ours, its) = (self.membership.interface, other.membership.interface);
        ours != 0 && ours == its
    }

    /// True if the two exclude each other: they are the same, or one is for a source and one for all sources on one interface.
    /// An interface that is not known may be any.
    pub(super) fn rules_out(&self, other: &Joined) -> bool {
        if self.is_same_group(other) {
            return self.named == other.named || self.is_same_interface(other);
        }
        let (ours, its) = (&self.membership, &other.membership);
        let kinds_differ = ours.source.is_some() != its.source.is_some();
        let may_meet = self.is_same_interface(other) || ours.interface == 0 || its.interface == 0;
        ours.group == its.group && kinds_differ && may_meet
    }
}

impl Groups {
    /// The membership that a caller means: one that was joined under the same name, else one on the same interface.
    pub(super) fn find(&self, meant: &Joined) -> Option<Joined> {
        let joined = self.joined.borrow();
        let mut same = joined.iter().filter(|one| one.is_same_group(meant));
        let named = same.clone().find(|one| one.named == meant.named);
        named.or_else(|| same.find(|one| one.is_same_interface(meant))).copied()
    }

    pub(super) fn forget(&self, joined: &Joined) {
        self.joined.borrow_mut().retain(|one| one != joined);
    }
}

impl Open {
    /// Joins a group, and finds out the interface on which the kernel has joined it. ALREADY_JOINED also if the kernel would turn
    /// another holder's membership for all sources into one for this source.
    pub(super) fn join(&self, wanted: &Joined) -> Result<Joined> {
        let Joined { mut membership, named } = *wanted;
        let group = membership.group;
        let candidates = match membership.interface {
            0 => self.context.kernel.interfaces(self.fd.get()),
            interface => vec![interface],
        };
        let look = || candidates.iter().map(|interface| self.filter(&group, *interface));
        let before: Vec<_> = look().collect();
        let is_for_all = |filter: &Option<GroupFilter>| filter.is_some_and(|filter| filter.excludes);
        if membership.source.is_some() && before.iter().any(is_for_all) {
            return Err(Status::ALREADY_JOINED);
        }
        let candidate = |place: usize| candidates.get(place).map_or(0, |interface| *interface);
        // IPv6 adds a source to the group on any interface of the socket, but asks the network for it by the route.
        if membership.interface == 0 && membership.source.is_some() && group.family == family::INET6 {
            membership.interface = before.iter().position(Option::is_some).map_or(0, candidate);
        }
        self.join_in_kernel(&membership)?;
        if membership.interface == 0 {
            let changed = look().zip(&before).position(|(now, was)| now != *was);
            membership.interface = changed.map_or_else(|| self.search(&group, &candidates), candidate);
        }
        Ok(Joined { membership, named })
    }

    /// The only interface other than the known ones on which the socket has joined the group; 0 if there are several. In a
    /// network namespace other than the calling thread's, interfaces without an IPv4 address are not listed anywhere.
    fn search(&self, group: &Addr, known: &[u32]) -> u32 {
        let mut joined =
            (1..SEARCHED).filter(|index| !known.contains(index) && self.filter(group, *index).is_some());
        match (joined.next(), joined.next()) {
            (Some(only), None) => only,
            _ => 0,
        }
    }

    fn join_in_kernel(&self, wanted: &Membership) -> Result {
        let join = || self.context.kernel.join(self.fd.get(), wanted);
        let joined = match join() {
            // Memberships on interfaces that are gone count until they are left.
            Err(GroupError::Full(_)) if self.forget_lost(|_| true) => join(),
            joined => joined,
        };
        Ok(joined?)
    }

    /// Leaves a group, whatever has happened to routes and interfaces. NOT_JOINED if the kernel no longer has the membership.
    pub(super) fn leave(&self, membership: &Membership) -> Result {
        // The kernel would turn the one kind into the other, or leave a group that the port has not joined.
        if self.is_of_other_kind(membership) {
            return Err(Status::NOT_JOINED);
        }
        match self.context.kernel.leave(self.fd.get(), membership) {
            // With the interface unknown, the kernel looks for it by a route that may have changed.
            Err(GroupError::NotJoined | GroupError::NoInterface) if membership.interface == 0 => Ok(()),
            left => Ok(left?),
        }
    }

    /// Leaves all groups that the port has joined. Closing a socket does that, too, unless it has other holders.
    pub(super) fn leave_groups(&self) {
        let Some(lazy) = self.lazy.get() else { return };
        for joined in lazy.groups.joined.take() {
            // There is no caller to whom an error could be returned.
            let _ = self.leave(&joined.membership);
        }
    }

    /// Forgets memberships that have ended: the interface is gone, or another holder of the socket has left the group. True if
    /// there were any.
    pub(super) fn forget_lost(&self, which: impl Fn(&Joined) -> bool) -> bool {
        let mut joined = self.lazy().groups.joined.borrow_mut();
        let before = joined.len();
        joined.retain(|one| !which(one) || !self.has_ended(&one.membership));
        joined.len() < before
    }

    fn has_ended(&self, membership: &Membership) -> bool {
        let Membership { group, interface, .. } = membership;
        if *interface == 0 {
            return false;
        }
        let (kernel, fd) = (&*self.context.kernel, self.fd.get());
        if kernel.is_interface_gone(fd, *interface) {
            // The kernel keeps it until it is left.
            return matches!(self.leave(membership), Ok(()) | Err(Status::NOT_JOINED));
        }
        let is_left = kernel.group_filter(fd, group, *interface).is_ok_and(|filter| filter.is_none());
        is_left || self.is_of_other_kind(membership)
    }

    /// True if another holder of the socket has joined the group there for all sources instead of some, or the other way round.
    fn is_of_other_kind(&self, membership: &Membership) -> bool {
        let filter = self.filter(&membership.group, membership.interface);
        filter.is_some_and(|filter| filter.excludes != membership.source.is_none())
    }

    /// True if datagrams to IPv6 groups are filtered here. Linux checks whether the socket has joined the group of a datagram, but
    /// not on which interface (`inet6_mc_check`); for IPv4 it checks both.
    #[inline]
    pub(super) fn needs_group_filter(&self) -> bool {
        self.family == family::INET6 && self.lazy.get().is_some_and(|lazy| lazy.groups.only_joined.get())
    }

    /// Removes from a batch the datagrams to groups that the port has not joined on the interface where they were received.
    #[inline(never)]
    pub(super) fn drop_unjoined<'a>(&self, recv_batch: &'a mut RecvBatch, count: usize) -> Datagrams<'a> {
        let groups = &self.lazy().groups;
        let batch = recv_batch.retain(count, |datagram| {
            let is_wanted = self.is_of_joined_group(groups, datagram);
            self.hide_packet_info(datagram);
            is_wanted
        });
        if batch.len() < count {
            self.count_discarded(count - batch.len());
        }
        batch
    }

    fn is_of_joined_group(&self, groups: &Groups, datagram: &Datagram) -> bool {
        let (to, interface) = (&datagram.destination, datagram.interface_index);
        if to.family != family::INET6 || !to.is_multicast() {
            return true;
        }
        let is_wanted = |Joined { membership, .. }: &Joined| {
            membership.group.bytes == to.bytes
                && [0, interface].contains(&membership.interface)
                && membership.source.is_none_or(|source| source.bytes == datagram.sender.bytes)
        };
        // Only the kernel knows the groups that an adopted socket has joined elsewhere.
        groups.joined.borrow().iter().any(is_wanted)
            || (self.saved_options.is_some() && self.filter(to, interface).is_some())
    }

    /// Removes the packet info that was received for the sake of groups only.
    fn hide_packet_info(&self, datagram: &mut Datagram) {
        if !self.has(flag::META) {
            datagram.clear_meta();
        } else if !self.has(flag::PACKET_INFO) {
            datagram.clear_packet_info();
        }
    }

    /// What the socket receives of a group on an interface; none also if that cannot be found out.
    fn filter(&self, group: &Addr, interface: u32) -> Option<GroupFilter> {
        self.context.kernel.group_filter(self.fd.get(), group, interface).ok().flatten()
    }
}
