//! The callbacks of a port.

use super::{Delivery, Port};
use crate::status::{Result, Status};
use crate::sys::Report;
use std::sync::Arc;

/// The callbacks of one port, all on the reactor's thread. The protocol is dropped after the last of them has returned.
///
/// No borrow is held while one runs: it may call any method of the port, of its reactor and of other ports.
pub trait Protocol {
    /// The port is bound. If this fails, the port ends: nothing is left, and [`Protocol::stop_protocol`] is not called.
    fn start_protocol(&self, _port: &Arc<Port>) -> Result {
        Ok(())
    }

    /// Datagrams were received. Those that are not taken wait for a later turn.
    fn datagrams_received(&self, port: &Arc<Port>, delivery: &mut Delivery<'_>);

    /// An error about a datagram that was sent: a report of the kernel, if reports are on, or a write that failed after
    /// it was accepted.
    fn error_received(&self, _port: &Arc<Port>, _report: &Report) {}

    /// The peer's host reports that nobody listens there. It is called after the reports.
    fn connection_refused(&self, _port: &Arc<Port>) {}

    /// The queue for a full socket is empty again after a write was refused with WOULD_BLOCK.
    fn write_ready(&self, _port: &Arc<Port>) {}

    /// The last call: the socket is closed, and its number can be bound again. `reason` is OK if the port was asked to
    /// stop.
    fn stop_protocol(&self, _port: &Arc<Port>, _reason: Status) {}

    /// The owner's pointer, for [`Port::user`].
    fn user(&self) -> *mut () {
        std::ptr::null_mut()
    }
}
