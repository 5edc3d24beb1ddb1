//! What became of datagrams that were sent: the socket's error queue, its pending error, and writes that failed after
//! they were accepted. It is collected wherever it is met, and told in a turn.

use super::{Open, Port};
use crate::addr::{Addr, family};
use crate::context::Reason;
use crate::status::{Result, Status};
use crate::sys::error_queue::origin;
use crate::sys::{Failure, IpVersion, Report, SocketOption};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;

/// Entries of the error queue that are taken at once. Epoll tells of the rest.
const DRAIN_MAX: usize = 64;
/// What a report counts beside its payload, in bytes.
const REPORT_SIZE: usize = size_of::<Report>();

/// How a port stands with errors.
#[derive(Debug, Default)]
pub(super) struct Errors {
    /// The kernel's reports are wanted.
    pub(super) wanted: Cell<bool>,
    /// The peer has refused; `connection_refused` is owed.
    pub(super) refused: Cell<bool>,
}

/// What a port has to tell.
#[derive(Debug)]
pub(super) struct Reports {
    waiting: RefCell<VecDeque<Report>>,
    charged: Cell<usize>,
    limit: usize,
    /// The destination of a datagram that our own kernel has just found too long, and the MTU of its path.
    too_long: Cell<Option<(Addr, u32)>>,
}

impl Reports {
    /// In `limit` bytes at most.
    pub(super) fn new(limit: usize) -> Reports {
        Reports { waiting: RefCell::default(), charged: Cell::new(0), limit, too_long: Cell::new(None) }
    }

    /// Lost, where there is no room or no memory for it.
    fn push(&self, report: Report) {
        let charged = self.charged.get() + REPORT_SIZE + report.data.len();
        let mut waiting = self.waiting.borrow_mut();
        if charged <= self.limit && waiting.try_reserve(1).is_ok() {
            self.charged.set(charged);
            waiting.push_back(report);
        }
    }

    fn pop(&self) -> Option<Report> {
        let report = self.waiting.borrow_mut().pop_front()?;
        self.charged.set(self.charged.get() - REPORT_SIZE - report.data.len());
        Some(report)
    }
}

impl Port {
    /// Turns the kernel's reports on or off; those that are there are told all the same. CLOSED.
    pub fn set_error_reports(&self, on: bool) -> Result {
        let open = self.listening()?;
        open.drain_error_queue();
        open.enable_error_queue(on)
    }

    /// Calls `error_received` for each report that waits now, then `connection_refused` where it is owed.
    pub fn report_errors(self: &Arc<Port>) {
        let Ok(open) = self.open() else { return };
        let waiting = open.lazy.get().map_or(0, |lazy| lazy.reports.waiting.borrow().len());
        for _ in 0..waiting {
            if !open.can_report() {
                return;
            }
            let Some(report) = open.lazy().reports.pop() else { break };
            open.protocol.error_received(self, &report);
        }
        if open.can_report() && open.errors.refused.take() {
            open.protocol.connection_refused(self);
        }
        if open.lazy.get().is_some_and(|lazy| !lazy.reports.waiting.borrow().is_empty()) {
            open.schedule(Reason::Errors);
        }
    }
}

impl Open {
    fn can_report(&self) -> bool {
        self.is_listening() && !self.context.shared.owner.is_unusable()
    }

    /// Both options on an IPv6 socket: that of IPv6 alone loses the reports about IPv4 on a dual-stack port.
    pub(super) fn enable_error_queue(&self, on: bool) -> Result {
        let both = [IpVersion::V6, IpVersion::V4].into_iter().skip((self.family != family::INET6).into());
        self.set_options(both.map(|version| (SocketOption::ErrorReports(version), on.into())))?;
        self.errors.wanted.set(on);
        Ok(())
    }

    /// Takes the reports from the queue first, then the socket's pending error, which would be reported as ready permanently.
    pub(super) fn drain_error_queue(&self) {
        self.drain_errors();
        if let Ok(Some(error)) = self.context.kernel.take_error(self.fd.get()) {
            self.registration.record_progress();
            if Failure::of(&error) == Failure::Refused {
                self.record_refusal(true);
            }
        }
    }

    /// Handles the failure of a call, which is often an earlier datagram's error that the socket no longer has once a call has
    /// returned it. True if the queue had a report about an earlier datagram.
    pub(super) fn take_pending_error(&self, failure: Failure) -> bool {
        if matches!(failure, Failure::WouldBlock | Failure::Interrupted) {
            return false;
        }
        let was_reported = self.drain_errors();
        if !was_reported && failure == Failure::Refused {
            self.record_refusal(true);
        }
        was_reported
    }

