//! Chapter "library and statuses".

use super::guard::anywhere;
use super::ptr;
use crate::abi::*;
use crate::status::Status;
use crate::sys::feature;
use std::ffi::{CStr, c_char};

/// Gets the version of the loaded library: major << 16 | minor << 8 | patch. Compare it with UDPR_VERSION. [any thread]
#[unsafe(no_mangle)]
pub extern "C" fn udpr_version() -> u32 {
    const fn number(text: &str) -> u32 {
        let (bytes, mut value, mut index) = (text.as_bytes(), 0, 0);
        while index < bytes.len() {
            value = value * 10 + (bytes[index] - b'0') as u32;
            index += 1;
        }
        value
    }
    const VERSION: u32 = number(env!("CARGO_PKG_VERSION_MAJOR")) << 16
        | number(env!("CARGO_PKG_VERSION_MINOR")) << 8
        | number(env!("CARGO_PKG_VERSION_PATCH"));
    VERSION
}

/// Gets the version of the loaded library as text, such as "0.1.0". The text is static. [any thread]
#[unsafe(no_mangle)]
pub extern "C" fn udpr_version_string() -> *const c_char {
    const TEXT: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(text) => text,
        Err(_) => c"",
    };
    TEXT.as_ptr()
}

/// Finds out by trying whether this library can do something on this system: "recvmmsg", "sendmmsg", "gso", "gro",
/// "packet_info", "message_ttl", "send_at", "dual_stack", "bind_device", "error_reports", "full_length" (of a truncated datagram),
/// "kernel_drops", "watch_interfaces", "wipe_on_fork". If a system call is missing or a sandbox refuses it, the library uses another way if there is one (docs/linking.md). [any thread]
///
/// Returns: 1 or 0; 0 for NULL and for names that this version does not know.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_has_feature(name: *const c_char) -> udpr_bool {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let name = unsafe { ptr::text(name) };
    anywhere(|| Ok(feature::is_supported(ptr::utf8(name, "name")?))).is_ok_and(|there| there).into()
}

/// Gets the name of a status, such as "UDPR_E_CLOSED". The text is static. [any thread]
///
/// Returns: the name, never NULL; "UDPR_E_SYSTEM" for every errno without a name, "UDPR_E_UNKNOWN" for numbers that are
/// no status.
#[unsafe(no_mangle)]
pub extern "C" fn udpr_status_name(status: udpr_status) -> *const c_char {
    Status::from_code(status).name().as_ptr()
}

/// Gets the meaning of a status, one line in English. The text is static. [any thread]
///
/// Returns: the text, never NULL, for any number.
#[unsafe(no_mangle)]
pub extern "C" fn udpr_status_message(status: udpr_status) -> *const c_char {
    Status::from_code(status).message().as_ptr()
}

/// Gets the errno that a status stands for. [any thread]
///
/// Returns: the errno, or 0 if there is none.
#[unsafe(no_mangle)]
pub extern "C" fn udpr_status_errno(status: udpr_status) -> i32 {
    Status::from_code(status).errno()
}

/// Gets the errno that comes nearest to a status, for callers that use only errnos (an `OSError`, a host's own error
/// codes). It is the number of this system's C library, on Windows too. Several statuses may have the same one. A
/// status that udpr_status_errno knows keeps that errno, as UDPR_E_SYSTEM - n keeps n; the others have one of this
/// table. [any thread]
///
///  EINVAL          UDPR_E_INVALID_ARGUMENT, UDPR_E_INVALID_ADDRESS, UDPR_E_NOT_MULTICAST
///  EBUSY           UDPR_E_WRONG_THREAD
///  ESRCH           UDPR_E_NOT_RUNNING
///  EALREADY        UDPR_E_ALREADY_RUNNING, UDPR_E_ALREADY_CALLED
///  EDEADLK         UDPR_E_REENTRANT
///  EBADF           UDPR_E_CLOSED
///  ENOENT          UDPR_E_NOT_FOUND, UDPR_E_NAME_NOT_FOUND
///  ECANCELED       UDPR_E_ALREADY_CANCELLED
///  EPROTOTYPE      UDPR_E_SOCKET_TYPE
///  EISCONN         UDPR_E_WRONG_PEER
///  EADDRINUSE      UDPR_E_ALREADY_JOINED
///  EADDRNOTAVAIL   UDPR_E_NOT_JOINED
///  EAGAIN          UDPR_E_NAME_TRY_AGAIN
///  ENOSYS          UDPR_E_VERSION
///  ENOTRECOVERABLE UDPR_E_PANIC
///
/// Returns: the errno; EIO for UDPR_E_SYSTEM itself and for numbers that are no status; 0 for UDPR_OK and above.
#[unsafe(no_mangle)]
pub extern "C" fn udpr_status_nearest_errno(status: udpr_status) -> i32 {
    Status::from_code(status).nearest_errno()
}
