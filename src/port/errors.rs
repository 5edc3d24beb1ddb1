//! Errors of datagrams that were sent: the socket's error queue, its pending error, and writes that failed after they
//! were accepted. They are collected wherever they appear, and reported in a turn.

use super::{Open, Port};
use crate::addr::{Addr, family};
use crate::context::Reason;
use crate::status::{Result, Status};
use crate::sys::report::origin;
use crate::sys::{Failure, IpVersion, Report, SocketOption, Unsent};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;

/// The number of reports that are taken from the error queue at once. The poller reports the rest.
const DRAIN_MAX: usize = 64;
/// The bytes that a report counts in addition to its payload.
const REPORT_SIZE: usize = size_of::<Report>();

/// The state of a port's errors.
#[derive(Debug, Default)]
pub(super) struct ErrorState {
    /// Whether error reports are on.
    pub(super) wanted: Cell<bool>,
    /// The peer has refused a datagram: `connection_refused` has to be called.
    pub(super) refused: Cell<bool>,
}

/// The reports that wait to be delivered.
#[derive(Debug)]
pub(super) struct ErrorReports {
    waiting: RefCell<VecDeque<Report>>,
    charged: Cell<usize>,
    limit: usize,
    /// The destination of a datagram that our own kernel has just found too long, and the MTU of its path.
    too_long: Cell<Option<(Addr, u32)>>,
}

impl ErrorReports {
    /// With at most `limit` bytes.
    pub(super) fn new(limit: usize) -> ErrorReports {
        ErrorReports { waiting: RefCell::default(), charged: Cell::new(0), limit, too_long: Cell::new(None) }
    }

    /// Adds a report. It is lost if there is no room or no memory for it.
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
    /// Turns the kernel's reports on or off. Reports that exist already are delivered in any case.
    ///
    /// # Errors
    /// CLOSED.
    pub fn set_error_reports(&self, on: bool) -> Result {
        let open = self.listening()?;
        open.drain_error_queue();
        open.enable_error_queue(on)
    }

    /// Calls `error_received` for each report that waits now, then `connection_refused` if the peer has refused.
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
        if open.is_listening() && open.can_report() && open.errors.refused.take() {
            open.protocol.connection_refused(self);
        }
        if open.lazy.get().is_some_and(|lazy| !lazy.reports.waiting.borrow().is_empty()) {
            open.schedule(Reason::ErrorReports);
        }
    }
}

impl Open {
    fn can_report(&self) -> bool {
        self.is_sending() && !self.context.shared.owner.is_unusable()
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

    /// Empties the error queue, even if reports are off, since the poller reports it until it is empty. A report of our
    /// own kernel was the result of a send already; only its MTU is new. Returns true if there was any other report.
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
            self.schedule(Reason::ErrorReports);
        }
    }

    fn record_refusal(&self, by_peer: bool) {
        self.lazy().counters.update(|stats| stats.refused += 1);
        if by_peer && self.peer.get().is_some() {
            self.errors.refused.set(true);
            self.schedule(Reason::ErrorReports);
        }
    }

    /// Reports that a datagram which a write had accepted was not sent. Without `to` its destination was the peer.
    /// `mtu` is the result of [`Open::measure_mtu`].
    pub(super) fn report_failed_send(&self, datagram: Unsent<'_>, status: Status, mtu: u32) {
        let Unsent { data, to, tag, .. } = datagram;
        self.lazy().counters.update(|stats| stats.dropped_out += 1);
        let to = to.copied().or(self.peer.get()).unwrap_or(Addr::UNSPECIFIED);
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
            tag,
        });
        self.schedule(Reason::ErrorReports);
    }

    /// Finds the MTU of the path of a datagram that was too long, in bytes with all headers; 0 if it cannot be known.
    ///
    /// Only the kernel knows the path: routes, rules and marks, interface and source, the socket's network namespace.
    /// It reports the MTU on the error queue (ip_local_error in net/ipv4/ip_sockglue.c) if reports are on. So they are
    /// turned on for a moment, and the datagram is sent again. Also returns the result of that send.
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
        // Turning them on has succeeded, so turning them off fails only if the host has closed the socket.
        let _ = set(false).or_else(|_| set(false));
        // An error of an earlier datagram that arrived meanwhile would fail the next write.
        self.drain_error_queue();
        (sent, mtu)
    }

    fn reported_mtu(&self, to: &Addr) -> u32 {
        let report = self.lazy().reports.too_long.take();
        report.filter(|(other, _)| other.bytes == to.bytes).map_or(0, |(_, mtu)| mtu)
    }
}
