//! The options that ports manage themselves: those that they set, those of groups, and those of UDP, by which systems merge
//! datagrams.

use super::system::{IP, IPV6, SYSTEM, UDP};
use crate::sys::os::socket::{SO_ERROR, SOL_SOCKET};
use crate::sys::recv_meta::Kind;

/// True if ports manage the option with these numbers themselves: nobody else may read or change it.
pub fn is_managed(level: i32, name: i32) -> bool {
    let option: Kind = (level, name);
    let numbers = &SYSTEM.numbers;
    let set = [numbers.packet_info, numbers.receive_tos, numbers.receive_ttl, numbers.multicast_interface];
    // Reading the error would take away one that connection_refused has to report.
    level == UDP
        || option == (SOL_SOCKET, SO_ERROR)
        || [numbers.broadcast, numbers.timestamps].contains(&option)
        || set.iter().any(|pair| pair.contains(&option))
        || ([IP, IPV6].contains(&level) && numbers.groups.contains(&name))
        || (level == IP && numbers.groups_v4.contains(&name))
        || (level == IPV6 && numbers.groups_v6.contains(&name))
}
