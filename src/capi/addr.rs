//! Chapter "addresses and interfaces".

use super::guard::{anywhere, anywhere_briefly, status};
use super::ptr::{self, Out, OutArray};
use crate::abi::*;
use crate::addr::Addr;
use crate::status::{Result, Status};
use crate::sys::{interface, interfaces};
use std::ffi::{CStr, c_char, c_void};
use std::fmt::Write;

/// Reads an address: "1.2.3.4", "1.2.3.4:53", "::1", "[::1]:53", "fe80::1%eth0" or "[fe80::1%2]:53". If the text has no
/// port, `port` is used. Only a zone is looked up. Nothing is allocated. [any thread]
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT for NULL; UDPR_E_INVALID_ADDRESS for any other text, such as a host name;
/// UDPR_E_NO_FILES, UDPR_E_NOT_SUPPORTED or UDPR_E_PERMISSION if a zone cannot be looked up.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_addr_parse(text: *const c_char, port: u16, out: *mut udpr_addr) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (text, out) = (unsafe { ptr::text(text) }, unsafe { Out::new(out) });
    parse(text, port, out, interface::parse_addr)
}

/// Reads an address without brackets and port. Otherwise it is as udpr_addr_parse. [any thread]
///
/// Returns: as udpr_addr_parse.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_addr_parse_host(
    host: *const c_char,
    port: u16,
    out: *mut udpr_addr,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (host, out) = (unsafe { ptr::text(host) }, unsafe { Out::new(out) });
    parse(host, port, out, interface::parse_host)
}

/// Writes an address in the form that udpr_addr_parse reads, with the zone as a number, and without the port if that is
/// 0. `buffer` gets at most `capacity` bytes, NUL-terminated unless `capacity` is 0; UDPR_ADDR_TEXT_MAX is always
/// enough. `buffer` may be NULL if `capacity` is 0. If `out_len` is not NULL, it gets the length of the whole text
/// without NUL. [any thread]
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT if the text does not fit, in which case `buffer` has as much as fits, and
/// for an address that is not valid; UDPR_E_VERSION if its reserved word is not zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_addr_format(
    addr: *const udpr_addr,
    buffer: *mut c_char,
    capacity: usize,
    out_len: *mut usize,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (addr, out_len) = (unsafe { ptr::target(addr) }.copied(), unsafe { Out::new(out_len) });
    status(anywhere(|| {
        out_len.set(0);
        let addr = ptr::required(addr, "addr")?;
        addr.check("addr->")?;
        let mut line = TextBuffer { bytes: [0; UDPR_ADDR_TEXT_MAX], len: 0 };
        write!(line, "{addr}").map_err(|_| Status::INVALID_ARGUMENT)?;
        out_len.set(line.len);
        if buffer.is_null() && capacity > 0 {
            return Err(Status::INVALID_ARGUMENT);
        }
        if capacity > 0 {
            let fits = line.len.min(capacity - 1);
            // SAFETY: `buffer` has room for `capacity` bytes.
            unsafe { std::ptr::copy_nonoverlapping(line.bytes.as_ptr(), buffer.cast(), fits) };
            // SAFETY: as above.
            unsafe { buffer.wrapping_add(fits).write(0) };
        }
        if line.len < capacity { Ok(()) } else { Err(Status::INVALID_ARGUMENT) }
    }))
}

/// Reads a struct sockaddr_in or sockaddr_in6 of `len` bytes. [any thread]
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT for NULL, or if it is too short; UDPR_E_ADDRESS_FAMILY for other families.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_addr_from_sockaddr(
    sockaddr: *const c_void,
    len: usize,
    out: *mut udpr_addr,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let out = unsafe { Out::new(out) };
    status(anywhere_briefly(|| {
        out.check("out")?;
        if sockaddr.is_null() {
            return Err(Status::INVALID_ARGUMENT);
        }
        // A copy, since `out` may be where the sockaddr is.
        let (mut raw, len) = ([0_u8; Addr::SOCKADDR_MAX], len.min(Addr::SOCKADDR_MAX));
        // SAFETY: the caller's sockaddr is `len` bytes; no more than the largest kind is looked at.
        unsafe { std::ptr::copy_nonoverlapping(sockaddr.cast(), raw.as_mut_ptr(), len) };
        out.give("out", Addr::from_sockaddr(&raw[..len])?)
    }))
}

