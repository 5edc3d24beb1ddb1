//! The library's own threads.

use super::cancel::CancelDisabled;
use std::ffi::CStr;
use std::io;
use std::thread::{Builder, JoinHandle};

/// The stack of each thread, in bytes: the host's work and the system's name services run there. The standard library's
/// default is the same, unless the environment sets another one (RUST_MIN_STACK), which this library does not read.
const STACK_SIZE: usize = 2 << 20;

/// A thread that blocks all signals except those that it causes itself, so that the host's handlers run on the host's
/// threads. It cannot be cancelled: nobody would do its work, and cancellation cannot unwind the standard library's
/// frames. Errors: EAGAIN, pthread_create(3).
pub fn spawn(name: &'static CStr, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let builder = Builder::new().stack_size(STACK_SIZE);
    let named = move || {
        let _uncancelled = CancelDisabled::begin();
        // The standard library would keep the name on the heap, where ThreadSanitizer sees one thread read it and
        // another free it.
        set_name(name);
        body();
    };
    // A new thread inherits the mask of the thread that makes it.
    SignalMask::asynchronous().during(|| builder.spawn(named))
}

/// Names the calling thread.
#[cfg(target_os = "linux")]
fn set_name(name: &CStr) {
    // SAFETY: PR_SET_NAME reads a text that ends in NUL, prctl(2).
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

/// Names the calling thread.
#[cfg(target_vendor = "apple")]
fn set_name(name: &CStr) {
    // SAFETY: it reads a text that ends in NUL.
    unsafe { libc::pthread_setname_np(name.as_ptr()) };
}

/// Names the calling thread.
#[cfg(target_os = "freebsd")]
fn set_name(name: &CStr) {
    // SAFETY: pthread_self(3) always succeeds.
    let thread = unsafe { libc::pthread_self() };
    // SAFETY: it reads a text that ends in NUL, pthread_set_name_np(3).
    unsafe { libc::pthread_set_name_np(thread, name.as_ptr()) };
}

/// The calling thread's number. It is not a thread-local, which in a shared library goes through `__tls_get_addr`.
/// pthread_self(3) reads the same word: on Linux the word at %fs:0 is its own address (System V ABI for x86-64,
/// thread-local storage). On other systems, and with 32-bit pointers (x32), it is not, and Miri does not execute
/// assembly.
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64", target_os = "linux", not(miri)))]
#[inline]
pub fn this_thread() -> usize {
    let number;
    // SAFETY: reads a word that every thread has, and that never changes.
    unsafe {
        std::arch::asm!("mov {}, fs:0", out(reg) number, options(pure, nomem, nostack, preserves_flags))
    };
    number
}

/// The calling thread's number.
#[cfg(not(all(target_arch = "x86_64", target_pointer_width = "64", target_os = "linux", not(miri))))]
pub fn this_thread() -> usize {
    // SAFETY: pthread_self(3) always succeeds.
    (unsafe { libc::pthread_self() }) as usize
}

/// A set of blocked signals.
#[derive(Clone, Copy)]
pub struct SignalMask(libc::sigset_t);

/// The signals that an instruction of the thread itself raises. If such a signal is blocked, the kernel ends the
/// process, whatever handler there is: for a JVM's null check, a guard page, a seccomp trap.
pub(super) const SYNCHRONOUS: [i32; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS];

impl SignalMask {
    /// The calling thread's mask.
    pub fn current() -> SignalMask {
        let mut mask = SignalMask::empty();
        // SAFETY: pthread_sigmask(3) without a new set writes the present one.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, std::ptr::null(), &mut mask.0) };
        mask
    }

    /// Runs `body` with this mask, then restores the previous one.
    pub fn during<T>(&self, body: impl FnOnce() -> T) -> T {
        let _former = PreviousMask(self.replace());
        body()
    }

    fn empty() -> SignalMask {
        // SAFETY: a signal set is integers.
        let mut mask = SignalMask(unsafe { std::mem::zeroed() });
        // SAFETY: sigemptyset(3) writes one signal set.
        unsafe { libc::sigemptyset(&mut mask.0) };
        mask
    }

    fn asynchronous() -> SignalMask {
        let mut mask = SignalMask::empty();
        // SAFETY: sigfillset(3) writes one signal set.
        unsafe { libc::sigfillset(&mut mask.0) };
        for signal in SYNCHRONOUS {
            // SAFETY: sigdelset(3) changes one signal set.
            unsafe { libc::sigdelset(&mut mask.0, signal) };
        }
        mask
    }

    /// Sets it for the calling thread, and returns the previous one.
    fn replace(&self) -> SignalMask {
        let mut former = SignalMask::empty();
        // SAFETY: pthread_sigmask(3) reads one signal set and writes another.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, &mut former.0) };
        former
    }
}

/// Restores the previous mask, also while a panic unwinds.
struct PreviousMask(SignalMask);

impl Drop for PreviousMask {
    fn drop(&mut self) {
        self.0.replace();
    }
}
