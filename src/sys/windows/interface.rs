//! Network interfaces, as IP Helper reports them.

use crate::addr::Addr;
use crate::status::{Result, Status};
use std::ffi::CStr;
use std::{io, ptr, slice};
use windows_sys::Win32::Foundation::{ERROR_BUFFER_OVERFLOW, ERROR_NO_DATA};
use windows_sys::Win32::NetworkManagement::IpHelper::{
    GAA_FLAG_SKIP_ANYCAST, GAA_FLAG_SKIP_DNS_SERVER, GAA_FLAG_SKIP_MULTICAST, GetAdaptersAddresses,
    IP_ADAPTER_ADDRESSES_LH, IP_ADAPTER_UNICAST_ADDRESS_LH, if_indextoname, if_nametoindex,
};
use windows_sys::Win32::Networking::WinSock::AF_UNSPEC;

/// The longest name of an interface, with its NUL: NDIS_IF_MAX_STRING_SIZE.
pub(in crate::sys) const NAME_SIZE: usize = 257;

/// The index of the interface with this name, as `if_indextoname` has it: ethernet_32769.
pub(in crate::sys) fn index_of_name(name: &CStr) -> Result<u32> {
    // SAFETY: the name ends in NUL.
    let index = unsafe { if_nametoindex(name.as_ptr().cast()) };
    if index == 0 { Err(Status::NO_INTERFACE) } else { Ok(index) }
}

/// Why the system could not be asked.
pub fn reason(error: &io::Error) -> Status {
    error.raw_os_error().map_or(Status::SYSTEM, Status::from_errno)
}

/// The index, if there is an interface with this index.
pub(in crate::sys) fn existing(index: u32) -> Result<u32> {
    name_of(index).map(|_| index).ok_or(Status::NO_INTERFACE)
}

/// The name of an interface, which ends in NUL.
pub(in crate::sys) fn name_of(index: u32) -> Option<[u8; NAME_SIZE]> {
    let mut name = [0; NAME_SIZE];
    // SAFETY: the buffer has the bytes that if_indextoname may write.
    let found = unsafe { if_indextoname(index, name.as_mut_ptr()) };
    (index != 0 && !found.is_null()).then_some(name)
}

/// The indexes of all interfaces.
pub(in crate::sys) fn indexes() -> Vec<u32> {
    Adapters::new().map_or(Vec::new(), |adapters| adapters.iter().map(index).collect())
}

/// The index of the interface that has this address.
pub(in crate::sys) fn index_of_address(addr: &Addr) -> Result<u32> {
    let adapters = Adapters::new()?;
    // A link-local address has its zone, which the text did not have.
    let has = |adapter: &&IP_ADAPTER_ADDRESSES_LH| {
        addresses(adapter).any(|(found, _)| Addr { scope_id: 0, ..found } == *addr)
    };
    adapters.iter().find(has).map(index).ok_or(Status::NO_INTERFACE)
}

/// The interfaces and their addresses.
pub(super) struct Adapters {
    /// Aligned as the structs that it contains are.
    buffer: Vec<u64>,
}

impl Adapters {
    pub(super) fn new() -> Result<Adapters> {
        let flags = GAA_FLAG_SKIP_ANYCAST | GAA_FLAG_SKIP_MULTICAST | GAA_FLAG_SKIP_DNS_SERVER;
        let mut buffer: Vec<u64> = Vec::new();
        loop {
            let mut size = (buffer.len() * 8) as u32;
            let first = if buffer.is_empty() { ptr::null_mut() } else { buffer.as_mut_ptr().cast() };
            // SAFETY: the buffer has `size` bytes, and `size` is changed to what is needed.
            let error =
                unsafe { GetAdaptersAddresses(AF_UNSPEC.into(), flags, ptr::null(), first, &mut size) };
            match error {
                0 => return Ok(Adapters { buffer }),
                ERROR_NO_DATA => return Ok(Adapters { buffer: Vec::new() }),
                ERROR_BUFFER_OVERFLOW => {
                    let len = size.div_ceil(8) as usize;
                    buffer.try_reserve_exact(len.saturating_sub(buffer.len()))?;
                    buffer.resize(len, 0);
                }
                other => return Err(Status::from_errno(other as i32)),
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &IP_ADAPTER_ADDRESSES_LH> {
        let first: *const IP_ADAPTER_ADDRESSES_LH =
            if self.buffer.is_empty() { ptr::null() } else { self.buffer.as_ptr().cast() };
        // SAFETY: null, or the first of the list in the buffer.
        let first = unsafe { first.as_ref() };
        // SAFETY: likewise each one's next.
        std::iter::successors(first, |adapter| unsafe { adapter.Next.as_ref() })
    }
}

/// The index, of IPv6 if it has none of IPv4.
pub(super) fn index(adapter: &IP_ADAPTER_ADDRESSES_LH) -> u32 {
    // SAFETY: all members of the union are integers.
    match unsafe { adapter.Anonymous1.Anonymous.IfIndex } {
        0 => adapter.Ipv6IfIndex,
        index => index,
    }
}

/// The addresses of an interface, with the lengths of their prefixes.
pub(super) fn addresses(adapter: &IP_ADAPTER_ADDRESSES_LH) -> impl Iterator<Item = (Addr, u32)> {
    // SAFETY: null, or the first of a list that belongs to the interface.
    let first: Option<&IP_ADAPTER_UNICAST_ADDRESS_LH> = unsafe { adapter.FirstUnicastAddress.as_ref() };
    // SAFETY: likewise each one's next.
    let all = std::iter::successors(first, |entry| unsafe { entry.Next.as_ref() });
    all.filter_map(|entry| {
        let len = entry.Address.iSockaddrLength as usize;
        // SAFETY: the address has that length.
        let raw = unsafe { slice::from_raw_parts(entry.Address.lpSockaddr.cast(), len) };
        Some((Addr::from_sockaddr(raw).ok()?, entry.OnLinkPrefixLength.into()))
    })
}
