//! Foreign descriptors in this loop: Twisted's IReactorFDSet.

use super::{Call, Reactor, Source};
use crate::status::{Result, Status};
use crate::sys::epoll;
use crate::watch;
use std::cell::Cell;
use std::os::fd::RawFd;
use std::rc::Rc;

/// The callback of a watch.
pub trait Watcher<C: Call> {
    /// Bits of [`watch::flag`].
    fn ready(&self, reactor: &Reactor<C>, id: u64, fd: RawFd, events: u32);
}

pub(super) struct Watch<C: Call> {
    pub(super) fd: RawFd,
    pub(super) interest: Cell<u32>,
    watcher: Box<dyn Watcher<C>>,
}

impl<C: Call> Reactor<C> {
    /// Watches `fd` for [`watch::flag`]s.
    ///
    /// # Errors
    /// EEXIST as a system status if it is watched already; EBADF; NOT_SUPPORTED for a regular file, which epoll cannot
    /// wait for; NO_MEMORY.
    pub fn watch(&self, fd: RawFd, events: u32, watcher: Box<dyn Watcher<C>>) -> Result<u64> {
        self.context.check_open()?;
        let interest = watch::interest(events)?;
        self.sources.borrow_mut().reserve(1)?;
        self.watched.borrow_mut().try_reserve(1)?;
        let entry = Rc::new(Watch { fd, interest: Cell::new(interest), watcher });
        let id = self.sources.borrow_mut().insert(Source::Watch(entry));
        if let Err(error) = self.context.kernel.watch(self.context.epoll.fd(), fd, interest, id) {
            self.remove_source(id);
            let no_events = error.raw_os_error() == Some(libc::EPERM);
            return Err(if no_events { Status::NOT_SUPPORTED } else { error.into() });
        }
        // The kernel accepted it, so an earlier watch of this number watches a descriptor that was closed. It is
        // replaced before its `free_user` is called, which may watch the number again.
        let dead = self.watched.borrow_mut().insert(fd, id);
        if let Some(dead) = dead {
            self.remove_source(dead);
        }
        Ok(id)
    }

    /// Removes the watch of a number that a port has now. Its descriptor was closed, and no event reaches it. The
    /// caller drops the watch when callbacks may run.
    pub(super) fn take_dead_watch(&self, fd: RawFd) -> Option<Source<C>> {
        let dead = self.watched.borrow_mut().remove(&fd)?;
        self.sources.borrow_mut().remove(dead)
    }

    /// Changes the events of a watch.
    ///
    /// # Errors
    /// NOT_FOUND.
    pub fn change_watch(&self, id: u64, events: u32) -> Result {
        let interest = watch::interest(events)?;
        let entry = self.find_watch(id).ok_or(Status::NOT_FOUND)?;
        self.context.kernel.rewatch(self.context.epoll.fd(), entry.fd, interest, id)?;
        entry.interest.set(interest);
        Ok(())
    }

    /// Ends a watch, also for the events that this turn has found.
    ///
    /// # Errors
    /// NOT_FOUND.
    pub fn unwatch(&self, id: u64) -> Result {
        let entry = self.find_watch(id).ok_or(Status::NOT_FOUND)?;
        self.watched.borrow_mut().remove(&entry.fd);
        self.context.unwatch(entry.fd);
        self.remove_source(id);
        Ok(())
    }

    pub(super) fn watch_ready(&self, id: u64, ready: u32) {
        let Some(entry) = self.find_watch(id) else { return };
        // The events that this turn has found may not be wanted any more.
        let events = watch::events(ready & (entry.interest.get() | epoll::ERROR | epoll::HANGUP));
        if events != 0 {
            entry.watcher.ready(self, id, entry.fd, events);
        }
    }

    fn find_watch(&self, id: u64) -> Option<Rc<Watch<C>>> {
        match self.sources.borrow().get(id)? {
            Source::Watch(entry) => Some(entry.clone()),
            Source::Port(_) => None,
        }
    }

    /// The watch is dropped when no borrow is held any more: a destructor may call anything.
    fn remove_source(&self, id: u64) {
        let removed = self.sources.borrow_mut().remove(id);
        drop(removed);
    }

    /// Drops every watch, when the reactor ends. New ones are refused by then.
    pub(super) fn drop_watches(&self) {
        let sources = self.sources.borrow();
        let ids: Vec<u64> = sources
            .iter()
            .filter(|(_, source)| matches!(source, Source::Watch(_)))
            .map(|(id, _)| id)
            .collect();
        drop(sources);
        let mut ids = ids.into_iter();
        // NOT_FOUND: another destructor has removed it.
        self.drop_each(|| ids.next().map(|id| self.unwatch(id)));
    }
}
