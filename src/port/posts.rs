//! Writes from other threads: copied, and sent in the reactor's next turn.

use super::destinations::{Destinations, Peer};
use super::message::Message;
use super::queue::{QueuedDatagram, SendQueue};
use super::{Open, Port};
use crate::addr::Addr;
use crate::context::Shared;
use crate::status::{Result, Status};
use crate::sys::{Mutex, charge, tsan};
use std::sync::Arc;

/// The part of a port that every thread may use. It remains after the port has stopped.
#[derive(Debug)]
pub struct PortShared {
    /// The reactor's, which outlives it.
    pub reactor: Arc<Shared>,
    posts: Mutex<PostQueue>,
}

#[derive(Debug)]
struct PostQueue {
    token: u64,
    /// The limit to what the datagrams that wait are charged.
    limit: u32,
    destinations: Destinations,
    closed: bool,
    posted: Option<Box<Posted>>,
}

/// What a port has once something is posted, or it has a peer.
#[derive(Debug)]
struct Posted {
    datagrams: SendQueue,
    peer: Option<Peer>,
    /// A post was refused, or is charged more than the limit: `write_ready` is owed.
    write_ready_due: bool,
}

impl PostQueue {
    fn posted(&mut self) -> &mut Posted {
        let limit = self.limit as usize;
        let empty =
            || Box::new(Posted { datagrams: SendQueue::new(limit), peer: None, write_ready_due: false });
        self.posted.get_or_insert_with(empty)
    }
}

impl PortShared {
    pub(super) fn new(reactor: Arc<Shared>, destinations: Destinations, limit: u32) -> PortShared {
        let posts = PostQueue { token: 0, limit, destinations, closed: false, posted: None };
        PortShared { reactor, posts: Mutex::new(posts) }
    }

    pub(super) fn set_token(&self, token: u64) {
        self.posts.lock().token = token;
    }

    /// Posts a copy of a datagram, from any thread. It is sent in the reactor's next turn; the order of each thread's posts is kept.
    ///
    /// # Errors
    /// Those of [`Port::write`] that can be found out here; [`Status::WOULD_BLOCK`] if too much waits already;
    /// [`Status::NO_MEMORY`].
    pub fn post(&self, data: &[u8], to: Option<&Addr>) -> Result {
        self.post_message(Message { payload: data.into(), to, ..Message::default() })
    }

    /// [`PortShared::post`] with all options. A message that is cut is accepted whole or not at all. It is gathered, whatever
    /// [`Message::flush`] is.
    ///
    /// # Errors
    /// Those of [`PortShared::post`] and of [`Port::write_message`] that can be found out here.
    pub fn post_message(&self, message: Message<'_>) -> Result {
        self.reactor.owner.check_open()?;
        let mut posts = self.posts.lock();
        if posts.closed {
            return Err(Status::CLOSED);
        }
        let peer = posts.posted.as_ref().and_then(|posted| posted.peer.as_ref());
        let meta = message.meta(&posts.destinations, peer, &self.reactor)?;
        let to = posts.destinations.check(message.longest(), message.to, peer)?.copied();
        let (token, posted) = (posts.token, posts.posted());
        // The first one is accepted however long it is, as a write is while nothing waits: there will never be more room for it.
        let first = posted.datagrams.is_empty();
        if !posted.datagrams.has_room(charge(message.payload.len(), message.datagrams()), 0) {
            posted.write_ready_due = true;
            if !first {
                return Err(Status::WOULD_BLOCK);
            }
        }
        let before = posted.datagrams.len();
        let push = || {
            posted.datagrams.push_all(message, to, meta.as_ref())?;
            if first { self.reactor.post_port(token) } else { Ok(()) }
        };
        push().inspect_err(|_| posted.datagrams.truncate(before))?;
        drop(posts);
        if first {
            self.reactor.waker.wake();
        }
        Ok(())
    }

    /// True if a thread holds the lock. In a forked child this can be a thread that does not exist there.
    pub fn is_locked(&self) -> bool {
        self.posts.is_locked()
    }

    /// Sets what later posts are checked against.
    pub(super) fn set_destinations(&self, destinations: Destinations) {
        self.posts.lock().destinations = destinations;
    }

    /// Sets the peer of later posts. Earlier ones still go to the former peer.
    pub(super) fn set_peer(&self, peer: Option<Peer>, former: Option<Addr>) {
        if peer.is_some() || former.is_some() {
            let mut posts = self.posts.lock();
            let posted = posts.posted();
            posted.datagrams.set_missing_peer(former);
            posted.peer = peer;
        }
    }

    /// Drops the datagrams that wait. Returns how many they were.
    pub(super) fn drop_posted(&self) -> usize {
        let mut posts = self.posts.lock();
        let Some(posted) = &mut posts.posted else { return 0 };
        std::iter::from_fn(|| posted.datagrams.pop()).count()
    }

    fn next(&self) -> Option<QueuedDatagram> {
        self.posts.lock().posted.as_mut()?.datagrams.pop()
    }

    /// True once after posts for which `write_ready` is owed.
    pub(super) fn take_write_ready_due(&self) -> bool {
        let mut posts = self.posts.lock();
        posts.posted.as_mut().is_some_and(|posted| std::mem::take(&mut posted.write_ready_due))
    }

    /// What the datagrams that wait are charged.
    pub(super) fn posted_charge(&self) -> usize {
        self.posts.lock().posted.as_ref().map_or(0, |posted| posted.datagrams.charged())
    }

    /// Refuses later posts. Those that wait can still be sent.
    pub(super) fn close_posts(&self) {
        self.posts.lock().closed = true;
    }

    /// How many datagrams wait. So many are sent in one turn, however fast others are posted.
    fn waiting(&self) -> usize {
        self.posts.lock().posted.as_ref().map_or(0, |posted| posted.datagrams.len())
    }
}

impl Drop for PortShared {
    /// For ThreadSanitizer, as in [`Shared`]'s `drop`.
    fn drop(&mut self) {
        tsan::acquire(self);
        tsan::acquire(&self.reactor.owner);
        tsan::release(&*self.reactor);
    }
}

impl Port {
    /// Sends what other threads have posted. What is posted meanwhile waits for the next turn.
    pub fn send_posted(&self) {
        let Some(open) = self.open().ok().filter(|open| open.is_sending()) else { return };
        while self.send_waiting_posts(&open) {
            if self.shared.reactor.post_port(open.token.get()).is_ok() {
                self.shared.reactor.waker.wake();
                return;
            }
            // There was no memory to schedule the port again, so this goes on at once.
        }
    }

    /// Sends the datagrams that wait now. Returns true if more were posted meanwhile.
    fn send_waiting_posts(&self, open: &Open) -> bool {
        for _ in 0..self.shared.waiting() {
            // While datagrams wait for a full socket, posts stay in their own queue, which is bounded.
            if open.is_waiting() {
                return false;
            }
            let Some(datagram) = self.shared.next() else { break };
            open.submit_posted(datagram);
        }
        if open.is_waiting() {
            return false;
        }
        let Some(datagram) = self.shared.next() else {
            if self.shared.take_write_ready_due() {
                open.write_ready_due.set(true);
                open.update_interest();
            }
            return false;
        };
        open.submit_posted(datagram);
        true
    }
}
