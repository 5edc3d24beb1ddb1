//! The callback types of the header, and the table of a port's callbacks.

use super::handles::{udpr_reactor, udpr_transport};
use super::status::{udpr_id, udpr_status};
use super::udpr_socket;
use super::values::{udpr_addr, udpr_datagram, udpr_error_report, udpr_log_record};
use std::ffi::c_void;

/// Frees a user pointer. It is called exactly once.
pub type udpr_free_fn = Option<unsafe extern "C-unwind" fn(user: *mut c_void)>;
/// A delayed call, or a call from another thread.
pub type udpr_call_fn = Option<unsafe extern "C-unwind" fn(reactor: *mut udpr_reactor, user: *mut c_void)>;
/// A periodic call. `beats` is 1 plus the number of beats that were missed since the last call.
pub type udpr_repeat_fn = Option<
    unsafe extern "C-unwind" fn(reactor: *mut udpr_reactor, id: udpr_id, beats: u64, user: *mut c_void),
>;
/// Work for a thread of the pool.
pub type udpr_work_fn = Option<unsafe extern "C-unwind" fn(user: *mut c_void)>;
/// A trigger of startup or shutdown. Returns UDPR_OK or, from the before phase, UDPR_PENDING. A failure is logged.
pub type udpr_trigger_fn = Option<
    unsafe extern "C-unwind" fn(reactor: *mut udpr_reactor, id: udpr_id, user: *mut c_void) -> udpr_status,
>;
/// The result of a look-up: `count` addresses, or the status that says why there are none.
pub type udpr_resolved_fn = Option<
    unsafe extern "C-unwind" fn(
        reactor: *mut udpr_reactor,
        id: udpr_id,
        status: udpr_status,
        addrs: *const udpr_addr,
        count: usize,
        user: *mut c_void,
    ),
>;
/// A watched descriptor is ready. `events` are bits of udpr_watch_flag.
pub type udpr_watch_fn = Option<
    unsafe extern "C-unwind" fn(
        reactor: *mut udpr_reactor,
        id: udpr_id,
        fd: udpr_socket,
        events: u32,
        user: *mut c_void,
    ),
>;
/// A watched signal has come, once or more often, since the last call or the beginning of the watch.
pub type udpr_signal_fn = Option<
    unsafe extern "C-unwind" fn(
        reactor: *mut udpr_reactor,
        id: udpr_id,
        signal_number: i32,
        user: *mut c_void,
    ),
>;
/// A network interface or an address has come, gone or changed, or several have.
pub type udpr_change_fn =
    Option<unsafe extern "C-unwind" fn(reactor: *mut udpr_reactor, id: udpr_id, user: *mut c_void)>;
/// Called with each log record.
pub type udpr_log_fn = Option<unsafe extern "C-unwind" fn(record: *const udpr_log_record, user: *mut c_void)>;
/// Called with each transport by udpr_reactor_each_transport.
pub type udpr_visit_fn =
    Option<unsafe extern "C-unwind" fn(transport: *mut udpr_transport, user: *mut c_void)>;
/// A socket was made. `fd` and `local`, the address that it will be bound to, are borrowed. If this does not return UDPR_OK,
/// listen_* fails as with udpr_start_fn.
pub type udpr_configure_fn = Option<
    unsafe extern "C-unwind" fn(fd: udpr_socket, local: *const udpr_addr, user: *mut c_void) -> udpr_status,
>;
/// The port is bound. If this does not return UDPR_OK, listen_* fails with the status it returned
/// (UDPR_E_INVALID_ARGUMENT for a positive one), and stop_protocol is not called.
pub type udpr_start_fn =
    Option<unsafe extern "C-unwind" fn(transport: *mut udpr_transport, user: *mut c_void) -> udpr_status>;
/// Something happened to a port.
pub type udpr_protocol_fn =
    Option<unsafe extern "C-unwind" fn(transport: *mut udpr_transport, user: *mut c_void)>;
