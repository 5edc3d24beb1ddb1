//! The groups that a port has joined, what the kernel knows of them, and what is received of them.
//!
//! The kernel resolves interface 0 by its route to the group, anew for each call: what was joined could not be left once
//! the route has changed. So each membership has the interface that the kernel took when it was joined, which is looked
//! for among the socket's own memberships (MCAST_MSFILTER): that acts in the socket's network namespace, and needs neither
//! a netlink socket nor the routes.

use super::{Open, flag};
use crate::addr::{Addr, family};
use crate::status::{Result, Status};
use crate::sys::{Datagram, Datagrams, RecvBatch};
use std::cell::{Cell, RefCell};
use std::io;

/// linux/in.h: the sources of the list are the ones that are not received.
const MCAST_EXCLUDE: u32 = 0;
/// In `struct group_req`, `group_source_req` and `group_filter`: the index, then addresses in sockaddr_storages, each
/// aligned as a long is.
const FIRST: usize = size_of::<libc::c_ulong>();
const STORAGE: usize = size_of::<libc::sockaddr_storage>();
/// `struct group_filter` up to its sources: index, group, mode, number of sources.
const FILTER: usize = FIRST + STORAGE + 8;
/// Interfaces that are not listed are looked for below this index, which takes some milliseconds.
const SEARCHED: u32 = 1 << 14;

/// The groups of a port.
#[derive(Debug, Default)]
pub(super) struct Groups {
    pub(super) joined: RefCell<Vec<Membership>>,
    /// A first join has turned off that the port receives what others joined.
    pub(super) only_joined: Cell<bool>,
    /// The interface that datagrams to groups leave by, as it was set.
    pub(super) outgoing: Cell<u32>,
    /// The address that they leave with over IPv4; zero leaves it to the kernel.
    pub(super) outgoing_address: Cell<[u8; 4]>,
}

/// A group, as it was joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Membership {
    pub(super) group: Addr,
    /// None: all sources.
    pub(super) source: Option<Addr>,
    /// The interface as the caller named it; 0 leaves the choice to the system.
    pub(super) named: u32,
    /// The interface that the kernel has joined it on; 0 if that is not known.
    pub(super) index: u32,
}

/// What a socket has joined of a group on one interface.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Filter {
    mode: u32,
    sources: u32,
}

impl Membership {
    fn is_same_group(&self, other: &Membership) -> bool {
        self.group == other.group && self.source == other.source
    }

    fn is_same_interface(&self, other: &Membership) -> bool {
        self.index != 0 && self.index == other.index
    }

    /// True if both cannot be: the same twice, or one for a source and one for all of them on one interface, which may be
    /// any while it is not known.
    pub(super) fn rules_out(&self, other: &Membership) -> bool {
        if self.is_same_group(other) {
            return self.named == other.named || self.is_same_interface(other);
        }
        let kinds_differ = self.source.is_some() != other.source.is_some();
        let may_meet = self.is_same_interface(other) || self.index == 0 || other.index == 0;
        self.group == other.group && kinds_differ && may_meet
    }
}

impl Groups {
    /// What the caller means: what was joined under the same name, else what was joined on the same interface.
    pub(super) fn find(&self, meant: &Membership) -> Option<Membership> {
        let joined = self.joined.borrow();
        let mut same = joined.iter().filter(|one| one.is_same_group(meant));
        let named = same.clone().find(|one| one.named == meant.named);
        named.or_else(|| same.find(|one| one.is_same_interface(meant))).copied()
    }

    pub(super) fn forget(&self, membership: &Membership) {
        self.joined.borrow_mut().retain(|one| one != membership);
    }
}

