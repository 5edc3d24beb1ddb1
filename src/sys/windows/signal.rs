//! Signals of the console as wake-ups of reactors: Ctrl-C is SIGINT, and Ctrl-Break SIGBREAK, as in the C runtime.
//!
//! The system calls our handler on a thread of its own. It is installed once, and stays: without a reactor that listens, the next
//! handler is called, as if it were not there. It must not be removed while another thread waits for the lock of the system's
//! list of handlers, which the system holds while it calls them. A host that installs its own handler later is asked before ours.

use super::waker::{Waker, WakerState};
use crate::refusal;
use crate::status::Result;
use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use windows_sys::Win32::System::Console::{CTRL_BREAK_EVENT, CTRL_C_EVENT, SetConsoleCtrlHandler};
use windows_sys::Win32::System::LibraryLoader::{
    GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_PIN, GetModuleHandleExW,
};
use windows_sys::core::BOOL;

/// The numbers of signal.h.
const SIGINT: i32 = 2;
const SIGBREAK: i32 = 21;

/// The signals that stop a reactor that asks for it.
pub const STOP_SIGNALS: [i32; 2] = [SIGINT, SIGBREAK];

/// The wakers that have listened to a signal.
static WAKERS: Mutex<Vec<Weak<WakerState>>> = Mutex::new(Vec::new());

/// Whether a program may listen to this signal.
///
/// # Errors
/// INVALID_ARGUMENT for all numbers but SIGINT and SIGBREAK.
pub fn check_number(signal: i32) -> Result {
    if STOP_SIGNALS.contains(&signal) {
        return Ok(());
    }
    Err(match u64::try_from(signal) {
        Ok(number) => refusal::invalid("signal_number", number, "a signal of the console: SIGINT, SIGBREAK"),
        Err(_) => refusal::wrong("signal_number", "is negative"),
    })
}

/// Begins to listen to a signal: from now on, it wakes `waker`, and [`Waker::take_signals`] returns it.
///
/// # Errors
/// Those of SetConsoleCtrlHandler.
pub fn listen(waker: &Waker, signal: i32) -> io::Result<()> {
    install()?;
    let mut wakers = wakers();
    wakers.retain(|other| other.strong_count() > 0);
    let state = Arc::downgrade(waker.state());
    if !wakers.iter().any(|other| other.ptr_eq(&state)) {
        wakers.push(state);
    }
    waker.state().listen(signal);
    Ok(())
}

/// Ends what [`listen`] has begun.
pub fn unlisten(waker: &Waker, signal: i32) {
    waker.state().unlisten(signal);
}

fn wakers() -> std::sync::MutexGuard<'static, Vec<Weak<WakerState>>> {
    WAKERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Installs our handler, and keeps the library that contains it in memory.
fn install() -> io::Result<()> {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    if INSTALLED.get().is_some() {
        return Ok(());
    }
    let flags = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN;
    let (mut module, address) = (std::ptr::null_mut(), handle as *const () as *const u16);
    // SAFETY: an address in this library, and a place for its handle.
    check(unsafe { GetModuleHandleExW(flags, address, &mut module) })?;
    // SAFETY: a function that stays in memory. If two threads install it, it is called twice, which does no harm.
    check(unsafe { SetConsoleCtrlHandler(Some(handle), 1) })?;
    INSTALLED.get_or_init(|| ());
    Ok(())
}

fn check(result: BOOL) -> io::Result<()> {
    if result == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Returns 0 if no reactor listens, so that the next handler is called.
unsafe extern "system" fn handle(event: u32) -> BOOL {
    let signal = match event {
        CTRL_C_EVENT => SIGINT,
        CTRL_BREAK_EVENT => SIGBREAK,
        _ => return 0,
    };
    let listeners =
        wakers().iter().filter_map(Weak::upgrade).filter(|waker| waker.record_signal(signal)).count();
    BOOL::from(listeners > 0)
}
