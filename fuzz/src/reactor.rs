//! A reactor of the C face, whose end leaves nothing.
#![allow(unsafe_code)]

use std::panic::{set_hook, take_hook};
use std::ptr::{null, null_mut};
use std::sync::Once;
use udpr::abi::{udpr_reactor, udpr_reactor_options};
use udpr::capi::embed::udpr_reactor_iterate;
use udpr::capi::life::{udpr_reactor_free, udpr_reactor_new};
use udpr::status::Status;

pub struct Reactor {
    pub handle: *mut udpr_reactor,
    /// The lowest descriptor that was free before it was made.
    free: i32,
}

impl Reactor {
    /// `options` are NULL or what a caller may pass.
    pub fn new(options: *const udpr_reactor_options) -> Result<Reactor, Status> {
        keep_panics_loud();
        let (mut handle, free) = (null_mut(), lowest_free());
        // SAFETY: the options are a caller's, and the handle is written to a variable of ours.
        let status = unsafe { udpr_reactor_new(options, &mut handle) };
        assert_eq!(handle.is_null(), status != 0);
        if status == 0 { Ok(Reactor { handle, free }) } else { Err(Status::from_code(status)) }
    }

    /// A turn that does not wait.
    pub fn context(&self) {
        // SAFETY: a reactor that was not freed.
        assert_eq!(unsafe { udpr_reactor_iterate(self.handle, 0) }, 0);
    }

    /// Frees it.
    pub fn end(self) {
        // SAFETY: as above, and it is used no more.
        assert_eq!(unsafe { udpr_reactor_free(self.handle) }, 0);
        assert_eq!(lowest_free(), self.free, "a descriptor is left open, or one too many was closed");
    }
}

/// The first reactor of a process silences panics (capi/guard.rs), which are what a target fails by.
fn keep_panics_loud() {
    static FIRST: Once = Once::new();
    FIRST.call_once(|| {
        let (hook, mut first) = (take_hook(), null_mut());
        // SAFETY: no options, and a variable of ours.
        assert_eq!(unsafe { udpr_reactor_new(null(), &mut first) }, 0);
        // SAFETY: made just now.
        assert_eq!(unsafe { udpr_reactor_free(first) }, 0);
        set_hook(hook);
    });
}

/// The kernel gives the lowest number that is free (open(2)).
fn lowest_free() -> i32 {
    // SAFETY: dup(2) takes an integer; -1 without a standard input.
    let fd = unsafe { libc::fcntl(0, libc::F_DUPFD_CLOEXEC, 3) };
    // SAFETY: made just now, and nobody else knows it.
    unsafe { libc::close(fd) };
    fd
}
