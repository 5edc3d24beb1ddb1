//! The options that a port is made with.

use crate::addr::Addr;
use crate::refusal;
use crate::status::Result;
use crate::sys::{Handle, SocketOption};
use std::ffi::CStr;
use std::fmt;

/// The bits of [`Options::flags`]: [`udpr_udp_flag`](crate::abi::udpr_udp_flag) says what each of them does.
pub mod flag {
    use crate::abi::udpr_udp_flag as Flag;

    /// `UDPR_UDP_LISTEN_MULTIPLE`.
    pub const LISTEN_MULTIPLE: u32 = Flag::UDPR_UDP_LISTEN_MULTIPLE as u32;
    /// `UDPR_UDP_REUSE_ADDRESS`.
    pub const REUSE_ADDRESS: u32 = Flag::UDPR_UDP_REUSE_ADDRESS as u32;
    /// `UDPR_UDP_REUSE_PORT`.
    pub const REUSE_PORT: u32 = Flag::UDPR_UDP_REUSE_PORT as u32;
    /// `UDPR_UDP_V6_ONLY`.
    pub const V6_ONLY: u32 = Flag::UDPR_UDP_V6_ONLY as u32;
    /// `UDPR_UDP_BROADCAST`.
    pub const BROADCAST: u32 = Flag::UDPR_UDP_BROADCAST as u32;
    /// `UDPR_UDP_PACKET_INFO`.
    pub const PACKET_INFO: u32 = Flag::UDPR_UDP_PACKET_INFO as u32;
    /// `UDPR_UDP_TIMESTAMPS`.
    pub const TIMESTAMPS: u32 = Flag::UDPR_UDP_TIMESTAMPS as u32;
    /// `UDPR_UDP_TOS`.
    pub const TOS: u32 = Flag::UDPR_UDP_TOS as u32;
    /// `UDPR_UDP_TTL`.
    pub const TTL: u32 = Flag::UDPR_UDP_TTL as u32;
    /// `UDPR_UDP_DONT_FRAGMENT`.
    pub const DONT_FRAGMENT: u32 = Flag::UDPR_UDP_DONT_FRAGMENT as u32;
    /// `UDPR_UDP_ERROR_REPORTS`.
    pub const ERROR_REPORTS: u32 = Flag::UDPR_UDP_ERROR_REPORTS as u32;
    /// `UDPR_UDP_NO_QUEUE`.
    pub const NO_QUEUE: u32 = Flag::UDPR_UDP_NO_QUEUE as u32;
    /// `UDPR_UDP_UNBATCHED`.
    pub const UNBATCHED: u32 = Flag::UDPR_UDP_UNBATCHED as u32;
    /// `UDPR_UDP_NO_OFFLOAD`.
    pub const NO_OFFLOAD: u32 = Flag::UDPR_UDP_NO_OFFLOAD as u32;
    /// The flags for control data.
    pub const META: u32 = PACKET_INFO | TIMESTAMPS | TOS | TTL;
    /// `UDPR_UDP_OFFLOAD`.
    pub const OFFLOAD: u32 = Flag::UDPR_UDP_OFFLOAD as u32;
    /// `UDPR_UDP_TAKE_FD`.
    pub const TAKE_FD: u32 = Flag::UDPR_UDP_TAKE_FD as u32;
    /// The flags that let other sockets have the same port number.
    pub(in crate::port) const SHARE: u32 = LISTEN_MULTIPLE | REUSE_ADDRESS | REUSE_PORT;
    /// The flags whose options must be set before bind(2).
    pub(in crate::port) const BEFORE_BIND: u32 = SHARE | V6_ONLY;
    /// The flags for adopted sockets only.
    pub(in crate::port) const ADOPT: u32 = OFFLOAD | TAKE_FD;
    /// Every bit that this library knows.
    pub const KNOWN: u32 = 0xffff;
}

/// The longest payload that the length field of UDP allows (RFC 768).
const PACKET_MAX: u16 = 65_535;
/// The largest buffer that an option of a socket can name.
const BUFFER_MAX: u32 = i32::MAX as u32;
const QUEUE_DEFAULT: u32 = 1024 * 1024;

