//! Socket options: those that have functions of their own, and any other by its number.

use super::{Open, Port, flag};
use crate::addr::family;
use crate::refusal;
use crate::status::{Result, Status};
use crate::sys::{IpVersion, OptionValue, SocketOption, device, managed_options};
use std::io;
use std::rc::Rc;

/// An option that each version of IP has in a form of its own.
pub(super) type IpOption = fn(IpVersion) -> SocketOption;

impl Port {
    /// Allows datagrams to broadcast addresses, or forbids them.
    ///
    /// # Errors
    /// CLOSED after a stop; a system status if the kernel refuses the option.
    pub fn set_broadcast_allowed(&self, allowed: bool) -> Result {
        let open = self.settable()?;
        open.set_option(SocketOption::Broadcast, allowed)?;
        open.set_flag(flag::BROADCAST, allowed);
        self.shared.set_destinations(open.destinations());
        Ok(())
    }

    /// True if datagrams to broadcast addresses are allowed.
    ///
    /// # Errors
    /// CLOSED if the socket is closed.
    pub fn get_broadcast_allowed(&self) -> Result<bool> {
        Ok(self.readable()?.has(flag::BROADCAST))
    }

    /// Sets the TTL or hop limit of unicast datagrams.
    ///
    /// # Errors
    /// INVALID_ARGUMENT unless it is from 1 to 255; CLOSED after a stop; a system status if the kernel refuses the option.
    pub fn set_unicast_ttl(&self, ttl: u32) -> Result {
        self.set_number(SocketOption::UnicastTtl, ttl, 1)
    }

    /// The TTL or hop limit of unicast datagrams; for a dual-stack port that of IPv6.
    ///
    /// # Errors
    /// CLOSED if the socket is closed; a system status if the kernel does not report the option.
    pub fn get_unicast_ttl(&self) -> Result<u32> {
        self.get_number(SocketOption::UnicastTtl)
    }

    /// setsockopt(2). The value stays when the port stops.
    ///
    /// # Errors
    /// NOT_SUPPORTED for options that ports manage themselves; CLOSED after a stop; those of setsockopt(2).
    pub fn set_option(&self, level: i32, name: i32, value: &[u8]) -> Result {
        check_unmanaged(level, name)?;
        let open = self.settable()?;
        open.context.kernel.set_raw_option(open.fd.get(), level, name, value)?;
        if device::is_device_option(level, name) {
            open.device_was_set();
        }
        Ok(())
    }

    /// getsockopt(2). Returns how many bytes of `value` were filled.
    ///
    /// # Errors
    /// NOT_SUPPORTED for options that ports manage themselves; CLOSED if the socket is closed; those of getsockopt(2).
    pub fn get_option(&self, level: i32, name: i32, value: &mut [u8]) -> Result<usize> {
        check_unmanaged(level, name)?;
        let open = self.readable()?;
        Ok(open.context.kernel.raw_option(open.fd.get(), level, name, value)?)
    }

    /// Sets an option to a number from `least` to 255, for both versions on a dual-stack port.
    pub(super) fn set_number(&self, option: IpOption, value: u32, least: u32) -> Result {
        if !(least..=255).contains(&value) {
            let rule = if least == 0 { "0 to 255" } else { "1 to 255" };
            return Err(refusal::invalid("ttl", value.into(), rule));
        }
        Ok(self.settable()?.set_for_versions(option, value as i32)?)
    }

    /// An option of the socket's own version.
    pub(super) fn get_number(&self, option: IpOption) -> Result<u32> {
        let open = self.readable()?;
        let value = open.context.kernel.option(open.fd.get(), option(IpVersion::of(open.family)))?;
        u32::try_from(value).map_err(|_| Status::SYSTEM)
    }

    /// The open part of a port that listens. The datagrams of earlier writes are sent first, under the former settings.
    pub(super) fn settable(&self) -> Result<Rc<Open>> {
        let open = self.listening()?;
        open.flush();
        Ok(open)
    }

    /// The open part until the socket is closed.
    pub(super) fn readable(&self) -> Result<Rc<Open>> {
        self.open().and_then(|open| if open.fd.get() < 0 { Err(Status::CLOSED) } else { Ok(open) })
    }
}

impl Open {
    /// The versions of IP that the socket speaks. An IPv6 socket speaks IPv4 too, unless it is limited to IPv6, and
    /// takes the options of both.
    pub(super) fn versions(&self) -> impl Iterator<Item = IpVersion> {
        let (own, both) =
            (IpVersion::of(self.family), self.family == family::INET6 && !self.has(flag::V6_ONLY));
        [IpVersion::V6, IpVersion::V4].into_iter().filter(move |version| both || *version == own)
    }

    /// Sets an option for every version, or for none.
    pub(super) fn set_for_versions(&self, option: IpOption, value: i32) -> io::Result<()> {
        self.set_options(self.versions().map(|version| (option(version), value.into())))
    }

    /// [`Open::set_option`] of options that belong together: if one fails, those before it are restored.
    pub(super) fn set_options(
        &self,
        settings: impl Iterator<Item = (SocketOption, OptionValue)>,
    ) -> io::Result<()> {
        let (kernel, fd) = (&*self.context.kernel, self.fd.get());
        let mut settings = settings.peekable();
        let mut saved = Vec::new();
        while let Some((option, value)) = settings.next() {
            // No failure comes after the last one.
            let is_last = settings.peek().is_none();
            let was = (!is_last).then(|| kernel.save_option(fd, option)).transpose();
            let set = was.and_then(|was| self.set_option(option, value).map(|()| saved.extend(was)));
            if set.is_err() {
                saved.iter().rev().for_each(|was| drop(kernel.restore_option(fd, was)));
                return set;
            }
        }
        Ok(())
    }

    /// Turns on the control data that the flags ask for, and DONT_FRAGMENT.
    pub(super) fn enable_meta(&self) -> io::Result<()> {
        let wishes: [(u32, IpOption); 4] = [
            (flag::PACKET_INFO, SocketOption::PacketInfo),
            (flag::TOS, SocketOption::ReceiveTos),
            (flag::TTL, SocketOption::ReceiveTtl),
            (flag::DONT_FRAGMENT, SocketOption::DontFragment),
        ];
        for (_, option) in wishes.into_iter().filter(|(flag, _)| self.has(*flag)) {
            self.set_for_versions(option, 1)?;
        }
        if self.has(flag::TIMESTAMPS) { self.set_option(SocketOption::Timestamps, true) } else { Ok(()) }
    }

    /// Asks for the local port once the socket is bound: the control data of a datagram's destination lacks it.
    pub(super) fn learn_port(&self) -> Result {
        if self.has(flag::META) {
            self.meta_port.set(Some(self.context.kernel.local_addr(self.fd.get())?.port));
        }
        Ok(())
    }
}

fn check_unmanaged(level: i32, name: i32) -> Result {
    if managed_options::is_managed(level, name) {
        return Err(refusal::unsupported_number(
            "name",
            name as u64,
            "the library manages this option itself",
        ));
    }
    Ok(())
}
