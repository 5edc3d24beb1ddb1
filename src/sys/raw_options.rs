//! Socket options by their numbers, and their values.

use super::imp::options::encode;
use super::os::multicast::interface_v4;
use super::os::socket::{SO_ERROR, SO_TYPE, SOL_SOCKET};
use super::{Handle, IpVersion, Kernel, OptionValue, SocketOption};
use std::io;

/// An option by its level and name, and a value of it.
pub(super) type Setting = (i32, i32, Value);

/// What setsockopt(2) and getsockopt(2) take for a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) bytes: [u8; Value::MAX],
    len: usize,
}

impl Value {
    /// The length of struct ip_mreqn, the longest value here.
    pub(super) const MAX: usize = 12;

    /// Of at most [`Value::MAX`] bytes.
    pub(super) fn new(value: &[u8]) -> Value {
        let mut bytes = [0; Value::MAX];
        bytes[..value.len()].copy_from_slice(value);
        Value { bytes, len: value.len() }
    }

    /// The value of an option for which the system has no form of its own.
    pub(super) fn of(option: SocketOption, value: OptionValue) -> Value {
        match (option, value) {
            (SocketOption::MulticastInterface(IpVersion::V4), OptionValue::Interface { index, address }) => {
                interface_v4(index, address)
            }
            (_, OptionValue::Interface { index, .. }) => Value::new(&index.to_ne_bytes()),
            (_, OptionValue::Number(number)) => Value::number(number),
        }
    }

    pub(super) fn number(number: i32) -> Value {
        Value::new(&number.to_ne_bytes())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The value that an option had, to be put back later.
#[derive(Debug)]
pub struct SavedOption {
    pub(super) option: SocketOption,
    /// In the order to set them again, the option itself first.
    pub(super) settings: Vec<Setting>,
}

impl SavedOption {
    /// The option.
    pub fn option(&self) -> SocketOption {
        self.option
    }

    /// True if this is the value that the option had.
    pub fn is(&self, value: OptionValue) -> bool {
        self.settings.first().is_some_and(|(.., was)| *was == encode(self.option, value))
    }
}

/// True if the handle is a socket.
pub(super) fn is_socket(kernel: &(impl Kernel + ?Sized), fd: Handle) -> bool {
    integer(kernel, fd, SOL_SOCKET, SO_TYPE).is_ok()
}

/// The pending error of the socket, which this removes: SO_ERROR in socket(7).
pub(super) fn take_error(kernel: &(impl Kernel + ?Sized), fd: Handle) -> io::Result<Option<io::Error>> {
    let errno = integer(kernel, fd, SOL_SOCKET, SO_ERROR)?;
    Ok((errno != 0).then(|| io::Error::from_raw_os_error(errno)))
}

/// An option that is an int.
pub(super) fn integer(kernel: &(impl Kernel + ?Sized), fd: Handle, level: i32, name: i32) -> io::Result<i32> {
    let mut value = [0; 4];
    kernel.raw_option(fd, level, name, &mut value)?;
    Ok(i32::from_ne_bytes(value))
}

/// The first `len` bytes of an option.
pub(super) fn read(
    kernel: &(impl Kernel + ?Sized),
    fd: Handle,
    level: i32,
    name: i32,
    len: usize,
) -> io::Result<Value> {
    let mut bytes = [0; Value::MAX];
    let filled = kernel.raw_option(fd, level, name, &mut bytes[..len])?;
    Ok(Value { bytes, len: filled.min(len) })
}
