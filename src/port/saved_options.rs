//! What a port changes of an adopted socket is put back when it stops, for the other holders.

use super::Open;
use crate::addr::{Addr, family};
use crate::log::Level;
use crate::status::Result;
use crate::sys::Kernel;
use std::cell::RefCell;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

/// How an adopted socket was found.
#[derive(Debug)]
pub(super) struct SavedOptions {
    peer: Option<Addr>,
    options: RefCell<Vec<Setting>>,
}

/// An option's level and name, and the value to set.
type Setting = (i32, i32, Vec<u8>);

impl SavedOptions {
    pub(super) fn new(peer: Option<Addr>) -> SavedOptions {
        SavedOptions { peer, options: RefCell::default() }
    }

    /// True if the option was changed.
    pub(super) fn knows(&self, level: i32, name: i32) -> bool {
        self.options.borrow().iter().any(|(its_level, its_name, _)| (*its_level, *its_name) == (level, name))
    }
}

/// Forms of time stamps of which the kernel keeps one (`sock_set_timestamp`), with that for SO_TIMESTAMPING behind it, in
/// the order to read them: a later one also tells whether an earlier one is meant.
const STAMPS: [i32; 5] = if cfg!(any(target_arch = "sparc", target_arch = "sparc64")) {
    [0x42, 0x46, 0x21, 0x1d, 0x43]
} else {
    [64, 63, 35, 29, 65]
};

impl Open {
    /// setsockopt(2). On an adopted socket, what was there first is put back when the port stops.
    pub(super) fn set_option(&self, level: i32, name: i32, value: &[u8]) -> Result {
        let (kernel, fd) = (&*self.context.kernel, self.fd.get());
        let Some(saved) = &self.saved_options else {
            return Ok(kernel.set_raw_option(fd, level, name, value)?);
        };
        if saved.knows(level, name) {
            return Ok(kernel.set_raw_option(fd, level, name, value)?);
        }
        let mut was = Vec::new();
        if (level, name) == (libc::SOL_SOCKET, libc::SO_TIMESTAMPNS) {
            was = former_stamps(kernel, fd)?;
        }
        was.push((level, name, former_value(kernel, fd, level, name, value.len())?));
        if was.last().is_some_and(|(.., was)| was == value) {
            return Ok(());
        }
        kernel.set_raw_option(fd, level, name, value)?;
        saved.options.borrow_mut().extend(was);
        Ok(())
    }

    /// Leaves an adopted socket to its other holders as it was found: its groups, its options, and whom it was connected
    /// to.
    pub(super) fn restore(&self) {
        let Some(saved) = &self.saved_options else { return };
        self.leave_groups();
        let mut peer = self.peer.replace(saved.peer);
        let differs = |peer| peer != saved.peer || self.has_lost_device();
        // While a link-local peer binds the socket to an interface, the kernel refuses another one for groups; and whether
        // the former peer can be connected to depends on the former options.
        if differs(peer) {
            (peer, _) = self.connect_socket(peer.as_ref(), None);
        }
        for (level, name, value) in saved.options.take().into_iter().rev() {
            let set = set_again(&*self.context.kernel, self.fd.get(), level, name, &value);
            self.warn(set.map_err(Into::into), c"an option is not put back");
        }
        if differs(peer) {
            let (_, linked) = self.connect_socket(peer.as_ref(), saved.peer.as_ref());
            self.warn(linked, c"the peer is not put back");
        }
    }

    fn warn(&self, result: Result, text: &CStr) {
        if let Err(status) = result {
            self.context.log.log(Level::Warn, status, c"port", format_args!("{}", text.to_string_lossy()));
        }
    }
}

/// The value that setsockopt(2) would have to be given for what is there now.
pub(super) fn former_value(
    kernel: &dyn Kernel,
    fd: RawFd,
    level: i32,
    name: i32,
    len: usize,
) -> Result<Vec<u8>> {
    let value = read(kernel, fd, level, name, len)?;
    let number = value.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes));
    Ok(match (level, name, number) {
        // The kernel has doubled what it was given (socket(7)).
        (libc::SOL_SOCKET, libc::SO_RCVBUF | libc::SO_SNDBUF, Some(doubled)) => {
            (doubled / 2).to_ne_bytes().into()
        }
        // A socket that follows the system's default says what that is.
        (libc::IPPROTO_IP, libc::IP_TTL, Some(ttl)) if is_default(kernel, family::INET, level, name, ttl) => {
            (-1i32).to_ne_bytes().into()
        }
        (libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS, Some(hops))
            if is_default(kernel, family::INET6, level, name, hops) =>
        {
            (-1i32).to_ne_bytes().into()
        }
        _ => value,
    })
}

/// True for what a new socket has.
fn is_default(kernel: &dyn Kernel, version: u16, level: i32, name: i32, value: i32) -> bool {
    let default = kernel.socket(version).and_then(|socket| read(kernel, socket.as_raw_fd(), level, name, 4));
    default.is_ok_and(|default| default == value.to_ne_bytes())
}

fn read(kernel: &dyn Kernel, fd: RawFd, level: i32, name: i32, len: usize) -> io::Result<Vec<u8>> {
    let mut value = vec![0; len];
    let got = kernel.raw_option(fd, level, name, &mut value)?;
    value.truncate(got);
    Ok(value)
}

/// The forms of time stamps that SO_TIMESTAMPNS would replace. A kernel before Linux 5.1 does not know all of them.
fn former_stamps(kernel: &dyn Kernel, fd: RawFd) -> io::Result<Vec<Setting>> {
    let mut found = Vec::new();
    for name in STAMPS.into_iter().filter(|name| *name != libc::SO_TIMESTAMPNS) {
        // An int, or a struct so_timestamping of two.
        match read(kernel, fd, libc::SOL_SOCKET, name, 8) {
            Ok(value) if value.iter().any(|byte| *byte != 0) => found.push((libc::SOL_SOCKET, name, value)),
            Ok(_) => {}
            Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// A buffer may have been larger than the system allows without privilege.
fn set_again(kernel: &dyn Kernel, fd: RawFd, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
    let forced = match (level, name) {
        (libc::SOL_SOCKET, libc::SO_RCVBUF) => Some(libc::SO_RCVBUFFORCE),
        (libc::SOL_SOCKET, libc::SO_SNDBUF) => Some(libc::SO_SNDBUFFORCE),
        _ => None,
    };
    match forced {
        Some(forced) if kernel.set_raw_option(fd, level, forced, value).is_ok() => Ok(()),
        _ => kernel.set_raw_option(fd, level, name, value),
    }
}
