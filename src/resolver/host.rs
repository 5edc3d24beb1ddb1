//! What a host name may be, and which hosts need no look-up.

use super::HostSpec;
use crate::addr::{Addr, family};
use crate::refusal;
use crate::status::{Result, Status};
use crate::sys::interface;
use std::ffi::CString;

/// Bytes of the longest name (RFC 1035, 2.3.4: 255 on the wire), and of the longest label.
const NAME_MAX: usize = 253;
const LABEL_MAX: usize = 63;

/// What `host` stands for. "" is every address; a literal stands for itself if `version` is 0 or its family; anything
/// else has to be a name.
///
/// # Errors
/// INVALID_ARGUMENT for what cannot be a name: too long, an empty label, a byte that no host name has, or a last label
/// that is a number, which getaddrinfo(3) would read as an address ("127.1", "0x7f.1"; CVE-2024-24806).
pub fn host(host: &str, port: u16, version: u16) -> Result<HostSpec> {
    if ![family::UNSPEC, family::INET, family::INET6].contains(&version) {
        return Err(refusal::invalid("family", version.into(), "a udpr_family_code"));
    }
    let literal = match (host, version) {
        ("", family::INET6) => Ok(Addr::v6([0; 16], port, 0)),
        ("", _) => Ok(Addr::v4([0; 4], port)),
        _ => interface::parse_host(host, port),
    };
    match literal {
        Ok(addr) => {
            let fits = version == family::UNSPEC || version == addr.family;
            return Ok(HostSpec::Known(if fits { Ok(vec![addr]) } else { Err(Status::ADDRESS_FAMILY) }));
        }
        Err(Status::INVALID_ADDRESS) => {}
        // The zone of a literal could not be looked up.
        Err(status) => return Err(status),
    }
    check_name(host)?;
    CString::new(host).map(HostSpec::Name).map_err(|_| refusal::wrong("host", "contains NUL"))
}

fn check_name(name: &str) -> Result {
    // A dot at the end marks a complete name (RFC 1034, 3.1).
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.len() > NAME_MAX {
        return Err(refusal::wrong("host", "is longer than 253 bytes"));
    }
    for label in name.split('.') {
        if !(1..=LABEL_MAX).contains(&label.len()) {
            return Err(refusal::wrong("host", "has an empty label, or one that is longer than 63 bytes"));
        }
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if !label.bytes().all(is_allowed) {
            return Err(refusal::wrong("host", "has a byte other than letters, digits, '-', '_' and '.'"));
        }
    }
    let last = name.rsplit('.').next().unwrap_or_default();
    if is_number(last) { Err(refusal::wrong("host", "has a number as its last label")) } else { Ok(()) }
}

/// Decimal, octal or hexadecimal, as inet_aton(3) reads it.
fn is_number(label: &str) -> bool {
    let hexadecimal = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    match hexadecimal {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in
            ["localhost", "a", "a.b.", "xn--bcher-kva.example", "_dns.example", "0x7f.example", "1.2.3.x"]
        {
            assert!(matches!(host(name, 1, 0), Ok(HostSpec::Name(_))), "{name}");
        }
        let longest = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(61));
        assert_eq!(longest.len(), 253);
        assert!(matches!(host(&longest, 1, 0), Ok(HostSpec::Name(_))));
    }

    #[test]
    fn what_cannot_be_a_name_never_reaches_the_system() {
        let long = "a.".repeat(126) + "bb";
        assert_eq!(long.len(), 254);
        let label = "a".repeat(64);
        let junk = [
            ".",
            "..",
            ".a",
            "a..b",
            "a b",
            "a\u{1}",
            "a/b",
            "a%b",
            "[::1]",
            "::1%nosuch",
            "a:53",
            "b\u{fc}cher",
            "127.1",
            "1.2.3",
            "0x7f.1",
            "0x7f000001",
            "017700000001",
            "2130706433",
            "a.0x1",
            "1.2.3.4.",
            "0x",
            &long,
            &label,
        ];
        for name in junk {
            assert_eq!(host(name, 1, 0).err(), Some(Status::INVALID_ARGUMENT), "{name:?}");
        }
    }

    #[test]
    fn literals_need_no_look_up() {
        let known = |text, version| match host(text, 53, version) {
            Ok(HostSpec::Known(complete)) => complete,
            _ => panic!("{text} is asked for"),
        };
        assert_eq!(known("", 0), Ok(vec![Addr::v4([0; 4], 53)]));
        assert_eq!(known("", 6), Ok(vec![Addr::v6([0; 16], 53, 0)]));
        assert_eq!(known("1.2.3.4", 4), Ok(vec![Addr::v4([1, 2, 3, 4], 53)]));
        assert_eq!(known("::", 4), Err(Status::ADDRESS_FAMILY));
        assert_eq!(host("1.2.3.4", 1, 5).err(), Some(Status::INVALID_ARGUMENT));
    }
}
