//! Where what goes to IPv4 groups leaves from an adopted socket, as long as that can be put back.
//!
//! The kernel does not tell which interface IP_MULTICAST_IF was given, only the address (ip(7)). So unless its maker has
//! given one, the option of an adopted socket stays as it is, and each datagram to a group names its interface itself.

use super::Open;
use crate::addr::{Addr, family};
use crate::status::{Result, Status};
use crate::sys::Control;

impl Open {
    /// True if each datagram to an IPv4 group has to name the interface.
    pub(super) fn is_outgoing_by_message(&self) -> Result<bool> {
        let (level, name) = (libc::IPPROTO_IP, libc::IP_MULTICAST_IF);
        let speaks_v4 = self.versions().any(|version| version == family::INET);
        let former = self.former.as_ref().filter(|former| speaks_v4 && !former.knows(level, name));
        if former.is_none() {
            return Ok(false);
        }
        let mut address = [0; 4];
        self.turn.kernel.option(self.fd.get(), level, name, &mut address)?;
        Ok(address == [0; 4])
    }

    /// What setting the option would refuse. NO_INTERFACE.
    pub(super) fn check_outgoing(&self, index: u32) -> Result {
        if index != 0 && self.turn.kernel.is_interface_gone(self.fd.get(), index) {
            return Err(Status::NO_INTERFACE);
        }
        self.check_interface(index)
    }

    /// The interface that a datagram to `target` has to name; 0 for none.
    pub(super) fn outgoing_index(&self, target: &Addr) -> u32 {
        let index = self.used.get().map_or(0, |used| used.groups.by_message.get());
        let plain = target.unmap_v4().unwrap_or(*target);
        if plain.family == family::INET && plain.is_multicast() { index } else { 0 }
    }

    /// The source that it has to name, too: the kernel takes an address of the interface, but never the loopback's
    /// (inet_select_addr).
    pub(super) fn outgoing_source(&self) -> Option<Addr> {
        let address = self.used.get()?.groups.outgoing_address.get();
        (address[0] == 127).then_some(Addr::v4(address, 0))
    }

    /// After a change of the device, or of where datagrams to groups leave.
    pub(super) fn note_constraints(&self) {
        let by_message = self.used.get().map_or(0, |used| used.groups.by_message.get());
        self.constrained.set(by_message != 0 || self.device_index() != 0);
    }

    /// What a datagram of which nothing more is said has to say.
    pub(super) fn control_of_group(&self, to: Option<&Addr>) -> Option<Control> {
        let target = to.copied().or(self.peer.get())?;
        let index = self.outgoing_index(&target);
        (index != 0).then(|| Control::of(false, self.outgoing_source().as_ref(), index, None))
    }
}
