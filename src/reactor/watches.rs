//! Foreign descriptors in this loop: Twisted's IReactorFDSet.

use super::{Call, Reactor, Source};
use crate::refusal;
use crate::status::{Result, Status};
use crate::sys::{Failure, Handle, Interest, Readiness};
use std::cell::Cell;
use std::rc::Rc;

/// The callback of a watch.
pub trait Watcher<C: Call> {
    /// Called when the handle is ready. The token is the watch's id.
    fn ready(&self, reactor: &Reactor<C>, handle: Handle, ready: Readiness);
}

pub(super) struct Watch<C: Call> {
    pub(super) handle: Handle,
    pub(super) interest: Cell<Interest>,
    watcher: Box<dyn Watcher<C>>,
}

impl<C: Call> Reactor<C> {
    /// Watches a handle and returns the id of the watch.
    ///
    /// # Errors
    /// NOT_SUPPORTED for a handle that cannot be waited for, such as a regular file, or, on Windows, no socket; a system status if it is closed, or is
    /// watched already; NO_MEMORY.
    pub fn watch(&self, handle: Handle, interest: Interest, watcher: Box<dyn Watcher<C>>) -> Result<u64> {
        self.context.check_open()?;
        self.sources.borrow_mut().reserve(1)?;
        self.watched.borrow_mut().try_reserve(1)?;
        let entry = Rc::new(Watch { handle, interest: Cell::new(interest), watcher });
        let id = self.sources.borrow_mut().insert(Source::Watch(entry));
        if let Err(error) = self.context.kernel.watch(&self.context.poller, handle, interest, id) {
            self.remove_source(id);
            let no_events = matches!(Failure::of(&error), Failure::NotPermitted | Failure::NotSocket);
            return Err(if no_events {
                refusal::unsupported_number("fd", handle as u64, "a handle that cannot be waited for")
            } else {
                error.into()
            });
        }
        // The kernel accepted it, so an earlier watch of this number watches a descriptor that was closed. It is
        // replaced before its `free_user` is called, which may watch the number again.
        let dead = self.watched.borrow_mut().insert(handle, id);
        if let Some(dead) = dead {
            self.remove_source(dead);
        }
        Ok(id)
    }

    /// Removes a stale watch: its descriptor was closed, and a new port's socket has the same number. No event reaches
    /// it. The caller drops the watch when callbacks may run.
    pub(super) fn take_dead_watch(&self, handle: Handle) -> Option<Source<C>> {
        let dead = self.watched.borrow_mut().remove(&handle)?;
        self.sources.borrow_mut().remove(dead)
    }

    /// Changes the interest of a watch.
    ///
    /// # Errors
    /// NOT_FOUND.
    pub fn change_watch(&self, id: u64, interest: Interest) -> Result {
        let entry = self.find_watch(id).ok_or(Status::NOT_FOUND)?;
        self.context.kernel.rewatch(&self.context.poller, entry.handle, interest, id)?;
        entry.interest.set(interest);
        Ok(())
    }

    /// Ends a watch, of a handle or of notices, also for the events that this turn has found.
    ///
    /// # Errors
    /// NOT_FOUND.
    pub fn unwatch(&self, id: u64) -> Result {
        let (watch, notices) = (self.find_watch(id), self.find_notices(id));
        if watch.is_none() && notices.is_none() {
            return Err(Status::NOT_FOUND);
        }
        if let Some(watch) = watch {
            self.watched.borrow_mut().remove(&watch.handle);
            self.context.unwatch(watch.handle);
        }
        // Removed first, since the end depends on which watches are left.
        let removed = self.sources.borrow_mut().remove(id);
        if let Some(notices) = notices {
            self.end_notices(&notices);
        }
        drop(removed);
        Ok(())
    }

    pub(super) fn watch_ready(&self, ready: Readiness) {
        let Some(entry) = self.find_watch(ready.token) else { return self.notices_ready(ready.token) };
        // The interest may have changed since the wait.
        let interest = entry.interest.get();
        let (readable, writable) = (ready.readable && interest.readable, ready.writable && interest.writable);
        if readable || writable || ready.error || ready.hangup {
            entry.watcher.ready(self, entry.handle, Readiness { readable, writable, ..ready });
        }
    }

    fn find_watch(&self, id: u64) -> Option<Rc<Watch<C>>> {
        match self.sources.borrow().get(id)? {
            Source::Watch(entry) => Some(entry.clone()),
            Source::Port(_) | Source::Notice(_) => None,
        }
    }

    /// The watch is dropped when no borrow is held any more: a destructor may call anything.
    pub(super) fn remove_source(&self, id: u64) {
        let removed = self.sources.borrow_mut().remove(id);
        drop(removed);
    }

    /// Drops every watch, when the reactor ends. New ones are refused by then.
    pub(super) fn drop_watches(&self) {
        let sources = self.sources.borrow();
        let ids: Vec<u64> = sources
            .iter()
            .filter(|(_, source)| !matches!(source, Source::Port(_)))
            .map(|(id, _)| id)
            .collect();
        drop(sources);
        let mut ids = ids.into_iter();
        // NOT_FOUND: another destructor has removed it.
        self.drop_each(|| ids.next().map(|id| self.unwatch(id)));
    }
}
