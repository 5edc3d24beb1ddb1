//! The values that options of an adopted socket had before the port changed them. They are restored when the port stops, for
//! the other holders of the socket.

use super::Open;
use crate::addr::Addr;
use crate::log::Level;
use crate::sys::{OptionValue, SavedOption, SocketOption};
use std::cell::RefCell;
use std::ffi::CStr;
use std::io;

/// What an adopted socket had when it was adopted.
#[derive(Debug)]
pub(super) struct SavedOptions {
    peer: Option<Addr>,
    /// In the order in which the port has changed them.
    options: RefCell<Vec<SavedOption>>,
}

impl SavedOptions {
    pub(super) fn new(peer: Option<Addr>) -> SavedOptions {
        SavedOptions { peer, options: RefCell::default() }
    }

    /// True if the port has changed the option.
    fn has(&self, option: SocketOption) -> bool {
        self.options.borrow().iter().any(|saved| saved.option() == option)
    }
}

impl Open {
    /// Sets an option. The value that an adopted socket had before the first change is restored when the port stops.
    pub(super) fn set_option(&self, option: SocketOption, value: impl Into<OptionValue>) -> io::Result<()> {
        let (kernel, fd, value) = (&*self.context.kernel, self.fd.get(), value.into());
        let Some(saved) = self.saved_options.as_ref().filter(|saved| !saved.has(option)) else {
            return kernel.set_option(fd, option, value);
        };
        let was = kernel.save_option(fd, option)?;
        if !was.is(value) {
            kernel.set_option(fd, option, value)?;
            saved.options.borrow_mut().push(was);
        }
        Ok(())
    }

    /// Gives an adopted socket back to its other holders as it was adopted: without the port's groups, with its options and
    /// its peer.
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
        for option in saved.options.take().iter().rev() {
            let restored = self.context.kernel.restore_option(self.fd.get(), option);
            self.warn(restored.map_err(Into::into), c"an option is not restored");
        }
        if differs(peer) {
            let (_, connected) = self.connect_socket(peer.as_ref(), saved.peer.as_ref());
            self.warn(connected, c"the peer is not restored");
        }
    }

    fn warn(&self, result: crate::status::Result, text: &CStr) {
        if let Err(status) = result {
            self.context.log.log(Level::Warn, status, c"port", format_args!("{}", text.to_string_lossy()));
        }
    }
}
