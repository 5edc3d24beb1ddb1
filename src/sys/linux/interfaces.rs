//! The list of network interfaces and their addresses, with rtnetlink(7). getifaddrs(3) has neither the MTU nor the name of the
//! interface of an address with a label ("eth0:1").

use super::interface::{flags, reason};
use super::netlink::{self, Entry, read_u32};
use crate::abi::udpr_interface;
use crate::addr::Addr;
use crate::status::Result;
use std::ffi::c_char;
use std::io;

/// How often the list is read again if it has changed in the meantime. The last reading counts in any case.
const TRIES: usize = 16;
/// The lengths of an `ifinfomsg` and an `ifaddrmsg`.
const LINK_HEAD: usize = 16;
const ADDRESS_HEAD: usize = 8;

/// An address of an interface, with what belongs to it.
struct Address {
    index: u32,
    /// The place in the kernel's list.
    order: usize,
    prefix_length: u32,
    address: Addr,
    broadcast: Addr,
}

/// One element for each address of each interface, and one for each interface without addresses, in the calling thread's network
/// namespace. The elements have no `size` yet.
///
/// # Errors
/// NO_MEMORY; any other status says why the system could not be asked.
pub fn list() -> Result<Vec<udpr_interface>> {
    for _ in 1..TRIES {
        if let (list, true) = read()? {
            return Ok(list);
        }
    }
    read().map(|(list, _)| list)
}

/// The list, and whether nothing has changed while it was read.
fn read() -> Result<(Vec<udpr_interface>, bool)> {
    let (mut links, mut addresses) = (Vec::new(), Vec::new());
    let same_links = netlink::dump(libc::RTM_GETLINK, |entry| push(&mut links, link(&entry)));
    let same_addresses = netlink::dump(libc::RTM_GETADDR, |entry| {
        let order = addresses.len();
        push(&mut addresses, address(&entry, order))
    });
    let is_consistent = same_links.and_then(|links| Ok(links && same_addresses?));
    let is_consistent = is_consistent.map_err(|error| reason(&error))?;
    Ok((join(&links, addresses)?, is_consistent))
}

fn push<T>(list: &mut Vec<T>, element: Option<T>) -> io::Result<()> {
    let Some(element) = element else { return Ok(()) };
    list.try_reserve(1).map_err(|_| io::Error::from_raw_os_error(libc::ENOMEM))?;
    list.push(element);
    Ok(())
}

/// Gives each interface its addresses, in the kernel's order.
fn join(links: &[udpr_interface], mut addresses: Vec<Address>) -> Result<Vec<udpr_interface>> {
    addresses.sort_unstable_by_key(|one| (one.index, one.order));
    let mut list = Vec::new();
    list.try_reserve(links.len() + addresses.len())?;
    for link in links {
        let first = addresses.partition_point(|one| one.index < link.index);
        let own = addresses[first..].iter().take_while(|one| one.index == link.index);
        let before = list.len();
        list.extend(own.map(|one| udpr_interface {
            prefix_length: one.prefix_length,
            address: one.address,
            broadcast: one.broadcast,
            ..*link
        }));
        if list.len() == before {
            list.push(*link);
        }
    }
    Ok(list)
}

/// An interface, without its addresses. None if the kernel gives it no name.
fn link(entry: &Entry<'_>) -> Option<udpr_interface> {
    let (mut name, mut hardware) = ([0; 64], [0; 32]);
    let attribute = |kind| entry.attribute(LINK_HEAD, kind);
    // The last byte of the array stays NUL.
    let known = attribute(libc::IFLA_IFNAME)?.iter().take_while(|byte| **byte != 0).take(name.len() - 1);
    name.iter_mut().zip(known).for_each(|(to, from)| *to = *from as c_char);
    let address = attribute(libc::IFLA_ADDRESS).unwrap_or_default();
    let hardware_len = address.len().min(hardware.len());
    hardware[..hardware_len].copy_from_slice(&address[..hardware_len]);
    Some(udpr_interface {
        size: 0,
        index: entry.word(4)?,
        flags: flags(entry.word(8)?),
        mtu: attribute(libc::IFLA_MTU).and_then(|value| read_u32(value, 0)).unwrap_or(0),
        prefix_length: 0,
        address: Addr::UNSPECIFIED,
        broadcast: Addr::UNSPECIFIED,
        hardware,
        hardware_len: hardware_len as u32,
        reserved: 0,
        name,
    })
}