impl Open {
    /// Has the kernel join it, and notes the interface. ALREADY_JOINED also if the kernel would turn another holder's
    /// membership for all sources into one for this source.
    pub(super) fn join(&self, wanted: &Membership) -> Result<Membership> {
        let candidates = match wanted.index {
            0 => self.context.kernel.interfaces(self.fd.get()),
            index => vec![index],
        };
        let look = || candidates.iter().map(|index| self.filter(&wanted.group, *index).ok());
        let before: Vec<_> = look().collect();
        let for_all = |filter: &Option<Filter>| filter.is_some_and(|filter| filter.mode == MCAST_EXCLUDE);
        if wanted.source.is_some() && before.iter().any(for_all) {
            return Err(Status::ALREADY_JOINED);
        }
        // IPv6 adds a source to the group wherever the socket has joined it, but asks the network for it by the route.
        let known = before.iter().position(Option::is_some).filter(|_| wanted.group.family == family::INET6);
        let index_at =
            |place: Option<usize>| place.and_then(|place| candidates.get(place)).map_or(0, |index| *index);
        let wanted = match wanted.index {
            0 if wanted.source.is_some() => Membership { index: index_at(known), ..*wanted },
            _ => *wanted,
        };
        self.join_in_kernel(&wanted)?;
        if wanted.index != 0 {
            return Ok(wanted);
        }
        let changed = look().zip(&before).position(|(now, was)| now != *was);
        let index = changed.map_or_else(|| self.search(&wanted.group, &candidates), |_| index_at(changed));
        Ok(Membership { index, ..wanted })
    }

    /// The only interface beside the known ones that the socket has joined the group on; 0 if there are others. In a network
    /// namespace other than the calling thread's, interfaces without an IPv4 address are not listed anywhere.
    fn search(&self, group: &Addr, known: &[u32]) -> u32 {
        let mut joined =
            (1..SEARCHED).filter(|index| !known.contains(index) && self.filter(group, *index).is_ok());
        match (joined.next(), joined.next()) {
            (Some(only), None) => only,
            _ => 0,
        }
    }

