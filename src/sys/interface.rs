//! Network interfaces by name, number or address.

use crate::addr::Addr;
use crate::status::{Result, Status};
use std::ffi::CStr;

pub use super::os::interface::reason;
pub(super) use super::os::interface::*;

/// The index of the interface with this name. Allocates nothing.
///
/// # Errors
/// NO_INTERFACE if this host has none; any other status says why the system could not be asked, for which Unix needs a
/// socket.
pub fn index_by_name(name: &str) -> Result<u32> {
    // Linux cuts a name at a colon, so that an alias "eth0:1" finds "eth0". It would take the port of an address that is
    // written as "fe80::1%eth0:53" for such an alias.
    if name.contains(':') || name.len() >= NAME_SIZE {
        return Err(Status::NO_INTERFACE);
    }
    let mut buffer = [0; NAME_SIZE];
    buffer[..name.len()].copy_from_slice(name.as_bytes());
    // It contains a NUL, or ends before its NUL.
    let text = CStr::from_bytes_with_nul(&buffer[..=name.len()]).map_err(|_| Status::NO_INTERFACE)?;
    index_of_name(text)
}

/// [`Addr::parse`] with this host's interfaces as zones.
pub fn parse_addr(text: &str, port: u16) -> Result<Addr> {
    Addr::parse(text, port, index_by_name)
}

/// [`Addr::parse_host`] with this host's interfaces as zones.
pub fn parse_host(host: &str, port: u16) -> Result<Addr> {
    Addr::parse_host(host, port, index_by_name)
}

/// The interface that a name, a number or an address of this host stands for. An address with a zone stands for the
/// zone; "0.0.0.0" and "::" stand for 0, the system's choice.
///
/// # Errors
/// NO_INTERFACE if this host does not have it, INVALID_ARGUMENT for an empty text; any other status says why the system
/// could not be asked.
pub fn interface_index(text: &str) -> Result<u32> {
    if text.is_empty() {
        return Err(Status::INVALID_ARGUMENT);
    }
    // Digits are a number here, as in a zone (RFC 4007, 11.2), even if an interface has such a name.
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map_err(|_| Status::NO_INTERFACE).and_then(existing);
    }
    match parse_host(text, 0).map(|addr| addr.unmap_v4().unwrap_or(addr)) {
        Ok(addr) if addr.scope_id != 0 => existing(addr.scope_id),
        Ok(addr) if addr.is_any() => Ok(0),
        Ok(addr) => index_of_address(&addr),
        Err(Status::INVALID_ADDRESS) => index_by_name(text),
        Err(status) => Err(status),
    }
}

/// True if there is an interface with this index.
pub fn exists(index: u32) -> bool {
    existing(index).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The name of the loopback interface.
    #[cfg(unix)]
    fn lo_name() -> String {
        let names = ["lo", "lo0"];
        names.into_iter().find(|name| index_by_name(name).is_ok()).expect("a loopback interface").into()
    }

    /// The name of the loopback interface.
    #[cfg(windows)]
    fn lo_name() -> String {
        let index = index_of_address(&Addr::v4([127, 0, 0, 1], 0)).expect("a loopback interface");
        let name = name_of(index).expect("a name");
        CStr::from_bytes_until_nul(&name).expect("a NUL").to_str().expect("UTF-8").into()
    }

    fn lo() -> u32 {
        index_by_name(&lo_name()).expect("a loopback interface")
    }

    #[test]
    fn names() {
        assert_eq!(interface_index(&lo_name()), Ok(lo()));
        assert_eq!(interface_index(""), Err(Status::INVALID_ARGUMENT));
        let long = "l".repeat(300);
        let unknown = ["nosuch", "lo ", " lo", "lo:", "lo:53", "lo\0", "localhost", "-1", "+1", "0x1", &long];
        for text in unknown {
            assert_eq!(interface_index(text), Err(Status::NO_INTERFACE), "{text:?}");
            assert_eq!(index_by_name(text), Err(Status::NO_INTERFACE), "{text:?}");
        }
        assert_eq!(index_by_name(""), Err(Status::NO_INTERFACE));
    }

    #[test]
    fn numbers() {
        assert_eq!(interface_index(&lo().to_string()), Ok(lo()));
        for text in ["0", "4294967295", "4294967296", "99999999999999999999"] {
            assert_eq!(interface_index(text), Err(Status::NO_INTERFACE), "{text}");
        }
    }

    #[test]
    fn addresses() {
        assert_eq!(interface_index("127.0.0.1"), Ok(lo()));
        // As a dual-stack port has it.
        assert_eq!(interface_index("::ffff:127.0.0.1"), Ok(lo()));
        assert_eq!(interface_index("::ffff:0.0.0.0"), Ok(0));
        assert_eq!(interface_index("0.0.0.0"), Ok(0));
        assert_eq!(interface_index("::"), Ok(0));
        // Broadcast and groups are no interface's own address.
        for text in ["255.255.255.255", "224.0.0.1", "ff02::1", "127.0.0.1:1", "[::1]:1", "1.2.3"] {
            assert_eq!(interface_index(text), Err(Status::NO_INTERFACE), "{text}");
        }
    }

    #[test]
    fn zones() {
        let by_number = format!("fe80::1%{}", lo());
        assert_eq!(interface_index(&format!("fe80::1%{}", lo_name())), Ok(lo()));
        assert_eq!(interface_index(&by_number), Ok(lo()));
        for text in ["fe80::1%nosuch", "fe80::1%", "fe80::1%lo:53", "fe80::1%4294967295"] {
            assert_eq!(interface_index(text), Err(Status::NO_INTERFACE), "{text}");
        }
    }

    #[test]
    fn parsing_knows_the_interfaces() {
        let expected = parse_addr(&format!("[fe80::1%{}]:53", lo()), 0).expect("a number");
        assert_eq!(parse_addr(&format!("[fe80::1%{}]:53", lo_name()), 0), Ok(expected));
        assert_eq!(parse_addr(&format!("fe80::1%{}", lo_name()), 53), Ok(expected));
        assert_eq!(parse_host(&format!("fe80::1%{}", lo_name()), 53), Ok(expected));
        for text in ["::1%nosuch", "fe80::1%lo:53", "fe80::1%lo\0", "1.2.3.4%lo"] {
            assert_eq!(parse_addr(text, 53), Err(Status::INVALID_ADDRESS), "{text:?}");
            assert_eq!(parse_host(text, 53), Err(Status::INVALID_ADDRESS), "{text:?}");
        }
    }
}
