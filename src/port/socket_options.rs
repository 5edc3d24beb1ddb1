//! Socket options: those that a port sets for its caller, and any other by its number.

use super::device::is_device_option;
use super::saved_options::former_value;
use super::{Open, Port, flag};
use crate::addr::family;
use crate::status::{Result, Status};
use std::rc::Rc;

/// Path MTU discovery in probe mode: never fragment, and let no old news of the path refuse a datagram (ip(7)).
const PROBE: i32 = libc::IP_PMTUDISC_PROBE;

/// Options that ports rely on, or set as their flags and functions say: nobody else may read or change them.
const MANAGED: [(i32, &[i32]); 4] = [
    (libc::SOL_UDP, &[libc::UDP_GRO, libc::UDP_SEGMENT]),
    (
        libc::SOL_SOCKET,
        &[
            // Reading it would take a refusal away that connection_refused is to tell.
            libc::SO_ERROR,
            libc::SO_BROADCAST,
            libc::SO_TIMESTAMP,
            libc::SO_TIMESTAMPNS,
            libc::SO_TIMESTAMPING,
        ],
    ),
    (
        libc::IPPROTO_IP,
        &[
            libc::IP_RECVERR,
            libc::IP_PKTINFO,
            libc::IP_RECVTOS,
            libc::IP_RECVTTL,
            libc::IP_MULTICAST_IF,
            libc::IP_ADD_MEMBERSHIP,
            libc::IP_DROP_MEMBERSHIP,
            libc::IP_ADD_SOURCE_MEMBERSHIP,
            libc::IP_DROP_SOURCE_MEMBERSHIP,
            libc::IP_BLOCK_SOURCE,
            libc::IP_UNBLOCK_SOURCE,
            libc::IP_MSFILTER,
            libc::MCAST_JOIN_GROUP,
            libc::MCAST_LEAVE_GROUP,
            libc::MCAST_JOIN_SOURCE_GROUP,
            libc::MCAST_LEAVE_SOURCE_GROUP,
            libc::MCAST_BLOCK_SOURCE,
            libc::MCAST_UNBLOCK_SOURCE,
            libc::MCAST_MSFILTER,
        ],
    ),
    (
        libc::IPPROTO_IPV6,
        &[
            // It would make an IPv4 socket of an IPv6 one.
            libc::IPV6_ADDRFORM,
            libc::IPV6_RECVERR,
            libc::IPV6_PKTINFO,
            libc::IPV6_RECVPKTINFO,
            libc::IPV6_2292PKTINFO,
            libc::IPV6_RECVTCLASS,
            libc::IPV6_RECVHOPLIMIT,
            libc::IPV6_2292HOPLIMIT,
            libc::IPV6_MULTICAST_IF,
            libc::IPV6_ADD_MEMBERSHIP,
            libc::IPV6_DROP_MEMBERSHIP,
            libc::MCAST_JOIN_GROUP,
            libc::MCAST_LEAVE_GROUP,
            libc::MCAST_JOIN_SOURCE_GROUP,
            libc::MCAST_LEAVE_SOURCE_GROUP,
            libc::MCAST_BLOCK_SOURCE,
            libc::MCAST_UNBLOCK_SOURCE,
            libc::MCAST_MSFILTER,
        ],
    ),
];

/// An option that IPv4 and IPv6 have each their own of, an int.
#[derive(Clone, Copy)]
pub(super) struct IpOption {
    pub(super) v4: i32,
    pub(super) v6: i32,
}

const RECEIVE_PACKET_INFO: IpOption = IpOption { v4: libc::IP_PKTINFO, v6: libc::IPV6_RECVPKTINFO };
const RECEIVE_TOS: IpOption = IpOption { v4: libc::IP_RECVTOS, v6: libc::IPV6_RECVTCLASS };
const RECEIVE_TTL: IpOption = IpOption { v4: libc::IP_RECVTTL, v6: libc::IPV6_RECVHOPLIMIT };
const MTU_DISCOVER: IpOption = IpOption { v4: libc::IP_MTU_DISCOVER, v6: libc::IPV6_MTU_DISCOVER };
const UNICAST_TTL: IpOption = IpOption { v4: libc::IP_TTL, v6: libc::IPV6_UNICAST_HOPS };

impl IpOption {
    pub(super) fn of(self, version: u16) -> (i32, i32) {
        if version == family::INET6 { (libc::IPPROTO_IPV6, self.v6) } else { (libc::IPPROTO_IP, self.v4) }
    }

    /// Sets it for every version, or for none.
    pub(super) fn set(self, open: &Open, value: i32) -> Result {
        let value = value.to_ne_bytes();
        let settings = open.versions().map(|version| {
            let (level, name) = self.of(version);
            (level, name, &value[..])
        });
        open.set_options(settings)
    }

    /// What the socket's own version has.
    fn get(self, open: &Open) -> Result<i32> {
        let (level, name) = self.of(open.family);
        let mut value = [0; 4];
        open.context.kernel.raw_option(open.fd.get(), level, name, &mut value)?;
        Ok(i32::from_ne_bytes(value))
    }
}

impl Port {
    /// SO_BROADCAST. CLOSED after a stop.
    pub fn set_broadcast_allowed(&self, allowed: bool) -> Result {
        let open = self.settable()?;
        open.set_option(libc::SOL_SOCKET, libc::SO_BROADCAST, &i32::from(allowed).to_ne_bytes())?;
        open.broadcast.set(allowed);
        self.shared.set_destinations(open.destinations());
        Ok(())
    }