/// The options that a port is made with. 0 means the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// Bits of [`flag`].
    pub flags: u32,
    /// The length in bytes of the longest datagram that is delivered whole; 65,535 by default.
    pub max_packet_size: u32,
    /// The size of the receive buffer in bytes; by default that of the system.
    pub receive_buffer: u32,
    /// The size of the send buffer in bytes; by default that of the system.
    pub send_buffer: u32,
    /// How many bytes may wait while the socket is full; 1 MiB by default.
    pub send_queue_bytes: u32,
    /// `write_ready` is called when at most so many bytes wait.
    pub write_ready_bytes: u32,
    /// The name of the only interface to send and receive by (SO_BINDTODEVICE, socket(7)).
    pub bind_device: Option<&'a CStr>,
    /// Configures each socket that is made, before its first bind(2).
    pub configure_socket: Option<ConfigureSocket<'a>>,
}

/// A callback that sets options of a socket, which will be bound to the address.
#[derive(Clone, Copy)]
pub struct ConfigureSocket<'a>(pub &'a dyn Fn(Handle, &Addr) -> Result);

impl fmt::Debug for ConfigureSocket<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConfigureSocket")
    }
}

impl Options<'_> {
    /// Checks the flags and the sizes.
    ///
    /// # Errors
    /// VERSION for bits of a later release; INVALID_ARGUMENT for sizes that no socket can have, and if `write_ready` would be called
    /// while the queue is full.
    pub fn check(&self) -> Result {
        if self.flags & !flag::KNOWN != 0 {
            return Err(refusal::unknown_flags("options->flags", self.flags & !flag::KNOWN));
        }
        check_size("options->max_packet_size", self.max_packet_size, PACKET_MAX.into(), "at most 65535")?;
        check_size("options->receive_buffer", self.receive_buffer, BUFFER_MAX, "at most INT32_MAX")?;
        check_size("options->send_buffer", self.send_buffer, BUFFER_MAX, "at most INT32_MAX")?;
        if self.write_ready_bytes >= self.queue_bytes() {
            let ready = self.write_ready_bytes.into();
            return Err(refusal::invalid("options->write_ready_bytes", ready, "below send_queue_bytes"));
        }
        Ok(())
    }

    /// [`Options::check`], and INVALID_ARGUMENT for flags that only adopting knows.
    pub(super) fn check_listen(&self) -> Result {
        self.check()?;
        self.refuse_flags(flag::ADOPT, "which are for adopting only")
    }

    /// [`Options::check`], and INVALID_ARGUMENT for options that must be set before bind(2).
    pub(super) fn check_adopt(&self) -> Result {
        self.check()?;
        self.refuse_flags(flag::BEFORE_BIND, "which have to be set before bind(2)")?;
        match self.bind_device {
            None => Ok(()),
            Some(_) => Err(refusal::wrong("options->bind_device", "has to be set before bind(2)")),
        }
    }

    fn refuse_flags(&self, bits: u32, rule: &'static str) -> Result {
        match self.flags & bits {
            0 => Ok(()),
            refused => Err(refusal::invalid_flags("options->flags", refused, rule)),
        }
    }

    /// True if the socket may have a device once it is bound to `local`.
    pub(super) fn may_have_device(&self, local: &Addr) -> bool {
        self.bind_device.is_some() || self.configure_socket.is_some() || local.needs_scope()
    }

    pub(super) fn has(&self, bits: u32) -> bool {
        self.flags & bits != 0
    }

    /// The longest datagram that is delivered whole, within the limits of [`Options::check`].
    pub(super) fn packet_size(&self) -> u16 {
        if self.max_packet_size == 0 { PACKET_MAX } else { self.max_packet_size as u16 }
    }

    /// The sizes of the socket's buffers, as far as they are given.
    pub(super) fn buffers(&self) -> impl Iterator<Item = (SocketOption, i32)> + use<> {
        let sizes = [
            (SocketOption::ReceiveBuffer, self.receive_buffer),
            (SocketOption::SendBuffer, self.send_buffer),
        ];
        // Options::check has refused larger ones.
        sizes.into_iter().filter(|(_, size)| *size > 0).map(|(option, size)| (option, size as i32))
    }

    pub(super) fn queue_bytes(&self) -> u32 {
        if self.send_queue_bytes == 0 { QUEUE_DEFAULT } else { self.send_queue_bytes }
    }
}

fn check_size(argument: &'static str, size: u32, most: u32, rule: &'static str) -> Result {
    if size <= most { Ok(()) } else { Err(refusal::invalid(argument, size.into(), rule)) }
}