    /// Empties the error queue, whoever asked for it, since epoll reports it until it is empty. What our own kernel says
    /// there was the result of a send already; only the MTU is new. True where there was something else.
    fn drain_errors(&self) -> bool {
        let mut was_reported = false;
        self.lazy.get().inspect(|lazy| lazy.reports.too_long.set(None));
        for _ in 0..DRAIN_MAX {
            match self.context.kernel.read_error(self.fd.get()) {
                Ok(report) => {
                    self.registration.record_progress();
                    match report {
                        Some(report) if report.origin == origin::LOCAL => {
                            self.lazy().reports.too_long.set(Some((report.to, report.mtu)));
                        }
                        Some(report) => {
                            was_reported = true;
                            self.record_report(report);
                        }
                        None => {}
                    }
                }
                Err(error) if Failure::of(&error) == Failure::Interrupted => {}
                Err(_) => break,
            }
        }
        was_reported
    }

    fn record_report(&self, report: Report) {
        if report.status == Status::CONNECTION_REFUSED {
            self.record_refusal(self.peer.get() == Some(report.to));
        }
        if self.errors.wanted.get() {
            self.lazy().reports.push(report);
            self.schedule(Reason::Errors);
        }
    }

    fn record_refusal(&self, by_peer: bool) {
        self.lazy().counters.update(|stats| stats.refused += 1);
        if by_peer && self.peer.get().is_some() {
            self.errors.refused.set(true);
            self.schedule(Reason::Errors);
        }
    }

    /// A datagram that a write had accepted was not sent after all; without `to` it was the peer's. `mtu` is what
    /// [`Open::measure_mtu`] has found out.
    pub(super) fn report_failed_send(&self, data: &[u8], to: Option<Addr>, status: Status, mtu: u32) {
        self.lazy().counters.update(|stats| stats.dropped_out += 1);
        let to = to.or(self.peer.get()).unwrap_or(Addr::UNSPECIFIED);
        let mtu = if status == Status::MESSAGE_TOO_LONG { mtu } else { 0 };
        let (origin, reporter) = (origin::LOCAL, Addr::UNSPECIFIED);
        let data = Report::copy(data);
        self.lazy().reports.push(Report {
            status,
            origin,
            to,
            reporter,
            icmp_type: 0,
            icmp_code: 0,
            mtu,
            data,
        });
        self.schedule(Reason::Errors);
    }

    /// What fits on the way of a datagram that was too long, in bytes with all headers; 0 where that cannot be known.
    ///
    /// The kernel alone knows the way: routes, rules and marks, interface and source, the socket's network namespace. It says
    /// what fits on the error queue (ip_local_error in net/ipv4/ip_sockglue.c), if reports are on. So they are switched on
    /// for a moment, and the datagram is sent again. What came of that is the first answer.
    pub(super) fn measure_mtu(&self, to: Option<Addr>, send: impl FnOnce() -> Result) -> (Result, u32) {
        let Some(to) = to.or(self.peer.get()) else { return (Err(Status::MESSAGE_TOO_LONG), 0) };
        let over_v6 = to.family == family::INET6 && !to.is_v4_mapped();
        let option = SocketOption::ErrorReports(if over_v6 { IpVersion::V6 } else { IpVersion::V4 });
        let (kernel, fd) = (&*self.context.kernel, self.fd.get());
        let set = |on: bool| kernel.set_option(fd, option, on.into());
        let are_off = || kernel.option(fd, option).is_ok_and(|on| on == 0);
        let mtu = self.reported_mtu(&to);
        if mtu != 0 || !are_off() || set(true).is_err() {
            return (Err(Status::MESSAGE_TOO_LONG), mtu);
        }
        let sent = send();
        let mtu = self.reported_mtu(&to);
        // It was possible to switch them on, so this does not fail for good unless the host has closed the socket.
        let _ = set(false).or_else(|_| set(false));
        // An error of somebody else that came meanwhile would fail the next write.
        self.drain_error_queue();
        (sent, mtu)
    }

    fn reported_mtu(&self, to: &Addr) -> u32 {
        let report = self.lazy().reports.too_long.take();
        report.filter(|(other, _)| other.bytes == to.bytes).map_or(0, |(_, mtu)| mtu)
    }
}