    /// As it was set.
    pub fn get_broadcast_allowed(&self) -> Result<bool> {
        Ok(self.readable()?.broadcast.get())
    }

    /// TTL or hop limit of what is no multicast. INVALID_ARGUMENT but for 1 to 255.
    pub fn set_unicast_ttl(&self, ttl: u32) -> Result {
        self.set_number(UNICAST_TTL, ttl, 1)
    }

    /// The socket's; of a dual-stack port, IPv6's.
    pub fn get_unicast_ttl(&self) -> Result<u32> {
        self.get_number(UNICAST_TTL)
    }

    /// setsockopt(2), which stays as it is when the port stops. NOT_SUPPORTED for options that ports manage themselves.
    pub fn set_option(&self, level: i32, name: i32, value: &[u8]) -> Result {
        check_unmanaged(level, name)?;
        let open = self.settable()?;
        open.context.kernel.set_raw_option(open.fd.get(), level, name, value)?;
        if is_device_option(level, name) {
            open.device_was_set();
        }
        Ok(())
    }

    /// getsockopt(2): how many bytes of `value` were filled. NOT_SUPPORTED as [`Port::set_option`].
    pub fn get_option(&self, level: i32, name: i32, value: &mut [u8]) -> Result<usize> {
        check_unmanaged(level, name)?;
        let open = self.readable()?;
        Ok(open.context.kernel.raw_option(open.fd.get(), level, name, value)?)
    }

    /// A number from `least` to 255, for both versions on a dual-stack port.
    pub(super) fn set_number(&self, option: IpOption, value: u32, least: u32) -> Result {
        let value = i32::try_from(value).ok().filter(|value| (least as i32..=255).contains(value));
        let value = value.ok_or(Status::INVALID_ARGUMENT)?;
        option.set(&*self.settable()?, value)
    }

    pub(super) fn get_number(&self, option: IpOption) -> Result<u32> {
        let value = option.get(&*self.readable()?)?;
        u32::try_from(value).map_err(|_| Status::SYSTEM)
    }

    /// The socket of a port that listens. What was gathered has left it, with the settings it was written under.
    pub(super) fn settable(&self) -> Result<Rc<Open>> {
        let open = self.listening()?;
        open.flush();
        Ok(open)
    }

    /// The socket, until it is closed.
    pub(super) fn readable(&self) -> Result<Rc<Open>> {
        self.open().and_then(|open| if open.fd.get() < 0 { Err(Status::CLOSED) } else { Ok(open) })
    }
}

impl Open {
    /// The IP versions that the socket speaks, one after the other: on "::" it speaks IPv4 too, and takes the options of
    /// both.
    pub(super) fn versions(&self) -> impl Iterator<Item = u16> {
        let (own, both) = (self.family, self.family == family::INET6 && !self.has(flag::V6_ONLY));
        [family::INET6, family::INET].into_iter().filter(move |version| both || *version == own)
    }

    /// [`Open::set_option`] of options that belong together: one that fails leaves those before it as they were.
    pub(super) fn set_options<'a>(&self, settings: impl Iterator<Item = (i32, i32, &'a [u8])>) -> Result {
        let (kernel, fd) = (&*self.context.kernel, self.fd.get());
        let mut settings = settings.peekable();
        let mut former = Vec::new();
        while let Some((level, name, value)) = settings.next() {
            // The last one needs no way back.
            let is_last = settings.peek().is_none();
            let was =
                if is_last { Ok(Vec::new()) } else { former_value(kernel, fd, level, name, value.len()) };
            if let Err(status) = was.and_then(|was| {
                former.push((level, name, was));
                self.set_option(level, name, value)
            }) {
                former.pop();
                for (level, name, value) in former.iter().rev() {
                    let _ = self.set_option(*level, *name, value);
                }
                return Err(status);
            }
        }
        Ok(())
    }

    /// Turns on what the flags want to be told of datagrams, and DONT_FRAGMENT.
    pub(super) fn enable_meta(&self) -> Result {
        let wishes = [
            (flag::PACKET_INFO, RECEIVE_PACKET_INFO, 1),
            (flag::TOS, RECEIVE_TOS, 1),
            (flag::TTL, RECEIVE_TTL, 1),
            (flag::DONT_FRAGMENT, MTU_DISCOVER, PROBE),
        ];
        for (_, option, value) in wishes.into_iter().filter(|(flag, ..)| self.has(*flag)) {
            option.set(self, value)?;
        }
        if self.has(flag::TIMESTAMPS) {
            self.set_option(libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, &1i32.to_ne_bytes())?;
        }
        Ok(())
    }

    /// What the destinations of datagrams lack: the local port, once the socket is bound.
    pub(super) fn learn_port(&self) -> Result {
        if self.has(flag::META) {
            self.meta_port.set(Some(self.context.kernel.local_addr(self.fd.get())?.port));
        }
        Ok(())
    }
}

fn check_unmanaged(level: i32, name: i32) -> Result {
    let managed = MANAGED.iter().any(|(its, names)| *its == level && names.contains(&name));
    if managed { Err(Status::NOT_SUPPORTED) } else { Ok(()) }
}