/// A periodic call of a port. `beats` is as in udpr_repeat_fn.
pub type udpr_transport_repeat_fn = Option<
    unsafe extern "C-unwind" fn(transport: *mut udpr_transport, id: udpr_id, beats: u64, user: *mut c_void),
>;
/// A datagram was received.
pub type udpr_datagram_fn = Option<
    unsafe extern "C-unwind" fn(
        transport: *mut udpr_transport,
        datagram: *const udpr_datagram,
        user: *mut c_void,
    ),
>;
/// Datagrams were received. Returns how many it took. The others are delivered in a later turn, or after resume if the
/// port was paused, or discarded if it has stopped.
pub type udpr_datagrams_fn = Option<
    unsafe extern "C-unwind" fn(
        transport: *mut udpr_transport,
        datagrams: *const *const udpr_datagram,
        count: usize,
        user: *mut c_void,
    ) -> usize,
>;
/// A write has failed after it was accepted, or the network has reported an error.
pub type udpr_error_fn = Option<
    unsafe extern "C-unwind" fn(
        transport: *mut udpr_transport,
        report: *const udpr_error_report,
        user: *mut c_void,
    ),
>;
/// The port has stopped. `reason` is UDPR_OK if the program stopped it, otherwise the error that ended it: the host has
/// closed the socket or shut it down, or a sandbox refuses every way to receive (UDPR_E_NOT_SUPPORTED). After
/// udpr_transport_stop_when_sent it is UDPR_E_TIMED_OUT if something was not sent in time.
pub type udpr_stopped_fn = Option<
    unsafe extern "C-unwind" fn(transport: *mut udpr_transport, reason: udpr_status, user: *mut c_void),
>;

/// The callbacks of a port. The struct is copied; every callback may be NULL.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct udpr_protocol {
    /// The size of this struct in bytes.
    pub size: usize,
    /// Passed to every callback.
    pub user: *mut c_void,
    /// Called once with user, after the last callback has returned, also if listening fails.
    pub free_user: udpr_free_fn,
    /// Called inside listen_*, once the socket is bound.
    pub start_protocol: udpr_start_fn,
    /// Called for each datagram. If neither this nor datagrams_received is set, datagrams are received, counted in
    /// datagrams_in, and discarded.
    pub datagram_received: udpr_datagram_fn,
    /// If it is set, it is called instead of datagram_received, once for each batch of at most 256 datagrams.
    pub datagrams_received: udpr_datagrams_fn,
    /// The peer of a connected port has refused an earlier datagram. It is called after error_received, once a turn.
    /// The port stays open.
    pub connection_refused: udpr_protocol_fn,
    /// Called for the kernel's reports with UDPR_UDP_ERROR_REPORTS, and for writes that the kernel refused after they
    /// were accepted (UDPR_ORIGIN_LOCAL), also while reading is paused. Reports that wait to be delivered take at most
    /// send_queue_bytes; further ones are lost.
    pub error_received: udpr_error_fn,
    /// After a write or a post returned UDPR_E_WOULD_BLOCK, at most write_ready_bytes wait: by default nothing does.
    pub write_ready: udpr_protocol_fn,
    /// The last callback of a port. Its socket is closed already, so its number can be bound again.
    pub stop_protocol: udpr_stopped_fn,
    /// Called inside listen_*, once for each socket that is made, before it is bound, for options such as IP_FREEBIND,
    /// IP_TRANSPARENT and SO_MARK. The library has set its own options already, which must stay as they are, and the socket must
    /// not be bound, connected or closed. A second socket is made for port 0 with UDPR_UDP_LISTEN_MULTIPLE,
    /// UDPR_UDP_REUSE_ADDRESS or UDPR_UDP_REUSE_PORT: it holds the port number until the first one is bound to it. It is not
    /// called for adopted sockets, nor by after_fork.
    pub configure_socket: udpr_configure_fn,
}
