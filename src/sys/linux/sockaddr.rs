//! The heads of Linux's `sockaddr_in` and `sockaddr_in6`.

use crate::sys::sockaddr::Format;

/// The format of this system.
pub(in crate::sys) const FORMAT: Format =
    Format { inet: libc::AF_INET as u16, inet6: libc::AF_INET6 as u16, has_len: false };

#[cfg(test)]
mod tests {
    use crate::addr::Addr;
    use std::mem::offset_of;

    #[test]
    fn the_layout_is_the_kernels() {
        let mut raw = [0xa5; Addr::SOCKADDR_MAX];
        let len = Addr::v4([1, 2, 3, 4], 0x1234).to_sockaddr(&mut raw);
        assert_eq!(len, size_of::<libc::sockaddr_in>());
        let [f0, f1] = (libc::AF_INET as u16).to_ne_bytes();
        assert_eq!(raw[..16], [f0, f1, 0x12, 0x34, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0]);

        let addr = Addr { flow_info: 0x0102_0304, ..Addr::v6([7; 16], 0x1234, 5) };
        assert_eq!(addr.to_sockaddr(&mut raw), size_of::<libc::sockaddr_in6>());
        let [f0, f1] = (libc::AF_INET6 as u16).to_ne_bytes();
        assert_eq!(raw[..4], [f0, f1, 0x12, 0x34]);
        let at = |offset: usize| u32::from_ne_bytes(*raw[offset..].first_chunk().expect("a word"));
        assert_eq!(at(offset_of!(libc::sockaddr_in6, sin6_flowinfo)), 0x0102_0304);
        assert_eq!(at(offset_of!(libc::sockaddr_in6, sin6_scope_id)), 5);
        assert_eq!(raw[offset_of!(libc::sockaddr_in6, sin6_addr)..][..16], addr.bytes);
    }
}