    fn join_in_kernel(&self, wanted: &Membership) -> Result {
        let join = || self.change(wanted, libc::MCAST_JOIN_GROUP, libc::MCAST_JOIN_SOURCE_GROUP);
        let is_full = |error: &io::Error| matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::ENOMEM));
        let joined = match join() {
            // What was joined on interfaces that are gone counts until it is left.
            Err(error) if is_full(&error) && self.forget_lost(|_| true) => join(),
            joined => joined,
        };
        match joined {
            // EADDRINUSE: the group is joined, EADDRNOTAVAIL: the source is (igmp.c, mcast.c).
            Err(error) if matches!(error.raw_os_error(), Some(libc::EADDRINUSE | libc::EADDRNOTAVAIL)) => {
                Err(Status::ALREADY_JOINED)
            }
            joined => Ok(joined?),
        }
    }

    /// Has the kernel leave it, whatever has happened to routes and interfaces. NOT_JOINED if the kernel has it no more.
    pub(super) fn leave(&self, membership: &Membership) -> Result {
        // The kernel would turn the one kind into the other, or leave what the port has not joined.
        if self.is_of_other_kind(membership) {
            return Err(Status::NOT_JOINED);
        }
        let leave = |what| self.change(what, libc::MCAST_LEAVE_GROUP, libc::MCAST_LEAVE_SOURCE_GROUP);
        match leave(membership).map_err(|error| error.raw_os_error()) {
            // With the interface unknown, the kernel looks for it by a route that may have changed.
            Err(Some(libc::EADDRNOTAVAIL | libc::EINVAL | libc::ENODEV)) if membership.index == 0 => Ok(()),
            // EADDRNOTAVAIL: the source is not joined, or the group. EINVAL: a source, and the group is not joined.
            Err(Some(libc::EADDRNOTAVAIL | libc::EINVAL)) => Err(Status::NOT_JOINED),
            // With its interface gone a group can be left, one source of it cannot (ip_mc_source in igmp.c, ip6_mc_source
            // in mcast.c), and would count among the groups of the socket permanently: there no source can send any more.
            Err(Some(libc::ENODEV)) if membership.source.is_some() => {
                let whole = Membership { source: None, ..*membership };
                match leave(&whole) {
                    Err(error) if error.raw_os_error() != Some(libc::EADDRNOTAVAIL) => Err(error.into()),
                    _ => Ok(()),
                }
            }
            Err(errno) => Err(errno.map_or(Status::SYSTEM, Status::from_errno)),
            Ok(()) => Ok(()),
        }
    }

    /// Leaves all groups that the port has joined; a socket's close does it, too, but for an adopted one's other holders.
    pub(super) fn leave_groups(&self) {
        let Some(lazy) = self.lazy.get() else { return };
        for membership in lazy.groups.joined.take() {
            // Nobody is left who could be told.
            let _ = self.leave(&membership);
        }
    }

    /// Forgets memberships that are no more: the interface is gone, or another holder of the socket has left the group.
    /// True if there were any.
    pub(super) fn forget_lost(&self, which: impl Fn(&Membership) -> bool) -> bool {
        let mut joined = self.lazy().groups.joined.borrow_mut();
        let before = joined.len();
        joined.retain(|one| !which(one) || !self.is_unusable(one));
        joined.len() < before
    }

    fn is_unusable(&self, membership: &Membership) -> bool {
        if membership.index == 0 {
            return false;
        }
        if self.context.kernel.is_interface_gone(self.fd.get(), membership.index) {
            // The kernel keeps it until it is left.
            return matches!(self.leave(membership), Ok(()) | Err(Status::NOT_JOINED));
        }
        let filter = self.filter(&membership.group, membership.index);
        let is_left = filter.is_err_and(|error| error.raw_os_error() == Some(libc::EADDRNOTAVAIL));
        is_left || self.is_of_other_kind(membership)
    }

    /// True if the kernel has the group there for all sources instead of some, or the other way round: by another holder.
    fn is_of_other_kind(&self, membership: &Membership) -> bool {
        let filter = self.filter(&membership.group, membership.index);
        filter.is_ok_and(|filter| (filter.mode == MCAST_EXCLUDE) != membership.source.is_none())
    }

    /// True if what comes to IPv6 groups is sifted. Linux asks whether the socket has joined a datagram's group, but not on
    /// which interface (`inet6_mc_check`); for IPv4 it asks for both.
    #[inline]
    pub(super) fn filters_groups(&self) -> bool {
        self.family == family::INET6 && self.lazy.get().is_some_and(|lazy| lazy.groups.only_joined.get())
    }

    /// Leaves those of a batch out that came to a group which the port has not joined on that interface.
    #[inline(never)]
    pub(super) fn filter_groups<'a>(&self, recv_batch: &'a mut RecvBatch, count: usize) -> Datagrams<'a> {
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
        let wanted = |one: &Membership| {
            one.group.bytes == to.bytes
                && (one.index == interface || one.index == 0)
                && one.source.is_none_or(|source| source.bytes == datagram.sender.bytes)
        };
        // What an adopted socket has joined by itself is known to the kernel alone.
        groups.joined.borrow().iter().any(wanted)
            || (self.saved_options.is_some() && self.filter(to, interface).is_ok())
    }

    /// What was received for the sake of groups alone is not shown.
    fn hide_packet_info(&self, datagram: &mut Datagram) {
        if !self.has(flag::META) {
            datagram.clear_meta();
        } else if !self.has(flag::PACKET_INFO) {
            datagram.clear_packet_info();
        }
    }

    /// What the socket has joined of a group on an interface; EADDRNOTAVAIL if it has joined nothing of it there.
    fn filter(&self, group: &Addr, index: u32) -> io::Result<Filter> {
        let mut request = [0; FILTER];
        request[..4].copy_from_slice(&index.to_ne_bytes());
        write_addr(group, &mut request[FIRST..]);
        self.context.kernel.raw_option(self.fd.get(), level(group), libc::MCAST_MSFILTER, &mut request)?;
        let number = |at: usize| request[at..].first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes));
        Ok(Filter { mode: number(FIRST + STORAGE), sources: number(FIRST + STORAGE + 4) })
    }

    /// The options of RFC 3678, which take an interface's index for either version.
    fn change(&self, membership: &Membership, any: i32, with_source: i32) -> io::Result<()> {
        let Membership { group, source, index, .. } = membership;
        let mut request = [0; FIRST + 2 * STORAGE];
        request[..4].copy_from_slice(&index.to_ne_bytes());
        write_addr(group, &mut request[FIRST..]);
        let (name, len) = match source {
            None => (any, FIRST + STORAGE),
            Some(source) => {
                write_addr(source, &mut request[FIRST + STORAGE..]);
                (with_source, request.len())
            }
        };
        self.context.kernel.set_raw_option(self.fd.get(), level(group), name, &request[..len])
    }
}

fn level(group: &Addr) -> i32 {
    if group.family == family::INET6 { libc::IPPROTO_IPV6 } else { libc::IPPROTO_IP }
}

/// Into a sockaddr_storage, which is longer than any address.
fn write_addr(addr: &Addr, storage: &mut [u8]) {
    if let Some(place) = storage.first_chunk_mut() {
        addr.to_sockaddr(place);
    }
}
