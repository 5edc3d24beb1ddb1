//! Threads of the library's own.

use super::cancel::CancelDisabled;
use std::ffi::CStr;
use std::io;
use std::thread::{Builder, JoinHandle};

/// The stack of each: work of the host runs there, and name services of the system. The standard library's default is the same
/// unless the environment says otherwise (RUST_MIN_STACK), which this library does not read.
const STACK_SIZE: usize = 2 << 20;

/// A thread that blocks all signals but those that it causes itself, so that the host's handlers run on the host's threads. It
/// cannot be cancelled: there is nobody who would do its work, and the standard library's frames cannot be unwound by that.
/// Errors: EAGAIN, pthread_create(3).
pub fn spawn(name: &'static CStr, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let builder = Builder::new().stack_size(STACK_SIZE);
    let named = move || {
        let _uncancelled = CancelDisabled::begin();
        // The standard library would have it on the heap, where ThreadSanitizer sees it read by one thread and freed by another.
        // SAFETY: PR_SET_NAME reads a text that ends in NUL, prctl(2).
        unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
        body();
    };
    // A new thread inherits the mask of the one that makes it.
    SignalMask::asynchronous().during(|| builder.spawn(named))
}

/// The calling thread's number. Not a thread-local: in a shared library that goes through `__tls_get_addr`. This one is
/// what pthread_self(3) reads, too: on Linux the word at %fs:0 is its own address (System V ABI for x86-64, thread-local
/// storage). Elsewhere, and with 32-bit pointers (x32), it is not, and Miri knows no assembly.
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

/// What an instruction of the thread itself raises. While such a signal is blocked the kernel ends the process, whatever handler
/// there is: a JVM's null check, a guard page, a seccomp trap.
const SYNCHRONOUS: [i32; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS];

impl SignalMask {
    /// The calling thread's.
    pub fn current() -> SignalMask {
        let mut mask = SignalMask::empty();
        // SAFETY: pthread_sigmask(3) without a new set writes the present one.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, std::ptr::null(), &mut mask.0) };
        mask
    }

    /// Runs `body` with this mask, and then has the former one again.
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

    /// Sets it for the calling thread; returns the former one.
    fn replace(&self) -> SignalMask {
        let mut former = SignalMask::empty();
        // SAFETY: pthread_sigmask(3) reads one signal set and writes another.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, &mut former.0) };
        former
    }
}

/// Sets the former mask again, also while a panic unwinds.
struct PreviousMask(SignalMask);

impl Drop for PreviousMask {
    fn drop(&mut self) {
        self.0.replace();
    }
}
