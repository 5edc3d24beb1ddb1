//! A kernel whose calls can be made to fail, and which counts and records them.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use udpr::addr::Addr;
use udpr::sys::{
    Failure, GsoLimits, Interest, Kernel, Poller, Readiness, Received, RecvBatch, RecvOptions, Report,
    SendBatch, SystemKernel,
};

/// The calls of [`Kernel`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syscall {
    Socket,
    Bind,
    LocalAddr,
    PeerAddr,
    Connect,
    Duplicate,
    ReadError,
    SetOption,
    Option,
    Receive,
    Send,
    Watch,
    Rewatch,
    Unwatch,
    Wait,
}

const SYSCALLS: usize = Syscall::Wait as usize + 1;

/// One call, with its socket option, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KernelCall {
    pub(crate) syscall: Syscall,
    pub(crate) option: (i32, i32),
}

/// The result of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallResult {
    /// That of the real kernel.
    Real,
    /// That of the real kernel for at most so many messages.
    AtMost(usize),
    /// Fails with this errno and does nothing.
    Errno(i32),
}

/// Returns the errno with which the kernel rejects a merged message, or `None` if it accepts it.
pub(crate) type SendRule = fn(GsoLimits) -> Option<i32>;

/// Counts every call. Each call returns the next result of its script, and without one calls the real kernel.
#[derive(Default)]
pub(crate) struct ScriptedKernel {
    scripts: [RefCell<VecDeque<CallResult>>; SYSCALLS],
    counts: [Cell<usize>; SYSCALLS],
    interests: RefCell<Vec<Interest>>,
    sends: RefCell<Vec<usize>>,
    receives: RefCell<Vec<usize>>,
    received_factor: Cell<Option<usize>>,
    /// The error of the next receive that returns datagrams.
    error_after_receive: Cell<Option<i32>>,
    send_rule: Cell<Option<SendRule>>,
    removed_option: Cell<Option<(i32, i32)>>,
    drops: Cell<Option<u32>>,
    trace: RefCell<Option<Vec<KernelCall>>>,
    fault: Cell<Option<Fault>>,
    reports: RefCell<VecDeque<Option<Report>>>,
    event_filter: RefCell<Option<Box<EventFilter>>>,
}

/// Changes the events that epoll has reported. Its arguments are a buffer and the number of events in it; it returns their new
/// number.
type EventFilter = dyn FnMut(&mut [Readiness], usize) -> usize;

/// The calls that fail.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// The call with this number, counted from 0, has this result.
    Once(usize, CallResult),
    /// Every call of this kind fails.
    Always(Syscall, i32),
}

impl ScriptedKernel {
    /// Appends results to the script of this kind of call.
    pub(crate) fn script(&self, syscall: Syscall, results: impl IntoIterator<Item = CallResult>) {
        self.scripts[syscall as usize].borrow_mut().extend(results);
    }

    /// Appends failures to the script of this kind of call, one with each errno.
    pub(crate) fn fail(&self, syscall: Syscall, errnos: impl IntoIterator<Item = i32>) {
        self.script(syscall, errnos.into_iter().map(CallResult::Errno));
    }

    /// Removes all results of all scripts.
    pub(crate) fn clear_script(&self) {
        self.scripts.iter().for_each(|script| script.borrow_mut().clear());
    }

    /// Begins to record the calls, with this fault.
    pub(crate) fn start_trace(&self, fault: Option<Fault>) {
        self.trace.replace(Some(Vec::new()));
        self.fault.set(fault);
    }

    /// Removes the fault, and returns the calls since [`ScriptedKernel::start_trace`].
    pub(crate) fn end_trace(&self) -> Vec<KernelCall> {
        self.fault.set(None);
        self.trace.take().unwrap_or_default()
    }

    /// Adds reports that the error queue returns before its own.
    pub(crate) fn queue_reports(&self, reports: impl IntoIterator<Item = Option<Report>>) {
        self.reports.borrow_mut().extend(reports);
    }

    /// Sets a filter for the events of every wait.
    pub(crate) fn filter_events(&self, filter: impl FnMut(&mut [Readiness], usize) -> usize + 'static) {
        self.event_filter.replace(Some(Box::new(filter)));
    }

