//! The settings of one datagram: source, interface, TOS, TTL, instant, tag.

use super::Open;
use super::destinations::{Destinations, Peer};
use super::message::Message;
use crate::addr::{Addr, family};
use crate::context::Shared;
use crate::refusal;
use crate::status::{Result, Status};
use crate::sys::{Control, Failure, SendMeta, SocketOption};

impl Message<'_> {
    /// Its settings, none if the port's apply, checked as far as that is possible without asking the system.
    pub(super) fn meta(
        &self,
        destinations: &Destinations,
        peer: Option<&Peer>,
        reactor: &Shared,
    ) -> Result<Option<SendMeta>> {
        let byte = |number: Option<u32>, name: &'static str| {
            let is_large = |number: u32| refusal::invalid(name, number.into(), "at most 255");
            number.map(|number| u8::try_from(number).map_err(|_| is_large(number))).transpose()
        };
        let (tos, ttl) = (byte(self.tos, "tos")?, byte(self.ttl, "ttl")?);
        check_instant(self.send_at, reactor)?;
        let is_plain = tos.is_none() && ttl.is_none() && self.send_at.is_none();
        if is_plain && self.source.is_none() && self.interface_index == 0 {
            let tagged = SendMeta { control: Control::EMPTY, interface: 0, tag: self.tag };
            return Ok((self.tag != 0).then_some(tagged));
        }
        let to = destinations.check(0, self.to, peer)?;
        let target = to.or(peer.map(|peer| &peer.addr)).ok_or(Status::NOT_CONNECTED)?;
        if ttl == Some(0) && !target.unmap_v4().unwrap_or(*target).is_multicast() {
            return Err(refusal::invalid("ttl", 0, "0 is for groups only"));
        }
        let over_v6 = target.family == family::INET6 && !target.is_v4_mapped();
        let source =
            self.source.map(|source| check_source(source, destinations.family, over_v6)).transpose()?;
        let scope_id = source.map_or(0, |source| source.scope_id);
        let interface = if self.interface_index == 0 { scope_id } else { self.interface_index };
        let control =
            Control::of(over_v6, source.as_ref(), interface, tos, ttl, self.send_at).ok_or_else(|| {
                refusal::unsupported(
                    "message",
                    "has a setting that this system does not know for one datagram",
                )
            })?;
        Ok(Some(SendMeta { control, interface, tag: self.tag }))
    }
}

/// The instant of a message: a negative difference is no instant, and a manual clock is not the system's.
fn check_instant(instant: Option<u64>, reactor: &Shared) -> Result {
    match instant {
        Some(instant) if instant > i64::MAX as u64 => {
            Err(refusal::invalid("send_at", instant, "above INT64_MAX: a negative difference"))
        }
        Some(_) if reactor.is_manual() => Err(refusal::unsupported(
            "send_at",
            "is an instant of a manual clock, which the system does not know",
        )),
        _ => Ok(()),
    }
}

/// The source of a datagram as an address of the IP version that carries the datagram.
fn check_source(source: &Addr, port_family: u16, over_v6: bool) -> Result<Addr> {
    source.check("source->")?;
    if source.family != port_family {
        return Err(Status::ADDRESS_FAMILY);
    }
    let plain = source.unmap_v4().unwrap_or(*source);
    // "::" leaves the choice to the system, over IPv4 as well.
    let plain = if plain.is_any() && !over_v6 { Addr::v4([0; 4], 0) } else { plain };
    if plain.is_multicast() {
        return Err(refusal::wrong("source", "is a group, which sends nothing"));
    }
    if (plain.family == family::INET6) == over_v6 { Ok(plain) } else { Err(Status::ADDRESS_FAMILY) }
}

impl Open {
    /// Checks what only the system knows of the settings of a datagram, and has it obey them.
    ///
    /// # Errors
    /// Those of [`Open::check_interface`]; [`Status::NOT_SUPPORTED`] if the system cannot send at an instant.
    pub(super) fn prepare_meta(&self, meta: &SendMeta) -> Result {
        self.check_interface(meta.interface)?;
        if meta.control.send_at().is_some() { self.enable_send_at() } else { Ok(()) }
    }

    fn enable_send_at(&self) -> Result {
        let enabled = &self.lazy().sends_at;
        if !enabled.get() {
            self.set_option(SocketOption::SendAt, true).map_err(|error| match Failure::of(&error) {
                Failure::UnknownOption => {
                    refusal::unsupported("send_at", "needs SO_TXTIME, which this system does not know")
                }
                _ => error.into(),
            })?;
            enabled.set(true);
        }
        Ok(())
    }
}
