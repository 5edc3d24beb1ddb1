//! IPv4 and IPv6 addresses with port and zone: values, read from and written as text.

mod hash;

use crate::refusal;
use crate::status::{Result, Status};
use std::cmp::Ordering;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The numbers in [`Addr::family`]. Unlike the kernel's they are the same on every system.
pub mod family {
    use crate::abi::udpr_family_code as Code;

    /// No address.
    pub const UNSPEC: u16 = Code::UDPR_AF_UNSPEC as u16;
    /// IPv4.
    pub const INET: u16 = Code::UDPR_AF_INET as u16;
    /// IPv6.
    pub const INET6: u16 = Code::UDPR_AF_INET6 as u16;
}

/// An IP address and a UDP port, as the header has it.
pub use crate::abi::udpr_addr as Addr;

const _: () = assert!(size_of::<Addr>() == 32 && align_of::<Addr>() == 4);

/// ::ffff:0.0.0.0/96, the IPv4 addresses as a dual-stack port sees them (RFC 4291, 2.5.5.2).
const V4_MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

impl Addr {
    /// No address.
    pub const UNSPECIFIED: Addr =
        Addr { family: family::UNSPEC, port: 0, scope_id: 0, flow_info: 0, bytes: [0; 16], reserved: 0 };

    /// An IPv4 address.
    #[inline]
    pub const fn v4(ip: [u8; 4], port: u16) -> Addr {
        let [a, b, c, d] = ip;
        let bytes = [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        Addr { family: family::INET, port, bytes, ..Addr::UNSPECIFIED }
    }

    /// An IPv6 address; `scope_id` is 0 or the interface's index.
    #[inline]
    pub const fn v6(bytes: [u8; 16], port: u16, scope_id: u32) -> Addr {
        Addr { family: family::INET6, port, scope_id, bytes, ..Addr::UNSPECIFIED }
    }

    /// Whether a caller's address can be used. `path` leads to its fields, as in "to->".
    ///
    /// # Errors
    /// INVALID_ARGUMENT for an unknown family, VERSION if the reserved word is not zero.
    #[inline]
    pub fn check(&self, path: &'static str) -> Result {
        let is_ip = self.family == family::INET || self.family == family::INET6;
        if is_ip && self.reserved == 0 { Ok(()) } else { Err(self.refuse(path)) }
    }

    #[cold]
    fn refuse(&self, path: &'static str) -> Status {
        match self.family {
            family::INET | family::INET6 => {
                refusal::unknown_field(path, "reserved", self.reserved.into(), "this version knows only 0")
            }
            other => {
                let rule = "UDPR_AF_INET is 4, UDPR_AF_INET6 is 6";
                refusal::invalid_field(path, "family", other.into(), rule)
            }
        }
    }

    /// Whether two addresses are equal bit by bit, or both are None: in few instructions, for the path of every
    /// datagram.
    #[inline]
    pub fn are_identical(one: Option<&Addr>, other: Option<&Addr>) -> bool {
        let Some(other) = other else { return one.is_none() };
        one.is_some_and(|one| {
            let ([a, b, c, d], [e, f, g, h]) = (one.words(), other.words());
            (a ^ e) | (b ^ f) | (c ^ g) | (d ^ h) == 0
        })
    }

    #[inline]
    fn words(&self) -> [u64; 4] {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = self.bytes;
        let half = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        let word = u32::from_ne_bytes;
        [
            u64::from(self.family) | u64::from(self.port) << 16 | u64::from(self.scope_id) << 32,
            half(self.flow_info, word([a, b, c, d])),
            half(word([e, f, g, h]), word([i, j, k, l])),
            half(word([m, n, o, p]), self.reserved),
        ]
    }

    /// 224.0.0.0/4 or ff00::/8.
    pub const fn is_multicast(&self) -> bool {
        match self.family {
            family::INET => self.bytes[0] & 0xf0 == 0xe0,
            family::INET6 => self.bytes[0] == 0xff,
            _ => false,
        }
    }

    /// 0.0.0.0 or ::.
    pub const fn is_any(&self) -> bool {
        match self.family {
            family::INET => u32::from_be_bytes(self.v4_bytes()) == 0,
            family::INET6 => u128::from_be_bytes(self.bytes) == 0,
            _ => false,
        }
    }

    /// Link-local IPv6 addresses and groups: they mean nothing without an interface (RFC 4007).
    pub const fn needs_scope(&self) -> bool {
        let [first, second, ..] = self.bytes;
        let group = first == 0xff && matches!(second & 0x0f, 1 | 2);
        self.family == family::INET6 && (group || (first == 0xfe && second & 0xc0 == 0x80))
    }

    /// A multicast address or 255.255.255.255, also as an IPv4-mapped address. Only the kernel knows the broadcast addresses of
    /// networks.
    pub fn is_group_or_broadcast(&self) -> bool {
        let plain = self.unmap_v4().unwrap_or(*self);
        plain.is_multicast() || (plain.family == family::INET && plain.v4_bytes() == [255; 4])
    }

    /// fe80::/10 or 169.254.0.0/16, also as an IPv4-mapped address: hosts on different links may have the same address.
    pub fn is_link_local(&self) -> bool {
        let plain = self.unmap_v4().unwrap_or(*self);
        let [first, second, ..] = plain.bytes;
        match plain.family {
            family::INET => (first, second) == (169, 254),
            family::INET6 => first == 0xfe && second & 0xc0 == 0x80,
            _ => false,
        }
    }

    /// An IPv4 address in its IPv6 form, ::ffff:1.2.3.4.
    pub fn is_v4_mapped(&self) -> bool {
        self.family == family::INET6 && self.bytes.starts_with(&V4_MAPPED)
    }

    /// 1.2.3.4 to ::ffff:1.2.3.4.
    ///
    /// # Errors
    /// ADDRESS_FAMILY if it is not an IPv4 address.
    pub fn map_v4(&self) -> Result<Addr> {
        if self.family != family::INET {
            return Err(Status::ADDRESS_FAMILY);
        }
        let mut bytes = [0; 16];
        bytes[..12].copy_from_slice(&V4_MAPPED);
        bytes[12..].copy_from_slice(&self.v4_bytes());
        Ok(Addr::v6(bytes, self.port, 0))
    }

    /// ::ffff:1.2.3.4 to 1.2.3.4.
    ///
    /// # Errors
    /// ADDRESS_FAMILY for any other address.
    pub fn unmap_v4(&self) -> Result<Addr> {
        if !self.is_v4_mapped() {
            return Err(Status::ADDRESS_FAMILY);
        }
        let [.., a, b, c, d] = self.bytes;
        Ok(Addr::v4([a, b, c, d], self.port))
    }

    #[inline]
    const fn v4_bytes(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.bytes;
        [a, b, c, d]
    }

    /// The IP address, without the bytes that are no part of an IPv4 address.
    fn ip_bytes(&self) -> [u8; 16] {
        match (self.family, self.v4_bytes()) {
            (family::INET, [a, b, c, d]) => [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            _ => self.bytes,
        }
    }
}

/// Compares family, port, address and zone; not the flow information, which does not identify a host.
impl PartialEq for Addr {
    #[inline]
    fn eq(&self, other: &Addr) -> bool {
        let same_ip = match self.family {
            family::INET => self.v4_bytes() == other.v4_bytes(),
            _ => self.bytes == other.bytes,
        };
        self.family == other.family && self.port == other.port && same_ip && self.scope_id == other.scope_id
    }
}

impl Eq for Addr {}

/// By family, address, zone and port.
impl Ord for Addr {
    fn cmp(&self, other: &Addr) -> Ordering {
        let key = |addr: &Addr| (addr.family, addr.ip_bytes(), addr.scope_id, addr.port);
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for Addr {
    fn partial_cmp(&self, other: &Addr) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Text.
impl Addr {
    /// Reads `1.2.3.4`, `1.2.3.4:53`, `::1`, `[::1]:53`, `fe80::1%eth0` or `[fe80::1%2]:53`. The port is `port` if the
    /// text has none. `zone` returns the index of an interface's name; a zone of digits alone is the index. Allocates
    /// nothing.
    ///
    /// # Errors
    /// INVALID_ADDRESS for any other text; an error of `zone` other than NO_INTERFACE.
    pub fn parse(text: &str, port: u16, zone: impl Fn(&str) -> Result<u32>) -> Result<Addr> {
        if let Some(rest) = text.strip_prefix('[') {
            let (host, digits) = rest.split_once("]:").ok_or(Status::INVALID_ADDRESS)?;
            return parse_v6(host, parse_port(digits)?, zone);
        }
        match text.split_once(':') {
            // IPv6 has two colons at least.
            Some((host, digits)) if !digits.contains(':') => parse_v4(host, parse_port(digits)?),
            _ => Addr::parse_host(text, port, zone),
        }
    }

    /// As [`Addr::parse`], but for the forms without brackets and port only.
    pub fn parse_host(host: &str, port: u16, zone: impl Fn(&str) -> Result<u32>) -> Result<Addr> {
        if host.contains(':') { parse_v6(host, port, zone) } else { parse_v4(host, port) }
    }
}

// The standard library's parsers are strict: four decimal octets without leading zeros, no names, no spaces.
fn parse_v4(host: &str, port: u16) -> Result<Addr> {
    let ip: Ipv4Addr = host.parse().map_err(|_| Status::INVALID_ADDRESS)?;
    Ok(Addr::v4(ip.octets(), port))
}

fn parse_v6(host: &str, port: u16, zone: impl Fn(&str) -> Result<u32>) -> Result<Addr> {
    let (ip, zone_text) = host.split_once('%').map_or((host, None), |(ip, text)| (ip, Some(text)));
    let ip: Ipv6Addr = ip.parse().map_err(|_| Status::INVALID_ADDRESS)?;
    let scope_id = zone_text.map_or(Ok(0), |text| parse_zone(text, zone))?;
    Ok(Addr::v6(ip.octets(), port, scope_id))
}

fn parse_zone(text: &str, zone: impl Fn(&str) -> Result<u32>) -> Result<u32> {
    let index = if all_digits(text) { text.parse().map_err(|_| Status::INVALID_ADDRESS) } else { zone(text) };
    match index {
        Ok(0) | Err(Status::NO_INTERFACE) => Err(Status::INVALID_ADDRESS),
        index => index,
    }
}

fn parse_port(text: &str) -> Result<u16> {
    if !all_digits(text) || text.len() > 5 {
        return Err(Status::INVALID_ADDRESS);
    }
    text.parse().map_err(|_| Status::INVALID_ADDRESS)
}

/// Digits without a sign, which the standard library's integers accept. An empty text is left to them to refuse.
fn all_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The text that [`Addr::parse`] reads, with the zone as a number. Without the port if that is 0.
impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.family, self.port) {
            (family::INET, 0) => write!(f, "{}", Ipv4Addr::from(self.v4_bytes())),
            (family::INET, port) => write!(f, "{}:{port}", Ipv4Addr::from(self.v4_bytes())),
            (family::INET6, 0) => self.fmt_v6(f),
            (family::INET6, port) => {
                f.write_str("[")?;
                self.fmt_v6(f)?;
                write!(f, "]:{port}")
            }
            _ => f.write_str("unspecified"),
        }
    }
}

impl Addr {
    fn fmt_v6(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Ipv6Addr::from(self.bytes))?;
        if self.scope_id != 0 { write!(f, "%{}", self.scope_id) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
