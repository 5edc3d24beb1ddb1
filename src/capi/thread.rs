//! Chapter "threads and names".

use super::callback::{CCall, User};
use super::guard::*;
use super::types::*;
use std::ffi::c_void;

/// Calls `fn` on the reactor's thread in its next turn, in order for each calling thread; kept until there is a turn. For who
/// knows that the reactor lives on. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_call_from_thread(
    reactor: *mut udpr_reactor,
    r#fn: udpr_call_fn,
    user: *mut c_void,
    free_user: udpr_free_fn,
) -> udpr_status {
    let user = User::new(user, free_user);
    status(anywhere(|| remote(reactor)?.call(CCall::new(r#fn, user)?)))
}
