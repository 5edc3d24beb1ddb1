//! The options of the header.

use std::ffi::c_char;

/// How a reactor is made; NULL = defaults.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct udpr_reactor_options {
    /// Of this struct, in bytes.
    pub size: usize,
    /// udpr_reactor_flag.
    pub flags: u32,
    /// Threads of the pool at most; 0: 10.
    pub thread_pool_size: u32,
}

/// How a port is made; NULL = defaults.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct udpr_udp_options {
    /// Of this struct, in bytes.
    pub size: usize,
    /// udpr_udp_flag; those that must precede bind are refused by adopt.
    pub flags: u32,
    /// Longer datagrams are cut and flagged; 0: 65535, which is the most.
    pub max_packet_size: u32,
    /// SO_RCVBUF in bytes; 0: the system's; a grant below the wish is logged as a warning.
    pub receive_buffer: u32,
    /// SO_SNDBUF in bytes; likewise.
    pub send_buffer: u32,
    /// Bound in bytes of what waits for a full socket (a datagram counts 64 at least); 0: 1 MiB.
    pub send_queue_bytes: u32,
    /// Zero.
    pub reserved: u32,
    /// An interface's name (SO_BINDTODEVICE), or NULL for none. The port receives and sends by that interface or not at all,
    /// also after a connect, a disconnect, or a change of its name: it is bound to the interface's index. If the interface is
    /// removed, writes fail and connects report UDPR_E_NO_INTERFACE or UDPR_E_NETWORK_UNREACHABLE; another interface that has
    /// its name later is another device, to which udpr_transport_set_option binds the port. A datagram that names another
    /// interface (by interface_index, or by the zone of a link-local destination) is refused with
    /// UDPR_E_NETWORK_UNREACHABLE, unless the device is a VRF that the interface belongs to.
    pub bind_device: *const c_char,
}
