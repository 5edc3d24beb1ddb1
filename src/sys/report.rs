//! Reports of datagrams that were not delivered.

use crate::addr::Addr;
use crate::status::Status;

/// Who found an error, with the numbers of `udpr_origin_code`.
pub mod origin {
    use crate::abi::udpr_origin_code as Code;

    /// The system of this host.
    pub const LOCAL: u32 = Code::UDPR_ORIGIN_LOCAL as u32;
    /// An ICMP message.
    pub const ICMP: u32 = Code::UDPR_ORIGIN_ICMP as u32;
    /// An ICMPv6 message.
    pub const ICMP6: u32 = Code::UDPR_ORIGIN_ICMP6 as u32;
}

/// An error about a datagram that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The error.
    pub status: Status,
    /// One of [`origin`].
    pub origin: u32,
    /// The destination that failed.
    pub to: Addr,
    /// The sender of the ICMP message; unspecified if the origin is local.
    pub reporter: Addr,
    /// The type of the ICMP message, otherwise 0.
    pub icmp_type: u32,
    /// The code of the ICMP message, otherwise 0.
    pub icmp_code: u32,
    /// The MTU of the path in bytes with MESSAGE_TOO_LONG, otherwise 0.
    pub mtu: u32,
    /// As much of the datagram as was returned; empty if there was no memory for it.
    pub data: Box<[u8]>,
    /// The tag of the datagram; 0 if it is not known.
    pub tag: u64,
}

impl Report {
    /// A copy for [`Report::data`], which is empty if there is no memory for it.
    pub fn copy(data: &[u8]) -> Box<[u8]> {
        let mut copy = Vec::new();
        if copy.try_reserve_exact(data.len()).is_ok() {
            copy.extend_from_slice(data);
        }
        copy.into_boxed_slice()
    }
}
