//! The reactor, which owns ports and delayed calls and runs the loop.
//!
//! A [`Reactor`] knows nothing of C. It is generic over its calls: three words for the C API, boxed closures in tests.
//! Every method may be called from every callback, except those that are documented as REENTRANT in the C API; no
//! borrow is held while a callback runs.

mod delayed;
mod embed;
mod events;
mod fork;
mod notices;
mod ports;
mod remote;
mod run;
mod stats;
mod time;
mod watches;
mod work;

pub use delayed::{PortCall, Repeat};
pub use events::Trigger;
pub use notices::NoticeCallback;
pub use remote::Remote;
pub use stats::Stats;
pub use watches::Watcher;
pub use work::{Job, ResolveCallback};

use crate::context::{Context, Shared};
use crate::port::Port;
use crate::refusal;
use crate::resolver::Lookups;
use crate::slots::{Kind, Slots};
use crate::status::Result;
use crate::sys::{CachePadded, Handle, Kernel, Readiness, SystemKernel};
use crate::threads::Pool;
use crate::timer::{Timers, check_delay};
use crate::trigger::Triggers;
use delayed::Delayed;
use embed::Embedding;
use events::{Firing, TriggerCall};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::rc::Rc;
use std::sync::Arc;

/// A call that is made once, by a reactor. It is dropped uncalled if it is cancelled.
pub trait Call: Send + Sized + 'static {
    /// The call.
    fn call(&mut self, reactor: &Reactor<Self>);
}

/// The bits of a reactor's flags: [`udpr_reactor_flag`](crate::abi::udpr_reactor_flag) says what each of them does.
pub mod flag {
    use crate::abi::udpr_reactor_flag as Flag;

    /// `UDPR_REACTOR_SIGNALS`.
    pub const SIGNALS: u32 = Flag::UDPR_REACTOR_SIGNALS as u32;
    /// `UDPR_REACTOR_MANUAL_CLOCK`.
    pub const MANUAL_CLOCK: u32 = Flag::UDPR_REACTOR_MANUAL_CLOCK as u32;
    /// `UDPR_REACTOR_PINNED`.
    pub const PINNED: u32 = Flag::UDPR_REACTOR_PINNED as u32;
    /// Every bit that this library knows.
    pub const KNOWN: u32 = SIGNALS | MANUAL_CLOCK | PINNED;
}

/// The most events that one wait returns.
const EVENTS: usize = 256;

/// The hasher of a map whose keys no peer chooses. The standard library's default hasher needs random numbers, and
/// panics if a sandbox has none.
type Unseeded = BuildHasherDefault<DefaultHasher>;

/// The reactor of a thread.
pub struct Reactor<C: Call> {
    /// The part for all threads.
    pub remote: CachePadded<Arc<Remote<C>>>,
    context: Rc<Context>,
    flags: u32,
    timers: Rc<RefCell<Timers<Delayed<C>>>>,
    sources: RefCell<Slots<Source<C>>>,
    /// The watches by their descriptors.
    watched: RefCell<HashMap<Handle, u64, Unseeded>>,
    notices: notices::State,
    triggers: RefCell<Triggers<TriggerCall<C>>>,
    firing: Cell<Option<Firing>>,
    pool: RefCell<Option<Pool>>,
    pool_size: usize,
    /// How long a turn looks for work before it waits in the kernel, in nanoseconds.
    spin: u64,
    lookups: RefCell<Lookups<Box<dyn ResolveCallback<C>>>>,
    /// The instant of CLOCK_MONOTONIC at which a look-up that waits for a thread may begin.
    next_lookup: Cell<Option<u64>>,
    embedding: Embedding,
    user: Cell<*mut ()>,
    counters: stats::Counters,
    events: RefCell<Vec<Readiness>>,
    /// An empty queue, to be exchanged for the one that other threads have filled.
    spare: RefCell<Vec<C>>,
}

/// What a token stands for.
enum Source<C: Call> {
    Port(Arc<Port>),
    Watch(Rc<watches::Watch<C>>),
    Notice(Rc<notices::NoticeWatch<C>>),
}

impl<C: Call> Reactor<C> {
    /// With bits of [`flag`], and at most `pool_size` threads (0: 10). Each turn looks for work for `spin` nanoseconds before it
    /// waits in the kernel. VERSION for unknown bits, INVALID_ARGUMENT for more than 1024 threads and a `spin` that is a negative
    /// difference, else what the system says: NO_FILES, NO_MEMORY.
    pub fn new(flags: u32, pool_size: usize, spin: u64) -> Result<Reactor<C>> {
        drop(Pool::new(pool_size)?);
        check_delay(spin, "options->spin")?;
        let reactor = Reactor::with_kernel(flags, Rc::new(SystemKernel))?;
        let spin = if flags & flag::MANUAL_CLOCK != 0 { 0 } else { spin };
        Ok(Reactor { pool_size, spin, ..reactor })
    }

