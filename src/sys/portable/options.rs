//! The named socket options, by the numbers of the system's table.

use super::system::{Numbers, SYSTEM};
use crate::sys::raw_options::{Value, read};
use crate::sys::recv_meta::{ABSENT, Kind};
use crate::sys::{Handle, IpVersion, Kernel, OptionValue, SavedOption, SocketOption, unsupported};
use std::io;

pub(in crate::sys) use super::socket::socket_kind;
pub(in crate::sys) use crate::sys::raw_options::{integer, is_socket, take_error};

/// The level and the name of an option; none if the system does not have it.
fn number(numbers: &Numbers, option: SocketOption) -> Option<Kind> {
    let of = |pair: [Kind; 2], version: IpVersion| pair[usize::from(version == IpVersion::V6)];
    let found = match option {
        SocketOption::Broadcast => numbers.broadcast,
        SocketOption::ReuseAddress => numbers.reuse_address,
        SocketOption::ReusePort => numbers.reuse_port,
        SocketOption::V6Only => numbers.v6_only,
        SocketOption::ReceiveBuffer => numbers.receive_buffer,
        SocketOption::SendBuffer => numbers.send_buffer,
        SocketOption::Timestamps => numbers.timestamps,
        SocketOption::MergeReceived
        | SocketOption::SendAt
        | SocketOption::SegmentSize
        | SocketOption::ErrorReports(_) => ABSENT,
        SocketOption::PacketInfo(version) => of(numbers.packet_info, version),
        SocketOption::ReceiveTos(version) => of(numbers.receive_tos, version),
        SocketOption::ReceiveTtl(version) => of(numbers.receive_ttl, version),
        SocketOption::DontFragment(version) => of(numbers.dont_fragment, version),
        SocketOption::UnicastTtl(version) => of(numbers.unicast_ttl, version),
        SocketOption::MulticastTtl(version) => of(numbers.multicast_ttl, version),
        SocketOption::MulticastLoop(version) => of(numbers.multicast_loop, version),
        SocketOption::MulticastInterface(version) => of(numbers.multicast_interface, version),
        SocketOption::MulticastAll(version) => of(numbers.multicast_all, version),
    };
    (found != ABSENT).then_some(found)
}

/// What setsockopt(2) takes for a value of an option.
pub(in crate::sys) fn encode(option: SocketOption, value: OptionValue) -> Value {
    match (option, value) {
        (SocketOption::DontFragment(_), OptionValue::Number(on)) => {
            Value::number(SYSTEM.numbers.fragment_values[usize::from(on != 0)])
        }
        _ => Value::of(option, value),
    }
}

/// See [`Kernel::set_option`].
pub(in crate::sys) fn set(
    kernel: &(impl Kernel + ?Sized),
    fd: Handle,
    option: SocketOption,
    value: OptionValue,
) -> io::Result<()> {
    let exclusive = SYSTEM.numbers.exclusive_address;
    if option == SocketOption::ReuseAddress && exclusive != ABSENT {
        let (level, name) = exclusive;
        let is_exclusive = OptionValue::from(value == false.into());
        kernel.set_raw_option(fd, level, name, Value::of(option, is_exclusive).bytes())?;
    }
    match number(&SYSTEM.numbers, option) {
        Some((level, name)) => kernel.set_raw_option(fd, level, name, encode(option, value).bytes()),
        // What a system does not have is off.
        None if value == false.into() => Ok(()),
        None => Err(unsupported()),
    }
}

/// See [`Kernel::option`].
pub(in crate::sys) fn get(
    kernel: &(impl Kernel + ?Sized),
    fd: Handle,
    option: SocketOption,
) -> io::Result<i32> {
    let Some((level, name)) = number(&SYSTEM.numbers, option) else {
        // What a system does not have is off.
        let is_off = matches!(option, SocketOption::MergeReceived | SocketOption::ReusePort);
        return if is_off { Ok(0) } else { Err(unsupported()) };
    };
    let value = integer(kernel, fd, level, name)?;
    Ok(match option {
        SocketOption::DontFragment(_) => (value == SYSTEM.numbers.fragment_values[1]).into(),
        _ => requested(option, value),
    })
}

/// The size of a buffer in the sense in which it is requested.
fn requested(option: SocketOption, value: i32) -> i32 {
    let is_buffer = matches!(option, SocketOption::ReceiveBuffer | SocketOption::SendBuffer);
    if is_buffer && SYSTEM.numbers.doubles_buffers { value / 2 } else { value }
}

/// See [`Kernel::save_option`].
pub(in crate::sys) fn save(
    kernel: &(impl Kernel + ?Sized),
    fd: Handle,
    option: SocketOption,
) -> io::Result<SavedOption> {
    let Some((level, name)) = number(&SYSTEM.numbers, option) else {
        return Ok(SavedOption { option, settings: Vec::new() });
    };
    let value = read(kernel, fd, level, name, 4)?;
    let number = value.bytes().first_chunk().map(|bytes| i32::from_ne_bytes(*bytes));
    let value = number.map_or(value, |number| Value::number(requested(option, number)));
    Ok(SavedOption { option, settings: vec![(level, name, value)] })
}

/// See [`Kernel::restore_option`].
pub(in crate::sys) fn restore(
    kernel: &(impl Kernel + ?Sized),
    fd: Handle,
    saved: &SavedOption,
) -> io::Result<()> {
    let mut settings = saved.settings.iter();
    settings.try_for_each(|(level, name, value)| kernel.set_raw_option(fd, *level, *name, value.bytes()))
}

/// See [`Kernel::drops`]: they are not counted.
pub(in crate::sys) fn drops(_kernel: &(impl Kernel + ?Sized), _fd: Handle) -> Option<u32> {
    None
}
