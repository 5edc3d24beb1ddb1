//! Threads of the library's own.

use std::io;
use std::thread::{Builder, JoinHandle};

/// A thread that gets no signals: the host's handlers run on the host's threads. Errors: EAGAIN, pthread_create(3).
pub fn spawn(body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let former = block_signals();
    let thread = Builder::new().name("udpr".to_owned()).spawn(body);
    // SAFETY: pthread_sigmask(3) reads one signal set; a new thread has its maker's mask, so it has been inherited.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &former, std::ptr::null_mut()) };
    thread
}

/// The calling thread's number. Not a thread-local: in a shared library that goes through `__tls_get_addr`. This one is
/// what pthread_self(3) reads, too: the word at %fs:0 is its own address (System V ABI for x86-64, thread-local storage).
#[cfg(target_arch = "x86_64")]
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
#[cfg(not(target_arch = "x86_64"))]
pub fn this_thread() -> usize {
    // SAFETY: pthread_self(3) always succeeds.
    (unsafe { libc::pthread_self() }) as usize
}

fn block_signals() -> libc::sigset_t {
    // SAFETY: a signal set is integers; sigfillset(3) overwrites it.
    let mut all: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: as above; written by pthread_sigmask(3).
    let mut former: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: sigfillset(3) writes one signal set.
    unsafe { libc::sigfillset(&mut all) };
    // SAFETY: pthread_sigmask(3) reads one signal set and writes another.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut former) };
    former
}
