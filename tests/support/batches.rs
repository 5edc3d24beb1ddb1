//! A protocol that writes every batch down.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use udpr::port::{Delivery, Port, Protocol, Stats};
use udpr::status::Status;

/// What a [`Batches`] was shown.
#[derive(Default)]
pub(crate) struct Seen {
    /// The number of datagrams in each batch.
    pub(crate) batches: RefCell<Vec<usize>>,
    /// The datagrams that were taken, their bytes only.
    pub(crate) taken: RefCell<Vec<Vec<u8>>>,
    /// How many of a batch are taken at most; 0: all.
    pub(crate) most: Cell<usize>,
    /// The counters in `stop_protocol`.
    pub(crate) last: Cell<Stats>,
}

impl Seen {
    /// The lengths of what was taken.
    pub(crate) fn lengths(&self) -> Vec<usize> {
        self.taken.borrow().iter().map(Vec::len).collect()
    }

    /// All the bytes that were taken.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.taken.borrow().concat()
    }

    pub(crate) fn count(&self) -> usize {
        self.taken.borrow().len()
    }
}

type Act = dyn Fn(&Arc<Port>, usize);

/// Takes batches whole or in part.
pub(crate) struct Batches {
    seen: Rc<Seen>,
    act: Box<Act>,
}

impl Batches {
    /// `act` is called in each callback, with how many have been taken in all.
    pub(crate) fn new(seen: &Rc<Seen>, act: impl Fn(&Arc<Port>, usize) + 'static) -> Batches {
        Batches { seen: seen.clone(), act: Box::new(act) }
    }
}

impl Protocol for Batches {
    fn datagrams_received(&self, port: &Arc<Port>, delivery: &mut Delivery<'_>) {
        let batch = delivery.all();
        self.seen.batches.borrow_mut().push(batch.len());
        let most = if self.seen.most.get() == 0 { batch.len() } else { self.seen.most.get() };
        let taken = batch.iter().take(most).map(|datagram| datagram.data().to_vec());
        self.seen.taken.borrow_mut().extend(taken);
        delivery.take(most);
        (self.act)(port, self.seen.count());
    }

    fn stop_protocol(&self, port: &Arc<Port>, _: Status) {
        self.seen.last.set(port.get_stats().expect("the last look"));
    }
}