/// Writes a struct sockaddr_in or sockaddr_in6 to `buffer`. If `out_len` is not NULL, it gets the length, even if
/// `capacity` is too small. [any thread]
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT if `capacity` is too small, in which case nothing is written to `buffer`,
/// and for an address that is not valid; UDPR_E_VERSION if its reserved word is not zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_addr_to_sockaddr(
    addr: *const udpr_addr,
    buffer: *mut c_void,
    capacity: usize,
    out_len: *mut usize,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (addr, out_len) = (unsafe { ptr::target(addr) }.copied(), unsafe { Out::new(out_len) });
    status(anywhere_briefly(|| {
        out_len.set(0);
        let addr = ptr::required(addr, "addr")?;
        addr.check("addr->")?;
        let mut raw = [0; Addr::SOCKADDR_MAX];
        let len = addr.to_sockaddr(&mut raw);
        out_len.set(len);
        if buffer.is_null() || capacity < len {
            return Err(Status::INVALID_ARGUMENT);
        }
        // SAFETY: `buffer` has room for `capacity` bytes.
        unsafe { std::ptr::copy_nonoverlapping(raw.as_ptr(), buffer.cast(), len) };
        Ok(())
    }))
}

/// Compares family, port, address and scope of two addresses. [any thread]
///
/// Returns: 1 if they are equal; 0 if they are not, or one is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_addr_equal(a: *const udpr_addr, b: *const udpr_addr) -> udpr_bool {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (a, b) = (unsafe { ptr::target(a) }, unsafe { ptr::target(b) });
    matches!((a, b), (Some(a), Some(b)) if a == b).into()
}

/// Gets a hash of an address, for hash tables. It is the same for addresses that udpr_addr_equal calls equal. If
/// `seed` is a random number that is kept with the table, peers cannot choose addresses that collide. It is not stable
/// between releases or byte orders, so it should not be stored or sent. Nothing is allocated and no lock is taken.
/// [any thread]
///
/// Returns: the hash; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_addr_hash(addr: *const udpr_addr, seed: u64) -> u64 {
    // SAFETY: the caller promises of its pointers what the head of the header says.
    unsafe { ptr::target(addr) }.map_or(0, |addr| addr.seeded_hash(seed))
}

/// Compares two addresses, for sorting and for search trees: by family, then by address, scope and port. NULL comes first, and
/// two NULLs are equal. Nothing is allocated and no lock is taken. [any thread]
///
/// Returns: a number below 0 if `a` comes before `b`; 0 if udpr_addr_equal calls them equal; a number above 0 if `a` comes after
/// `b`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_addr_compare(a: *const udpr_addr, b: *const udpr_addr) -> i32 {
    // SAFETY: the caller promises of its pointers what the head of the header says.
    let (a, b) = (unsafe { ptr::target(a) }, unsafe { ptr::target(b) });
    a.cmp(&b) as i32
}

/// Maps an IPv4 address to IPv6: 1.2.3.4 becomes ::ffff:1.2.3.4, with the same port. A dual-stack port writes to an
/// IPv4 host by this form. [any thread]
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT for NULL; UDPR_E_ADDRESS_FAMILY if it is not an IPv4 address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_addr_map_v4(v4: *const udpr_addr, out: *mut udpr_addr) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (v4, out) = (unsafe { ptr::target(v4) }.copied(), unsafe { Out::new(out) });
    convert(v4, out, Addr::map_v4)
}

