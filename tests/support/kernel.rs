//! The kernel, with answers of a test's own in between.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use udpr::addr::Addr;
use udpr::sys::{
    Epoll, GsoLimits, Kernel, Linux, Readiness, Received, RecvBatch, RecvOptions, Report, SendBatch,
};

/// The system calls of the seam.
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

/// One call of the seam, with the option that it is about, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) syscall: Syscall,
    pub(crate) option: (i32, i32),
}

/// What one system call answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// What the kernel says.
    Real,
    /// What the kernel says, to so many messages at most.
    AtMost(usize),
    /// This errno, and nothing is done.
    Errno(i32),
}

/// The errno that a kernel has for a merged message; none where it takes it.
pub(crate) type Rule = fn(GsoLimits) -> Option<i32>;

/// Counts every call, and answers the next ones of each kind as it was told to; then it is the kernel.
#[derive(Default)]
pub(crate) struct Scripted {
    answers: [RefCell<VecDeque<Answer>>; SYSCALLS],
    counts: [Cell<usize>; SYSCALLS],
    interests: RefCell<Vec<u32>>,
    sends: RefCell<Vec<usize>>,
    receives: RefCell<Vec<usize>>,
    stretch: Cell<Option<usize>>,
    /// For the next receive.
    behind: Cell<Option<i32>>,
    rule: Cell<Option<Rule>>,
    unknown: Cell<Option<(i32, i32)>>,
    drops: Cell<Option<u32>>,
    steps: RefCell<Option<Vec<Step>>>,
    fault: Cell<Option<Fault>>,
    reports: RefCell<VecDeque<Option<Report>>>,
    events: RefCell<Option<Box<Twist>>>,
}

/// Changes what epoll has reported: the first so many are events. The answer is how many are.
type Twist = dyn FnMut(&mut [Readiness], usize) -> usize;

/// What is to go wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// The call with this number, counted from 0, answers this.
    Once(usize, Answer),
    /// Every call of this kind fails.
    Always(Syscall, i32),
}

impl Scripted {
    /// The answers to the next calls of this kind, behind those that still wait.
    pub(crate) fn script(&self, syscall: Syscall, answers: impl IntoIterator<Item = Answer>) {
        self.answers[syscall as usize].borrow_mut().extend(answers);
    }

    /// The next calls of this kind fail, one with each errno.
    pub(crate) fn fail(&self, syscall: Syscall, errnos: impl IntoIterator<Item = i32>) {
        self.script(syscall, errnos.into_iter().map(Answer::Errno));
    }

    /// The kernel answers itself from here on.
    pub(crate) fn clear(&self) {
        self.answers.iter().for_each(|answers| answers.borrow_mut().clear());
    }

    /// From here on calls are counted anew, and this goes wrong.
    pub(crate) fn begin(&self, fault: Option<Fault>) {
        self.steps.replace(Some(Vec::new()));
        self.fault.set(fault);
    }

    /// Nothing goes wrong any more; the answer is the calls since [`Scripted::begin`].
    pub(crate) fn end(&self) -> Vec<Step> {
        self.fault.set(None);
        self.steps.take().unwrap_or_default()
    }

    /// What the error queue tells before the kernel's own entries.
    pub(crate) fn tell(&self, reports: impl IntoIterator<Item = Option<Report>>) {
        self.reports.borrow_mut().extend(reports);
    }

    /// Every wait from here on reports what `twist` makes of it.
    pub(crate) fn twist(&self, twist: impl FnMut(&mut [Readiness], usize) -> usize + 'static) {
        self.events.replace(Some(Box::new(twist)));
    }

    /// Each byte that is received counts as so many: no socket holds as much as a turn may bring.
    pub(crate) fn stretch(&self, times: usize) {
        self.stretch.set(Some(times));
    }

    /// How many messages each receive since the last time has asked for.
    pub(crate) fn receives(&self) -> Vec<usize> {
        self.receives.take()
    }

    /// The next receive that brings something meets this error behind it.
    pub(crate) fn fail_behind(&self, errno: i32) {
        self.behind.set(Some(errno));
    }

    /// How many calls of this kind there were.
    pub(crate) fn count(&self, syscall: Syscall) -> usize {
        self.counts[syscall as usize].get()
    }

    /// How many calls of every kind there were.
    pub(crate) fn count_all(&self) -> usize {
        self.counts.iter().map(Cell::get).sum()
    }

    /// How many answers of this kind wait.
    pub(crate) fn waiting(&self, syscall: Syscall) -> usize {
        self.answers[syscall as usize].borrow().len()
    }

    /// What epoll was asked for, from the first EPOLL_CTL_ADD to the last EPOLL_CTL_MOD.
    pub(crate) fn interests(&self) -> Vec<u32> {
        self.interests.borrow().clone()
    }

    /// How many messages each send took so far; 0 where it failed.
    pub(crate) fn sends(&self) -> Vec<usize> {
        self.sends.borrow().clone()
    }

    /// Sends fail from here on as this says, and take one message each.
    pub(crate) fn set_rule(&self, rule: Rule) {
        self.rule.set(Some(rule));
    }

    /// A kernel that is too old for a socket option.
    pub(crate) fn forget_option(&self, level: i32, name: i32) {
        self.unknown.set(Some((level, name)));
    }

    /// So many datagrams have found a receive buffer full, says SO_MEMINFO from here on.
    pub(crate) fn set_drops(&self, drops: u32) {
        self.drops.set(Some(drops));
    }

