//! A reactor of the C API, and a check that it leaves no descriptor open.
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
    /// The lowest descriptor that was free before the reactor was created.
    free: i32,
}

impl Reactor {
    /// `options` is NULL or valid memory.
    pub fn new(options: *const udpr_reactor_options) -> Result<Reactor, Status> {
        keep_panic_hook();
        let (mut handle, free) = (null_mut(), lowest_free());
        // SAFETY: `options` is as a caller may pass it, and `handle` may be written.
        let status = unsafe { udpr_reactor_new(options, &mut handle) };
        assert_eq!(handle.is_null(), status != 0);
        if status == 0 { Ok(Reactor { handle, free }) } else { Err(Status::from_code(status)) }
    }

    /// Runs a turn that does not wait.
    pub fn context(&self) {
        // SAFETY: the reactor was not freed.
        assert_eq!(unsafe { udpr_reactor_iterate(self.handle, 0) }, 0);
    }

    /// Frees the reactor.
    pub fn free(self) {
        // SAFETY: as above, and it is not used after this.
        assert_eq!(unsafe { udpr_reactor_free(self.handle) }, 0);
        assert_eq!(lowest_free(), self.free, "a descriptor is left open, or one too many was closed");
    }
}

/// Restores the panic hook: the first reactor of a process silences panics (capi/guard.rs), by which targets report failures.
fn keep_panic_hook() {
    static FIRST: Once = Once::new();
    FIRST.call_once(|| {
        let (hook, mut first) = (take_hook(), null_mut());
        // SAFETY: there are no options, and `first` may be written.
        assert_eq!(unsafe { udpr_reactor_new(null(), &mut first) }, 0);
        // SAFETY: the reactor was just created.
        assert_eq!(unsafe { udpr_reactor_free(first) }, 0);
        set_hook(hook);
    });
}

/// The lowest free descriptor: the kernel always assigns that one (open(2)).
fn lowest_free() -> i32 {
    // SAFETY: the arguments are integers; the result is -1 without a standard input.
    let fd = unsafe { libc::fcntl(0, libc::F_DUPFD_CLOEXEC, 3) };
    // SAFETY: the descriptor was just created, and nothing else uses it.
    unsafe { libc::close(fd) };
    fd
}
