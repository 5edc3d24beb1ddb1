//! The destinations that a port may write to, as far as they can be checked without asking the kernel.

use super::{Open, flag};
use crate::addr::{Addr, family};
use crate::refusal;
use crate::status::{Result, Status};

/// The longest payload over IPv4: 65,535 bytes less 20 of IP and 8 of UDP.
const LONGEST_V4: usize = 65_507;
/// The longest payload over IPv6, whose length field does not count its own header: 65,535 less 8 of UDP.
const LONGEST_V6: usize = 65_527;

/// The checks are the same for [`Port::write`](super::Port::write) and for posts from other threads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Destinations {
    pub(super) family: u16,
    pub(super) v6_only: bool,
    pub(super) broadcast: bool,
}

/// The peer of a connected port.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    /// The address as the kernel has it: for example without a zone that it does not need.
    pub(super) addr: Addr,
    /// The address as connect was given it.
    pub(super) asked: Addr,
}

impl Peer {
    /// The peer of a socket that was connected elsewhere.
    pub(super) fn of_kernel(addr: Addr) -> Peer {
        Peer { addr, asked: addr }
    }

    /// True for the address that connect was given, and for the kernel's form of it. A zone does not matter for an
    /// address that needs none (RFC 4007, 11.2), and may be left out otherwise.
    fn is(&self, to: &Addr) -> bool {
        let zone_fits = to.scope_id == 0 || !to.needs_scope() || to.scope_id == self.addr.scope_id;
        (zone_fits && Addr { scope_id: self.addr.scope_id, ..*to } == self.addr) || *to == self.asked
    }
}

impl Destinations {
    /// Checks what can be known at once of a datagram of `len` bytes to `to`, from a port that is connected to `peer`.
    /// Returns the address for the kernel: None on a connected port.
    #[inline(always)]
    pub(super) fn check<'a>(
        &self,
        len: usize,
        to: Option<&'a Addr>,
        peer: Option<&Peer>,
    ) -> Result<Option<&'a Addr>> {
        if let Some(to) = to {
            to.check("to->")?;
        }
        let (to, target) = match (to, peer) {
            (None, None) => return Err(Status::NOT_CONNECTED),
            (None, Some(peer)) => (None, &peer.addr),
            (Some(to), Some(peer)) if peer.is(to) => (None, &peer.addr),
            (Some(_), Some(_)) => return Err(Status::WRONG_PEER),
            (Some(to), None) => (Some(to), to),
        };
        self.check_target(target, "to->")?;
        let over_v6 = target.family == family::INET6 && !target.is_v4_mapped();
        let longest = if over_v6 { LONGEST_V6 } else { LONGEST_V4 };
        if len > longest { Err(Status::MESSAGE_TOO_LONG) } else { Ok(to) }
    }

    #[inline]
    pub(super) fn check_target(&self, target: &Addr, path: &'static str) -> Result {
        if target.family != self.family || (self.v6_only && target.is_v4_mapped()) {
            return Err(Status::ADDRESS_FAMILY);
        }
        // The kernel returns EINVAL for port 0 and EACCES for a broadcast that was not allowed (udp(7), socket(7)).
        if target.port == 0 {
            return Err(refusal::invalid_field(path, "port", 0, "1 to 65535"));
        }
        if !self.broadcast && is_limited_broadcast(target) { Err(Status::ACCESS) } else { Ok(()) }
    }
}

/// 255.255.255.255, also as an IPv4-mapped address.
#[inline]
fn is_limited_broadcast(target: &Addr) -> bool {
    let v4 = if target.family == family::INET { &target.bytes[..4] } else { &target.bytes[12..] };
    v4 == [255; 4] && (target.family == family::INET || target.is_v4_mapped())
}

impl Open {
    #[inline]
    pub(super) fn destinations(&self) -> Destinations {
        let (v6_only, broadcast) = (self.has(flag::V6_ONLY), self.has(flag::BROADCAST));
        Destinations { family: self.family, v6_only, broadcast }
    }

    /// The peer that the port is connected to.
    pub(super) fn peer(&self) -> Option<Peer> {
        let addr = self.peer.get()?;
        let asked = self.lazy.get().and_then(|lazy| lazy.requested_peer.get()).unwrap_or(addr);
        Some(Peer { addr, asked })
    }

    /// [`Destinations::check`] for the present state of the port.
    #[inline(always)]
    pub(super) fn check_destination<'a>(&self, len: usize, to: Option<&'a Addr>) -> Result<Option<&'a Addr>> {
        if self.peer.get().is_some() {
            return self.check_connected(len, to);
        }
        self.destinations().check(len, to, None)
    }

    /// A function of its own, so that the path of unconnected ports stays short.
    #[inline(never)]
    fn check_connected<'a>(&self, len: usize, to: Option<&'a Addr>) -> Result<Option<&'a Addr>> {
        self.destinations().check(len, to, self.peer().as_ref())
    }
}