    /// Makes each received byte count as `factor` bytes, since no socket holds as much as a turn may receive.
    pub(crate) fn multiply_received(&self, factor: usize) {
        self.received_factor.set(Some(factor));
    }

    /// Returns how many messages each receive since the last call has requested.
    pub(crate) fn receives(&self) -> Vec<usize> {
        self.receives.take()
    }

    /// Makes the next receive that returns datagrams also return this error.
    pub(crate) fn fail_after_receive(&self, errno: i32) {
        self.error_after_receive.set(Some(errno));
    }

    /// How many calls of this kind there were.
    pub(crate) fn count(&self, syscall: Syscall) -> usize {
        self.counts[syscall as usize].get()
    }

    /// How many calls of every kind there were.
    pub(crate) fn count_all(&self) -> usize {
        self.counts.iter().map(Cell::get).sum()
    }

    /// How many results are left in the script of this kind of call.
    pub(crate) fn remaining(&self, syscall: Syscall) -> usize {
        self.scripts[syscall as usize].borrow().len()
    }

    /// The event masks of all EPOLL_CTL_ADD and EPOLL_CTL_MOD so far.
    pub(crate) fn interests(&self) -> Vec<Interest> {
        self.interests.borrow().clone()
    }

    /// How many messages each send has accepted; 0 if it failed.
    pub(crate) fn sends(&self) -> Vec<usize> {
        self.sends.borrow().clone()
    }

    /// Makes sends fail by this rule and accept one message each.
    pub(crate) fn set_send_rule(&self, rule: SendRule) {
        self.send_rule.set(Some(rule));
    }

    /// Makes a socket option unknown, as in an older kernel.
    pub(crate) fn remove_option(&self, level: i32, name: i32) {
        self.removed_option.set(Some((level, name)));
    }

    /// Sets the number of drops that SO_MEMINFO reports.
    pub(crate) fn set_drops(&self, drops: u32) {
        self.drops.set(Some(drops));
    }

    fn check_known(&self, level: i32, name: i32) -> io::Result<()> {
        let removed = self.removed_option.get() == Some((level, name));
        if removed { Err(io::Error::from_raw_os_error(libc::ENOPROTOOPT)) } else { Ok(()) }
    }

    fn next_send_result(&self, send_batch: &SendBatch) -> io::Result<usize> {
        let limit = self.next_result(Syscall::Send)?;
        let Some(rule) = self.send_rule.get() else { return Ok(limit) };
        let errno = send_batch.merged().and_then(rule);
        errno.map_or(Ok(1), |errno| Err(io::Error::from_raw_os_error(errno)))
    }

    /// Returns the error of the next call of this kind, or the limit to its number of messages.
    fn next_result(&self, syscall: Syscall) -> io::Result<usize> {
        self.next_option_result(KernelCall { syscall, option: (0, 0) })
    }

