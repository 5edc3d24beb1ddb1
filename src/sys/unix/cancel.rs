//! Cancellation of threads: pthread_cancel(3).
//!
//! A cancelled thread ends at its next cancellation point (pthreads(7)), by unwinding. In the middle of the library it
//! would leave a reactor half changed, and Rust's frames could not be unwound at all. So cancellation waits while a
//! thread is inside: the library disables it where its outermost function is entered, callbacks included. Functions
//! that signal handlers use, and very short ones, contain no cancellation point: they write and close by `nocancel`.

use std::ffi::c_int;
use std::marker::PhantomData;

/// The value in pthread.h of glibc, musl and FreeBSD; of macOS, which has 1 for PTHREAD_CANCEL_ENABLE.
const PTHREAD_CANCEL_DISABLE: c_int = if cfg!(target_vendor = "apple") { 0 } else { 1 };

unsafe extern "C" {
    fn pthread_setcancelstate(state: c_int, former: *mut c_int) -> c_int;
}

/// While this lives, cancellation of the calling thread is disabled.
#[derive(Debug)]
pub struct CancelDisabled {
    former: c_int,
    /// It belongs to one thread.
    thread: PhantomData<*const ()>,
}

impl CancelDisabled {
    /// Disables cancellation of the calling thread until this is dropped.
    #[inline]
    pub fn begin() -> CancelDisabled {
        let mut former = 0;
        // SAFETY: pthread_setcancelstate(3) writes one integer; this state it accepts.
        unsafe { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &mut former) };
        CancelDisabled { former, thread: PhantomData }
    }
}

impl Drop for CancelDisabled {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: as above; a null pointer is allowed (glibc, musl, FreeBSD, macOS), and it is no cancellation point itself.
        unsafe { pthread_setcancelstate(self.former, std::ptr::null_mut()) };
    }
}
