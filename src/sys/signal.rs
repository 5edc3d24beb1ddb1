//! SIGINT and SIGTERM as wake-ups, for the reactors that ask for it while they run.
//!
//! One of the library's two pieces of global state: a signal handler can reach nothing else. The handler only adds
//! one to a counter and wakes.

use super::Waker;
use parking_lot::Mutex;
use std::io;
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, Ordering};

const SIGNALS: [i32; 2] = [libc::SIGINT, libc::SIGTERM];

/// A reactor that listens, or listened once: nodes are used again and never freed, so the handler may walk at any time.
struct Node {
    waker: AtomicPtr<Waker>,
    hits: AtomicU32,
    next: *const Node,
}

static NODES: AtomicPtr<Node> = AtomicPtr::new(null_mut());
static FORMER: AtomicPtr<[libc::sigaction; 2]> = AtomicPtr::new(null_mut());
/// Handlers that are at work now, on whichever thread: what they may look at is kept until it is 0.
static BUSY: AtomicU32 = AtomicU32::new(0);
/// The process that the listeners are of: a forked child has the parent's, and must not wake the parent.
static OWNER: AtomicI32 = AtomicI32::new(0);
/// How many reactors listen; whoever changes it holds the lock while it changes the handlers.
static LISTENERS: Mutex<usize> = Mutex::new(0);

/// One reactor's ear for SIGINT and SIGTERM. When the last one is dropped the former handlers are back.
pub struct Signals {
    node: &'static Node,
    _waker: Arc<Waker>,
}

impl Signals {
    /// Takes both signals, and wakes `waker` at each. Errors: those of sigaction(2).
    pub fn listen(waker: Arc<Waker>) -> io::Result<Signals> {
        let mut listeners = LISTENERS.lock();
        if OWNER.swap(process(), Ordering::SeqCst) != process() {
            *listeners = 0;
            forget_parent();
        }
        let node = free_node().unwrap_or_else(new_node);
        node.hits.store(0, Ordering::Relaxed);
        // Before the handlers are there: they always find somebody to tell.
        node.waker.store(Arc::as_ptr(&waker).cast_mut(), Ordering::SeqCst);
        if *listeners == 0 {
            install().inspect_err(|_| node.waker.store(null_mut(), Ordering::SeqCst))?;
        }
        *listeners += 1;
        Ok(Signals { node, _waker: waker })
    }

    /// How many signals have come so far.
    pub fn hits(&self) -> u32 {
        self.node.hits.load(Ordering::Acquire)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        let mut listeners = LISTENERS.lock();
        self.node.waker.store(null_mut(), Ordering::SeqCst);
        *listeners -= 1;
        let former = if *listeners == 0 { restore() } else { null_mut() };
        while BUSY.load(Ordering::SeqCst) > 0 {
            std::thread::yield_now();
        }
        if !former.is_null() {
            // SAFETY: made by Box::into_raw in install, taken out of the static, and no handler looks at it now.
            drop(unsafe { Box::from_raw(former) });
        }
    }
}

/// All nodes there are.
fn nodes() -> impl Iterator<Item = &'static Node> {
    // SAFETY: nodes are leaked, and linked before they are published.
    let first = unsafe { NODES.load(Ordering::Acquire).as_ref() };
    // SAFETY: as above.
    std::iter::successors(first, |node| unsafe { node.next.as_ref() })
}

fn free_node() -> Option<&'static Node> {
    nodes().find(|node| node.waker.load(Ordering::Acquire).is_null())
}

fn new_node() -> &'static Node {
    let next = NODES.load(Ordering::Acquire);
    let node = Box::leak(Box::new(Node { waker: AtomicPtr::new(null_mut()), hits: AtomicU32::new(0), next }));
    NODES.store(node, Ordering::Release);
    node
}

extern "C" fn handle(signal: i32) {
    if OWNER.load(Ordering::SeqCst) != process() {
        return give_back(signal);
    }
    BUSY.fetch_add(1, Ordering::SeqCst);
    for node in nodes() {
        // SAFETY: a listener's waker outlives its place in the node, and the listener waits for BUSY to end.
        if let Some(waker) = unsafe { node.waker.load(Ordering::SeqCst).as_ref() } {
            node.hits.fetch_add(1, Ordering::Release);
            waker.wake();
        }
    }
    BUSY.fetch_sub(1, Ordering::SeqCst);
}

/// In a forked child: nobody listens yet, and a handler that was at work in the parent never ends here.
fn forget_parent() {
    nodes().for_each(|node| node.waker.store(null_mut(), Ordering::SeqCst));
    BUSY.store(0, Ordering::SeqCst);
    let former = restore();
    if !former.is_null() {
        // SAFETY: made by Box::into_raw in install, in the parent's copy of this memory.
        drop(unsafe { Box::from_raw(former) });
    }
}

/// A child that was forked meanwhile has our handler and nobody who listens: what was there before takes over.
fn give_back(signal: i32) {
    // SAFETY: in a child it is freed by the first listener, which takes the handlers back before that.
    let Some(former) = (unsafe { FORMER.load(Ordering::SeqCst).as_ref() }) else { return };
    for (number, action) in SIGNALS.iter().zip(former) {
        if *number == signal {
            // SAFETY: sigaction(2) is async-signal-safe and reads one action.
            unsafe { libc::sigaction(signal, action, null_mut()) };
            // SAFETY: raise(3) is async-signal-safe; the signal waits until this handler has returned.
            unsafe { libc::raise(signal) };
        }
    }
}

fn install() -> io::Result<()> {
    // SAFETY: an action is integers, a pointer and a signal set; all of them may be zero.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handle as extern "C" fn(i32) as usize;
    // On the alternate stack where there is one: the stacks of goroutines are too small (os/signal of Go).
    action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
    for signal in SIGNALS {
        // SAFETY: sigaddset(3) changes the set it is given.
        unsafe { libc::sigaddset(&mut action.sa_mask, signal) };
    }
    // SAFETY: as above: all zero is an action.
    let mut former: Box<[libc::sigaction; 2]> = Box::new(unsafe { std::mem::zeroed() });
    for (signal, former) in SIGNALS.iter().zip(former.iter_mut()) {
        // SAFETY: sigaction(2) writes one action.
        super::check(unsafe { libc::sigaction(*signal, std::ptr::null(), former) }.into())?;
    }
    FORMER.store(Box::into_raw(former), Ordering::SeqCst);
    for signal in SIGNALS {
        // SAFETY: sigaction(2) reads one action. The signals exist, so it succeeds.
        unsafe { libc::sigaction(signal, &action, null_mut()) };
    }
    Ok(())
}

/// Puts the former handlers back, but where somebody has put another one in our place meanwhile.
fn restore() -> *mut [libc::sigaction; 2] {
    let pointer = FORMER.load(Ordering::SeqCst);
    // SAFETY: made in install, and freed by our caller alone.
    let Some(former) = (unsafe { pointer.as_ref() }) else { return pointer };
    for (signal, former) in SIGNALS.iter().zip(former) {
        // SAFETY: all zero is an action.
        let mut now: libc::sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: sigaction(2) writes one action.
        unsafe { libc::sigaction(*signal, std::ptr::null(), &mut now) };
        if now.sa_sigaction == handle as extern "C" fn(i32) as usize {
            // SAFETY: sigaction(2) reads one action.
            unsafe { libc::sigaction(*signal, former, null_mut()) };
        }
    }
    FORMER.store(null_mut(), Ordering::SeqCst);
    pointer
}

fn process() -> i32 {
    // SAFETY: getpid(2) always succeeds and is async-signal-safe.
    unsafe { libc::getpid() }
}
