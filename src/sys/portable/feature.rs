//! What this system can do: what its table has.

use super::system::SYSTEM;
use crate::sys::recv_meta::ABSENT;

/// True if the feature of this name works here; false for unknown names.
pub fn is_supported(name: &str) -> bool {
    match name {
        "dual_stack" => true,
        "packet_info" => SYSTEM.numbers.packet_info[0] != ABSENT,
        "message_ttl" => !SYSTEM.kinds.send_ttl.contains(&ABSENT),
        _ => false,
    }
}
