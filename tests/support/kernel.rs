//! The kernel, with answers of a test's own in between.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use udpr::addr::Addr;
use udpr::sys::{Epoll, Event, Inbound, Kernel, Linux, Outbound, Received, Reception, Report};

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

/// What one system call answers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// What the kernel says.
    Real,
    /// What the kernel says, to so many messages at most.
    AtMost(usize),
    /// This errno, and nothing is done.
    Errno(i32),
}

/// Counts every call, and answers the next ones of each kind as it was told to; then it is the kernel.
#[derive(Default)]
pub(crate) struct Scripted {
    answers: [RefCell<VecDeque<Answer>>; SYSCALLS],
    counts: [Cell<usize>; SYSCALLS],
    interests: RefCell<Vec<u32>>,
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

    /// The limit to the number of messages.
    fn answer(&self, syscall: Syscall) -> io::Result<usize> {
        let count = &self.counts[syscall as usize];
        count.set(count.get() + 1);
        match self.answers[syscall as usize].borrow_mut().pop_front() {
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
        Linux.read_error(fd)
    }

    fn set_option(&self, fd: RawFd, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
        self.answer(Syscall::SetOption)?;
        Linux.set_option(fd, level, name, value)
    }

    fn option(&self, fd: RawFd, level: i32, name: i32, value: &mut [u8]) -> io::Result<usize> {
        self.answer(Syscall::Option)?;
        Linux.option(fd, level, name, value)
    }

    fn receive(&self, fd: RawFd, inbound: &mut Inbound, reception: &Reception) -> io::Result<Received> {
        let limit = self.answer(Syscall::Receive)?;
        Linux.receive(fd, inbound, &Reception { messages: reception.messages.min(limit), ..*reception })
    }

    fn send(&self, fd: RawFd, outbound: &mut Outbound) -> io::Result<usize> {
        outbound.send(fd, self.answer(Syscall::Send)?)
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

    fn wait(&self, epoll: &Epoll, events: &mut [Event], timeout: Option<u64>) -> io::Result<usize> {
        self.answer(Syscall::Wait)?;
        Linux.wait(epoll, events, timeout)
    }
}
