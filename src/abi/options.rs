//! The options of the header.

use super::status::udpr_ns;
use std::ffi::c_char;

/// The options of a reactor. NULL stands for the defaults.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct udpr_reactor_options {
    /// The size of this struct in bytes.
    pub size: usize,
    /// Bits of udpr_reactor_flag.
    pub flags: u32,
    /// The most threads of the pool; 0 means 10.
    pub thread_pool_size: u32,
    /// Zero.
    pub reserved: usize,
    /// Before the loop waits in the kernel, it looks for work without waiting for so long, in run and iterate alike, but
    /// never longer than it would have waited; anything that ends the wait ends this, too. It spares a datagram the time
    /// that the kernel needs to wake a thread, and keeps a core busy meanwhile. 0 means not at all, and UDPR_NEVER for
    /// the whole wait. It is ignored with UDPR_REACTOR_MANUAL_CLOCK. A loop of the program that waits for
    /// udpr_reactor_backend_fd does not spin.
    pub spin: udpr_ns,
}

/// The options of a port. NULL stands for the defaults.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct udpr_udp_options {
    /// The size of this struct in bytes.
    pub size: usize,
    /// Bits of udpr_udp_flag. Adopting refuses those that must be set before a socket is bound.
    pub flags: u32,
    /// Longer datagrams are truncated and flagged. 0 means 65535, the maximum.
    pub max_packet_size: u32,
    /// The size of the receive buffer (SO_RCVBUF) in bytes; 0: the system's default. If the system grants less, that is
    /// logged as a warning.
    pub receive_buffer: u32,
    /// The size of the send buffer (SO_SNDBUF) in bytes; as receive_buffer.
    pub send_buffer: u32,
    /// The bound of the send queue in bytes, in which a datagram counts at least 64; 0 means 1 MiB.
    pub send_queue_bytes: u32,
    /// Zero.
    pub reserved: u32,
    /// The name of an interface (SO_BINDTODEVICE), or NULL. The port receives and sends by that interface or not at
    /// all, also after a connect, a disconnect, or a change of the interface's name: the port is bound to the
    /// interface's index. If the interface is removed, writes fail and connects return UDPR_E_NO_INTERFACE or
    /// UDPR_E_NETWORK_UNREACHABLE. Another interface that gets the name later is another device;
    /// udpr_transport_set_option can bind the port to it. A datagram that names another interface, by interface_index
    /// or by the zone of a link-local destination, is refused with UDPR_E_NETWORK_UNREACHABLE, unless the device is a
    /// VRF that the interface belongs to.
    pub bind_device: *const c_char,
    /// write_ready is called once after each UDPR_E_WOULD_BLOCK, in a turn in which the socket has room again and at most
    /// so many bytes wait, as udpr_transport_get_queued_bytes counts them. 0: when nothing waits. It has to be below
    /// send_queue_bytes.
    pub write_ready_bytes: u32,
    /// Zero.
    pub reserved_2: u32,
}
