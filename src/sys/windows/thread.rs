//! The library's own threads.

use std::ffi::CStr;
use std::io;
use std::thread::{Builder, JoinHandle};
use windows_sys::Win32::System::Threading::GetCurrentThreadId;

/// The stack of each thread, in bytes: the host's work and the system's name services run there.
const STACK_SIZE: usize = 2 << 20;

/// A thread with this name.
///
/// # Errors
/// Those of CreateThread.
pub fn spawn(name: &'static CStr, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let name = name.to_string_lossy().into_owned();
    Builder::new().name(name).stack_size(STACK_SIZE).spawn(body)
}

/// The calling thread's number, which leaves the lowest bits free, as the owner lock needs it.
#[inline]
pub fn this_thread() -> usize {
    // SAFETY: it only reads a number, which is not 0.
    (unsafe { GetCurrentThreadId() } as usize) << 3
}

/// Threads block no signals here.
#[derive(Clone, Copy)]
pub struct SignalMask(());

impl SignalMask {
    /// The calling thread's mask.
    pub fn current() -> SignalMask {
        SignalMask(())
    }

    /// Runs `body`.
    pub fn during<T>(&self, body: impl FnOnce() -> T) -> T {
        body()
    }
}
