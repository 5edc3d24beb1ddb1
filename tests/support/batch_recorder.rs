//! A protocol that records every batch.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use udpr::port::{Delivery, Port, Protocol, Stats};
use udpr::status::Status;

/// The batches that a [`BatchRecorder`] received.
#[derive(Default)]
pub(crate) struct RecordedBatches {
    /// The number of datagrams in each batch.
    pub(crate) batch_sizes: RefCell<Vec<usize>>,
    /// The data of the datagrams that were accepted.
    pub(crate) datagrams: RefCell<Vec<Vec<u8>>>,
    /// How many datagrams of a batch are accepted at most; 0 means all.
    pub(crate) limit: Cell<usize>,
    /// The counters in `stop_protocol`.
    pub(crate) final_stats: Cell<Stats>,
}

impl RecordedBatches {
    /// The lengths of the accepted datagrams.
    pub(crate) fn lengths(&self) -> Vec<usize> {
        self.datagrams.borrow().iter().map(Vec::len).collect()
    }

    /// The data of all accepted datagrams.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.datagrams.borrow().concat()
    }

    pub(crate) fn count(&self) -> usize {
        self.datagrams.borrow().len()
    }
}

type Action = dyn Fn(&Arc<Port>, usize);

/// Accepts batches completely or in part.
pub(crate) struct BatchRecorder {
    recorded: Rc<RecordedBatches>,
    action: Box<Action>,
}

impl BatchRecorder {
    /// `action` is called in each callback, with the number of all datagrams accepted so far.
    pub(crate) fn new(
        recorded: &Rc<RecordedBatches>,
        action: impl Fn(&Arc<Port>, usize) + 'static,
    ) -> BatchRecorder {
        BatchRecorder { recorded: recorded.clone(), action: Box::new(action) }
    }
}

impl Protocol for BatchRecorder {
    fn datagrams_received(&self, port: &Arc<Port>, delivery: &mut Delivery<'_>) {
        let batch = delivery.all();
        self.recorded.batch_sizes.borrow_mut().push(batch.len());
        let limit = if self.recorded.limit.get() == 0 { batch.len() } else { self.recorded.limit.get() };
        let accepted = batch.iter().take(limit).map(|datagram| datagram.data().to_vec());
        self.recorded.datagrams.borrow_mut().extend(accepted);
        delivery.take(limit);
        (self.action)(port, self.recorded.count());
    }

    fn stop_protocol(&self, port: &Arc<Port>, _: Status) {
        self.recorded.final_stats.set(port.get_stats().expect("statistics"));
    }
}