    fn next_option_result(&self, call: KernelCall) -> io::Result<usize> {
        let syscall = call.syscall;
        let count = &self.counts[syscall as usize];
        count.set(count.get() + 1);
        let number = self.trace.borrow_mut().as_mut().map(|trace| {
            trace.push(call);
            trace.len() - 1
        });
        let fault = match self.fault.get() {
            Some(Fault::Once(at, result)) if Some(at) == number => Some(result),
            Some(Fault::Always(kind, errno)) if kind == syscall => Some(CallResult::Errno(errno)),
            _ => None,
        };
        match fault.or_else(|| self.scripts[syscall as usize].borrow_mut().pop_front()) {
            None | Some(CallResult::Real) => Ok(usize::MAX),
            Some(CallResult::AtMost(limit)) => Ok(limit),
            Some(CallResult::Errno(errno)) => Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

impl Kernel for ScriptedKernel {
    fn socket(&self, family: u16) -> io::Result<OwnedFd> {
        self.next_result(Syscall::Socket)?;
        SystemKernel.socket(family)
    }

    fn bind(&self, fd: RawFd, addr: &Addr) -> io::Result<()> {
        self.next_result(Syscall::Bind)?;
        SystemKernel.bind(fd, addr)
    }

    fn local_addr(&self, fd: RawFd) -> io::Result<Addr> {
        self.next_result(Syscall::LocalAddr)?;
        SystemKernel.local_addr(fd)
    }

    fn peer_addr(&self, fd: RawFd) -> io::Result<Addr> {
        self.next_result(Syscall::PeerAddr)?;
        SystemKernel.peer_addr(fd)
    }

    fn connect(&self, fd: RawFd, addr: &Addr) -> io::Result<()> {
        self.next_result(Syscall::Connect)?;
        SystemKernel.connect(fd, addr)
    }

    fn disconnect(&self, fd: RawFd) -> io::Result<()> {
        self.next_result(Syscall::Connect)?;
        SystemKernel.disconnect(fd)
    }

    fn duplicate(&self, fd: RawFd) -> io::Result<OwnedFd> {
        self.next_result(Syscall::Duplicate)?;
        SystemKernel.duplicate(fd)
    }

    fn read_error(&self, fd: RawFd) -> io::Result<Option<Report>> {
        self.next_result(Syscall::ReadError)?;
        let returned = self.reports.borrow_mut().pop_front();
        returned.map_or_else(|| SystemKernel.read_error(fd), Ok)
    }

    fn set_raw_option(&self, fd: RawFd, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
        self.next_option_result(KernelCall { syscall: Syscall::SetOption, option: (level, name) })?;
        self.check_known(level, name)?;
        SystemKernel.set_raw_option(fd, level, name, value)
    }

    fn raw_option(&self, fd: RawFd, level: i32, name: i32, value: &mut [u8]) -> io::Result<usize> {
        self.next_option_result(KernelCall { syscall: Syscall::Option, option: (level, name) })?;
        self.check_known(level, name)?;
        let got = SystemKernel.raw_option(fd, level, name, value);
        let drops = self.drops.get().filter(|_| (level, name) == (libc::SOL_SOCKET, libc::SO_MEMINFO));
        if let (Some(drops), Some(word)) = (drops, value.last_chunk_mut()) {
            *word = drops.to_ne_bytes();
        }
        got
    }

    fn receive(
        &self,
        fd: RawFd,
        recv_batch: &mut RecvBatch,
        recv_options: &RecvOptions,
    ) -> io::Result<Received> {
        self.receives.borrow_mut().push(recv_options.messages);
        let limit = self.next_result(Syscall::Receive)?;
        let limited = RecvOptions { messages: recv_options.messages.min(limit), ..*recv_options };
        let received = SystemKernel.receive(fd, recv_batch, &limited)?;
        let error = self.error_after_receive.take().map(io::Error::from_raw_os_error);
        let failure = error.as_ref().map(Failure::of).or(received.failure);
        Ok(Received { bytes: received.bytes * self.received_factor.get().unwrap_or(1), failure, ..received })
    }

    fn send(&self, fd: RawFd, send_batch: &mut SendBatch) -> io::Result<usize> {
        let sent = self.next_send_result(send_batch).and_then(|limit| send_batch.send(fd, limit));
        self.sends.borrow_mut().push(*sent.as_ref().unwrap_or(&0));
        sent
    }

    fn watch(&self, poller: &Poller, fd: RawFd, interest: Interest, token: u64) -> io::Result<()> {
        self.interests.borrow_mut().push(interest);
        self.next_result(Syscall::Watch)?;
        SystemKernel.watch(poller, fd, interest, token)
    }

    fn rewatch(&self, poller: &Poller, fd: RawFd, interest: Interest, token: u64) -> io::Result<()> {
        self.interests.borrow_mut().push(interest);
        self.next_result(Syscall::Rewatch)?;
        SystemKernel.rewatch(poller, fd, interest, token)
    }

    fn unwatch(&self, poller: &Poller, fd: RawFd) -> io::Result<()> {
        self.next_result(Syscall::Unwatch)?;
        SystemKernel.unwatch(poller, fd)
    }

    fn wait(&self, poller: &Poller, ready: &mut [Readiness], timeout: Option<u64>) -> io::Result<usize> {
        let limit = self.next_result(Syscall::Wait)?.min(ready.len());
        let count = SystemKernel.wait(poller, &mut ready[..limit], timeout)?;
        Ok(self.event_filter.borrow_mut().as_mut().map_or(count, |filter| filter(ready, count)))
    }
}