    /// [`Reactor::new`] on another kernel.
    pub fn with_kernel(flags: u32, kernel: Rc<dyn Kernel>) -> Result<Reactor<C>> {
        if flags & !flag::KNOWN != 0 {
            return Err(refusal::unknown_flags("options->flags", flags & !flag::KNOWN));
        }
        let shared = Arc::new(Shared::new(flags & flag::MANUAL_CLOCK != 0)?);
        let timers = Rc::new(RefCell::new(Timers::new()));
        let context = Context::new(kernel, shared.clone(), timers.clone())?;
        Ok(Reactor {
            remote: CachePadded(Arc::new(Remote::new(shared))),
            context: Rc::new(context),
            flags,
            timers,
            sources: RefCell::new(Slots::new(Kind::Source)),
            watched: RefCell::default(),
            notices: notices::State::default(),
            triggers: RefCell::default(),
            firing: Cell::new(None),
            pool: RefCell::default(),
            pool_size: 0,
            spin: 0,
            lookups: RefCell::default(),
            next_lookup: Cell::new(None),
            embedding: Embedding::default(),
            user: Cell::new(std::ptr::null_mut()),
            counters: stats::Counters::default(),
            events: RefCell::new(vec![Readiness::default(); EVENTS]),
            spare: RefCell::default(),
        })
    }

    /// What it shares with its ports.
    pub fn context(&self) -> &Rc<Context> {
        &self.context
    }

    /// True if the first thread that runs it owns it until the end of either.
    pub fn is_pinned(&self) -> bool {
        self.flags & flag::PINNED != 0
    }

    /// The owner's pointer.
    pub fn user(&self) -> *mut () {
        self.user.get()
    }

    /// Sets [`Reactor::user`].
    pub fn set_user(&self, user: *mut ()) {
        self.user.set(user);
    }

    /// The end: every port stops, calls that are still pending are dropped, and nothing new can be made. Callbacks are
    /// called, so the reactor is still complete.
    pub fn close(&self) {
        self.context.close();
        // Before any callback, which could finish the trigger that holds an event back.
        self.end_run();
        self.drop_queue(self.remote.close());
        self.close_ports();
        self.drop_each(|| self.take_trigger());
        self.drop_watches();
        self.drop_each(|| self.take_timer());
        if !self.context.shared.owner.is_forked() {
            self.end_work();
        }
        self.drop_queue(self.remote.close());
        if !self.context.shared.owner.is_forked() {
            drop(self.context.log.set(0, None));
        }
    }

    /// Drops what a [`close`](Self::close) that panicked has left, without callbacks. Retained ports end here, too, so
    /// that nothing of theirs is dropped on another thread.
    pub fn drop_rest(&self) {
        let ids: Vec<u64> = self.sources.borrow().ids().collect();
        for id in ids {
            let source = self.sources.borrow_mut().remove(id);
            match &source {
                Some(Source::Port(port)) => port.drop_open(),
                Some(Source::Notice(watch)) => self.end_signal(watch),
                _ => {}
            }
        }
        drop(self.triggers.take());
        drop(self.timers.take());
        self.end_work();
        drop(self.remote.close());
        drop(self.context.log.set(0, None));
    }

    /// Drops what `next` returns. A destructor may fork: in the child nothing more is called.
    fn drop_each<T>(&self, mut next: impl FnMut() -> Option<T>) {
        while !self.context.shared.owner.is_forked() {
            let Some(one) = next() else { break };
            drop(one);
        }
    }

    fn drop_queue<T>(&self, mut queue: VecDeque<T>) {
        self.drop_each(|| queue.pop_front());
        if !queue.is_empty() {
            std::mem::forget(queue);
        }
    }

    /// The descriptors that a forked child has to close, since it may do nothing else.
    pub fn descriptors(&self) -> Vec<Handle> {
        let sources = self.sources.borrow();
        let of_sources = sources.iter().filter_map(|(_, source)| match source {
            Source::Port(port) => Some(port.fileno()),
            Source::Notice(watch) => watch.fd(),
            Source::Watch(_) => None,
        });
        let own = self.context.poller.handle().into_iter().chain(self.context.shared.waker.fds());
        of_sources.chain(own).chain(self.embedding.fd()).filter(|fd| *fd >= 0).collect()
    }
}
