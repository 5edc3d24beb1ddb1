//! What a port calls.

use super::{Delivery, Port};
use crate::status::{Result, Status};
use crate::sys::Report;
use std::sync::Arc;

/// The callbacks of one port, all on the reactor's thread. Dropped after the last of them has returned.
///
/// No borrow is held while one runs: any method of the port, of its reactor and of other ports may be called.
pub trait Protocol {
    /// The port is bound. An error ends it at once: nothing is left, and [`Protocol::stop_protocol`] is not called.
    fn start_protocol(&self, _port: &Arc<Port>) -> Result {
        Ok(())
    }

    /// Datagrams have come. Those that are not taken wait for a later turn.
    fn datagrams_received(&self, port: &Arc<Port>, delivery: &mut Delivery<'_>);

    /// An error about something that was sent: the kernel's where it was asked for, and writes that failed after they
    /// were accepted.
    fn error_received(&self, _port: &Arc<Port>, _report: &Report) {}

    /// The connected peer's host says that nobody listens there; after the reports.
    fn connection_refused(&self, _port: &Arc<Port>) {}

    /// A full socket has drained after a write was refused with WOULD_BLOCK.
    fn write_ready(&self, _port: &Arc<Port>) {}

    /// The last call: the socket is closed, its number can be bound again. OK where somebody asked for it.
    fn stop_protocol(&self, _port: &Arc<Port>, _reason: Status) {}

    /// The address that the port's owner gave, for [`Port::user`].
    fn user(&self) -> *mut () {
        std::ptr::null_mut()
    }
}