/// Maps an IPv6 address back to IPv4: ::ffff:1.2.3.4 becomes 1.2.3.4, with the same port. [any thread]
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT for NULL; UDPR_E_ADDRESS_FAMILY for every other address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_addr_unmap_v4(mapped: *const udpr_addr, out: *mut udpr_addr) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (mapped, out) = (unsafe { ptr::target(mapped) }.copied(), unsafe { Out::new(out) });
    convert(mapped, out, Addr::unmap_v4)
}

/// Gets the index of a network interface by its name ("eth0"), by a local address ("192.0.2.1"; "fe80::1%eth0" by its
/// zone) or by its number ("2"). "0.0.0.0" and "::" give 0, the system's choice. [any thread]
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_NO_INTERFACE if there is none; UDPR_E_NO_FILES if the process has
/// no descriptor left to ask with; UDPR_E_NOT_SUPPORTED or UDPR_E_PERMISSION if a sandbox refuses the socket for it
/// (local addresses need AF_NETLINK).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_interface_index(name_or_address: *const c_char, out: *mut u32) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (name_or_address, out) = (unsafe { ptr::text(name_or_address) }, unsafe { Out::new(out) });
    status(anywhere(|| {
        out.check("out")?;
        let name = ptr::required(name_or_address, "name_or_address")?;
        let name = name.to_str().map_err(|_| Status::NO_INTERFACE)?;
        out.give("out", interface::interface_index(name)?)
    }))
}

/// Lists the network interfaces of the calling thread's network namespace: one element for each address of each interface, and
/// one for each interface without addresses. The elements of an interface follow each other. At most `capacity` elements are
/// stored in the array `out`, which may be NULL if `capacity` is 0. The caller sets out[0].size, which is the distance from each
/// element to the next one, and the library stores it in each. out_count is always written: how many elements there are, which
/// may be more than `capacity`; 0 if they cannot be listed. The list may have changed by the next call. [any thread]
///
/// Returns: UDPR_OK, also if there are more than `capacity`; UDPR_E_INVALID_ARGUMENT if out_count is NULL, or, with a `capacity`
/// that is not 0, `out` is NULL or out[0].size is wrong; UDPR_E_NO_MEMORY; UDPR_E_NO_FILES if the process has no descriptor left
/// to ask with; UDPR_E_NOT_SUPPORTED or UDPR_E_PERMISSION if a sandbox refuses the socket for it (AF_NETLINK).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_interfaces(
    out: *mut udpr_interface,
    capacity: usize,
    out_count: *mut usize,
) -> udpr_status {
    // SAFETY: the caller promises of its pointers what the head of the header says.
    let (out, out_count) = (unsafe { OutArray::new(out, capacity) }, unsafe { Out::new(out_count) });
    out_count.set(0);
    status(anywhere(|| {
        out_count.check("out_count")?;
        let list = interfaces::list()?;
        out_count.set(list.len());
        out.fill("out", &list)
    }))
}

const UDPR_ADDR_TEXT_MAX: usize = udpr_limit::UDPR_ADDR_TEXT_MAX as usize;

/// `from` is a copy, since the caller may convert an address in place: there must be no reference to what `out` changes.
fn convert(
    from: Option<Addr>,
    out: Out<'_, udpr_addr>,
    convert: impl FnOnce(&Addr) -> Result<Addr>,
) -> udpr_status {
    status(anywhere_briefly(|| {
        out.check("out")?;
        out.give("out", convert(&ptr::required(from, "addr")?)?)
    }))
}

fn parse(
    text: Option<&CStr>,
    port: u16,
    out: Out<'_, udpr_addr>,
    parse: impl FnOnce(&str, u16) -> Result<Addr>,
) -> udpr_status {
    status(anywhere(|| {
        out.check("out")?;
        out.give("out", parse(ptr::utf8(text, "text")?, port)?)
    }))
}

struct TextBuffer {
    bytes: [u8; UDPR_ADDR_TEXT_MAX],
    len: usize,
}

impl Write for TextBuffer {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let place = self.bytes.get_mut(self.len..self.len + text.len()).ok_or(std::fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}