    fn check_known(&self, level: i32, name: i32) -> io::Result<()> {
        let unknown = self.unknown.get() == Some((level, name));
        if unknown { Err(io::Error::from_raw_os_error(libc::ENOPROTOOPT)) } else { Ok(()) }
    }

    fn answer_send(&self, send_batch: &SendBatch) -> io::Result<usize> {
        let limit = self.answer(Syscall::Send)?;
        let Some(rule) = self.rule.get() else { return Ok(limit) };
        let errno = send_batch.merged().and_then(rule);
        errno.map_or(Ok(1), |errno| Err(io::Error::from_raw_os_error(errno)))
    }

    /// The limit to the number of messages.
    fn answer(&self, syscall: Syscall) -> io::Result<usize> {
        self.answer_step(Step { syscall, option: (0, 0) })
    }

    fn answer_step(&self, step: Step) -> io::Result<usize> {
        let syscall = step.syscall;
        let count = &self.counts[syscall as usize];
        count.set(count.get() + 1);
        let number = self.steps.borrow_mut().as_mut().map(|steps| {
            steps.push(step);
            steps.len() - 1
        });
        let fault = match self.fault.get() {
            Some(Fault::Once(at, answer)) if Some(at) == number => Some(answer),
            Some(Fault::Always(kind, errno)) if kind == syscall => Some(Answer::Errno(errno)),
            _ => None,
        };
        match fault.or_else(|| self.answers[syscall as usize].borrow_mut().pop_front()) {
            None | Some(Answer::Real) => Ok(usize::MAX),
            Some(Answer::AtMost(limit)) => Ok(limit),
            Some(Answer::Errno(errno)) => Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

impl Kernel for Scripted {
    fn socket(&self, family: u16) -> io::Result<OwnedFd> {
        self.answer(Syscall::Socket)?;
        Linux.socket(family)
    }

    fn bind(&self, fd: RawFd, addr: &Addr) -> io::Result<()> {
        self.answer(Syscall::Bind)?;
        Linux.bind(fd, addr)
    }

    fn local_addr(&self, fd: RawFd) -> io::Result<Addr> {
        self.answer(Syscall::LocalAddr)?;
        Linux.local_addr(fd)
    }

    fn peer_addr(&self, fd: RawFd) -> io::Result<Addr> {
        self.answer(Syscall::PeerAddr)?;
        Linux.peer_addr(fd)
    }

    fn connect(&self, fd: RawFd, addr: &Addr) -> io::Result<()> {
        self.answer(Syscall::Connect)?;
        Linux.connect(fd, addr)
    }

    fn duplicate(&self, fd: RawFd) -> io::Result<OwnedFd> {
        self.answer(Syscall::Duplicate)?;
        Linux.duplicate(fd)
    }

    fn read_error(&self, fd: RawFd) -> io::Result<Option<Report>> {
        self.answer(Syscall::ReadError)?;
        let returned = self.reports.borrow_mut().pop_front();
        returned.map_or_else(|| Linux.read_error(fd), Ok)
    }

    fn set_raw_option(&self, fd: RawFd, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
        self.answer_step(Step { syscall: Syscall::SetOption, option: (level, name) })?;
        self.check_known(level, name)?;
        Linux.set_raw_option(fd, level, name, value)
    }

    fn raw_option(&self, fd: RawFd, level: i32, name: i32, value: &mut [u8]) -> io::Result<usize> {
        self.answer_step(Step { syscall: Syscall::Option, option: (level, name) })?;
        self.check_known(level, name)?;
        let got = Linux.raw_option(fd, level, name, value);
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
        let limit = self.answer(Syscall::Receive)?;
        let limited = RecvOptions { messages: recv_options.messages.min(limit), ..*recv_options };
        let received = Linux.receive(fd, recv_batch, &limited)?;
        let error = self.behind.take().or(received.error);
        Ok(Received { bytes: received.bytes * self.stretch.get().unwrap_or(1), error, ..received })
    }

    fn send(&self, fd: RawFd, send_batch: &mut SendBatch) -> io::Result<usize> {
        let sent = self.answer_send(send_batch).and_then(|limit| send_batch.send(fd, limit));
        self.sends.borrow_mut().push(*sent.as_ref().unwrap_or(&0));
        sent
    }

    fn watch(&self, epoll: RawFd, fd: RawFd, events: u32, token: u64) -> io::Result<()> {
        self.interests.borrow_mut().push(events);
        self.answer(Syscall::Watch)?;
        Linux.watch(epoll, fd, events, token)
    }

    fn rewatch(&self, epoll: RawFd, fd: RawFd, events: u32, token: u64) -> io::Result<()> {
        self.interests.borrow_mut().push(events);
        self.answer(Syscall::Rewatch)?;
        Linux.rewatch(epoll, fd, events, token)
    }

    fn unwatch(&self, epoll: RawFd, fd: RawFd) -> io::Result<()> {
        self.answer(Syscall::Unwatch)?;
        Linux.unwatch(epoll, fd)
    }

    fn wait(&self, epoll: &Epoll, events: &mut [Readiness], timeout: Option<u64>) -> io::Result<usize> {
        let limit = self.answer(Syscall::Wait)?.min(events.len());
        let ready = Linux.wait(epoll, &mut events[..limit], timeout)?;
        Ok(self.events.borrow_mut().as_mut().map_or(ready, |twist| twist(events, ready)))
    }
}