/// An IPv4 or IPv6 address. If there is a peer, IFA_ADDRESS is the peer, and IFA_LOCAL the address (linux/if_addr.h).
fn address(entry: &Entry<'_>, order: usize) -> Option<Address> {
    let (family, index) = (entry.byte(0)?, entry.word(4)?);
    let read = |kind| ip(family, index, entry.attribute(ADDRESS_HEAD, kind)?);
    let first = read(libc::IFA_ADDRESS);
    let address = read(libc::IFA_LOCAL).or(first)?;
    let peer = first.filter(|peer| *peer != address);
    let broadcast = read(libc::IFA_BROADCAST).or(peer).unwrap_or(Addr::UNSPECIFIED);
    Some(Address { index, order, prefix_length: entry.byte(1)?.into(), address, broadcast })
}

fn ip(family: u8, index: u32, bytes: &[u8]) -> Option<Addr> {
    match family.into() {
        libc::AF_INET => Some(Addr::v4(*bytes.first_chunk()?, 0)),
        libc::AF_INET6 => {
            let addr = Addr::v6(*bytes.first_chunk()?, 0, 0);
            Some(Addr { scope_id: if addr.needs_scope() { index } else { 0 }, ..addr })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::udpr_interface_flag as Flag;
    use crate::sys::interface;
    use std::ffi::CStr;

    fn name(one: &udpr_interface) -> String {
        let bytes: Vec<u8> = one.name.iter().map(|byte| *byte as u8).collect();
        CStr::from_bytes_until_nul(&bytes).expect("a NUL").to_str().expect("UTF-8").to_owned()
    }

    #[test]
    fn names_and_addresses_are_those_of_getifaddrs() {
        let list = list().expect("rtnetlink");
        assert!(list.iter().any(|one| one.flags & Flag::UDPR_INTERFACE_LOOPBACK as u32 != 0));
        for one in &list {
            assert_eq!(interface::index_by_name(&name(one)), Ok(one.index));
            if one.address != Addr::UNSPECIFIED {
                assert!(interface::interface_index(&one.address.to_string()).is_ok(), "{}", one.address);
            }
        }
    }

    fn element(index: u32) -> udpr_interface {
        let mut one = link_of(&[(libc::IFLA_IFNAME, b"x\0")]).expect("a name");
        one.index = index;
        one
    }

    /// An interface with index 5 and every flag, and these attributes.
    fn link_of(attributes: &[(u16, &[u8])]) -> Option<udpr_interface> {
        let mut bytes = [[0; 4], 5u32.to_ne_bytes(), [0xff; 4], [0; 4]].concat();
        for (kind, value) in attributes {
            bytes.extend((4 + value.len() as u16).to_ne_bytes());
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(*value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        link(&Entry(&bytes))
    }

    #[test]
    fn links_of_any_content() {
        assert!(link_of(&[]).is_none());
        let long = link_of(&[(libc::IFLA_IFNAME, &[b'n'; 100]), (libc::IFLA_ADDRESS, &[7; 40])]);
        let long = long.expect("a name");
        assert_eq!((name(&long), long.hardware, long.hardware_len), ("n".repeat(63), [7; 32], 32));
        assert_eq!((long.index, long.flags, long.mtu), (5, 31, 0));
        let mtu = link_of(&[(libc::IFLA_MTU, &1500u32.to_ne_bytes()), (libc::IFLA_IFNAME, b"eth0\0")]);
        assert_eq!(mtu.map(|one| (one.mtu, one.hardware_len)), Some((1500, 0)));
    }

    #[test]
    fn interfaces_get_their_addresses_in_order() {
        let address = |index, order: usize| Address {
            index,
            order,
            prefix_length: 8,
            address: Addr::v4([10, 0, 0, order as u8], 0),
            broadcast: Addr::UNSPECIFIED,
        };
        let links = [element(7), element(2), element(3)];
        let list = join(&links, vec![address(2, 0), address(9, 1), address(7, 2), address(2, 3)]);
        let list: Vec<_> =
            list.expect("memory").iter().map(|one| (one.index, one.address.bytes[3])).collect();
        assert_eq!(list, [(7, 2), (2, 0), (2, 3), (3, 0)]);
    }
}
