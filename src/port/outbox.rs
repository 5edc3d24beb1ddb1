//! Writes from other threads: copied, and sent in the reactor's next turn.

use super::backlog::{Backlog, Letter, charge};
use super::destinations::{Destinations, Peer};
use super::{Open, Port};
use crate::addr::Addr;
use crate::status::{Result, Status};
use crate::sys::{Mutex, tsan};
use crate::turn::Door;
use std::sync::Arc;

/// The part of a port that every thread may touch, and that remains of it.
#[derive(Debug)]
pub struct Shared {
    /// The reactor's, which outlives it.
    pub door: Arc<Door>,
    outbox: Mutex<Outbox>,
}

#[derive(Debug)]
struct Outbox {
    token: u64,
    /// What may wait, in bytes.
    limit: u32,
    destinations: Destinations,
    closed: bool,
    mail: Option<Box<Mail>>,
}

/// What a port has once something is posted, or it has a peer.
#[derive(Debug)]
struct Mail {
    letters: Backlog,
    peer: Option<Peer>,
    /// A post was refused, or counts more than the bound: `write_ready` is owed once there are no letters.
    is_full: bool,
}

impl Outbox {
    fn mail(&mut self) -> &mut Mail {
        let limit = self.limit as usize;
        let empty = || Box::new(Mail { letters: Backlog::new(limit), peer: None, is_full: false });
        self.mail.get_or_insert_with(empty)
    }
}

impl Shared {
    pub(super) fn new(door: Arc<Door>, destinations: Destinations, limit: u32) -> Shared {
        let outbox = Outbox { token: 0, limit, destinations, closed: false, mail: None };
        Shared { door, outbox: Mutex::new(outbox) }
    }

    pub(super) fn set_token(&self, token: u64) {
        self.outbox.lock().token = token;
    }

    /// Any thread. A copy leaves in the reactor's next turn, in order for each thread. Errors: those of
    /// [`Port::write`] that can be known here; WOULD_BLOCK when too much waits already; NO_MEMORY.
    pub fn post(&self, data: &[u8], to: Option<&Addr>) -> Result {
        self.door.gate.check_open()?;
        let mut outbox = self.outbox.lock();
        if outbox.closed {
            return Err(Status::CLOSED);
        }
        let peer = outbox.mail.as_ref().and_then(|mail| mail.peer.as_ref());
        let to = outbox.destinations.check(data.len(), to, peer)?.copied();
        let (token, mail) = (outbox.token, outbox.mail());
        // One is accepted whatever it counts, as a write is while nothing waits: there will never be more room for it.
        let first = mail.letters.is_empty();
        if !mail.letters.has_room(charge(data.len(), 1), 0) {
            mail.is_full = true;
            if !first {
                return Err(Status::WOULD_BLOCK);
            }
        }
        mail.letters.push(data, to, None)?;
        if first {
            self.door.post(token).inspect_err(|_| mail.letters.truncate(0))?;
        }
        drop(outbox);
        if first {
            self.door.waker.wake();
        }
        Ok(())
    }

    /// True where a thread that is not there any more holds the lock: in a child, if at all.
    pub fn is_locked(&self) -> bool {
        self.outbox.is_locked()
    }

    /// Posts are checked against these from here on.
    pub(super) fn set_destinations(&self, destinations: Destinations) {
        self.outbox.lock().destinations = destinations;
    }

    /// Posts go to this peer from here on; those that were made for the former one stay its own.
    pub(super) fn set_peer(&self, peer: Option<Peer>, former: Option<Addr>) {
        if peer.is_some() || former.is_some() {
            let mut outbox = self.outbox.lock();
            let mail = outbox.mail();
            mail.letters.address(former);
            mail.peer = peer;
        }
    }

    /// Drops what nobody will send; the answer is how many letters that were.
    pub(super) fn drop_letters(&self) -> usize {
        let mut outbox = self.outbox.lock();
        let Some(mail) = &mut outbox.mail else { return 0 };
        std::iter::from_fn(|| mail.letters.pop()).count()
    }

    /// The next letter; if there is none, also whether `write_ready` is owed.
    fn next(&self) -> (Option<Letter>, bool) {
        let mut outbox = self.outbox.lock();
        let Some(mail) = &mut outbox.mail else { return (None, false) };
        let letter = mail.letters.pop();
        let is_owed = letter.is_none() && std::mem::take(&mut mail.is_full);
        (letter, is_owed)
    }

    /// Nothing is accepted any more; what was, can still be taken out.
    pub(super) fn close_outbox(&self) {
        self.outbox.lock().closed = true;
    }

    /// How many letters wait: so many are sent in one turn, however fast others come.
    fn waiting(&self) -> usize {
        self.outbox.lock().mail.as_ref().map_or(0, |mail| mail.letters.len())
    }
}

impl Drop for Shared {
    /// See [`Door`]'s.
    fn drop(&mut self) {
        tsan::acquire(self);
        tsan::acquire(&self.door.gate);
        tsan::release(&*self.door);
    }
}

impl Port {
    /// Sends what other threads have posted; more that comes meanwhile waits for the next turn.
    pub fn take_mail(&self) {
        let Ok(open) = self.listening() else { return };
        while self.take_waiting(&open) {
            if self.shared.door.post(open.token.get()).is_ok() {
                self.shared.door.waker.wake();
                return;
            }
            // No memory to be told of it again: it goes on at once.
        }
    }

    /// Sends what waits now. True where more has come meanwhile.
    fn take_waiting(&self, open: &Open) -> bool {
        for _ in 0..self.shared.waiting() {
            // While a full socket is waited for, mail waits where it is: what was posted stays bounded.
            if open.is_waiting() {
                return false;
            }
            let (Some(letter), _) = self.shared.next() else { break };
            open.submit_letter(letter);
        }
        if open.is_waiting() {
            return false;
        }
        match self.shared.next() {
            (Some(letter), _) => {
                open.submit_letter(letter);
                return true;
            }
            (None, true) => {
                open.wants_ready.set(true);
                open.update_interest();
            }
            (None, false) => {}
        }
        false
    }
}
