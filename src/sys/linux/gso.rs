//! What a refused message says about segmentation offload (UDP_SEGMENT, udp(7)).

use crate::sys::{Failure, GsoLimits};
use std::io;

impl GsoLimits {
    /// What the system merges at most, after it has refused with this error a message merged as `self` says. None if the error
    /// does not come from merging.
    pub fn narrowed_by(self, error: &io::Error) -> Option<GsoLimits> {
        let many_segments = self.segments > GsoLimits::PROBED;
        match Failure::of(error) {
            Failure::Invalid if many_segments => {
                Some(GsoLimits { segments: GsoLimits::PROBED, ..GsoLimits::MAX })
            }
            // A segment above the path's MTU is not fragmented, whereas a datagram sent singly is. Before Linux 6.14 the error
            // is EINVAL.
            Failure::TooLong | Failure::Invalid => {
                Some(GsoLimits { size: self.size.saturating_sub(1), ..GsoLimits::MAX })
            }
            // IPsec on the path, or a device without checksum offload.
            Failure::Other if error.raw_os_error() == Some(libc::EIO) => Some(GsoLimits::NONE),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn narrowed(segments: usize, errno: i32) -> Option<GsoLimits> {
        GsoLimits { segments, size: 1200 }.narrowed_by(&io::Error::from_raw_os_error(errno))
    }

    #[test]
    fn each_refusal_has_its_limit() {
        let shorter = Some(GsoLimits { size: 1199, ..GsoLimits::MAX });
        assert_eq!(narrowed(2, libc::EMSGSIZE), shorter);
        assert_eq!(narrowed(GsoLimits::PROBED, libc::EINVAL), shorter);
        let fewer = GsoLimits { segments: GsoLimits::PROBED, ..GsoLimits::MAX };
        assert_eq!(narrowed(GsoLimits::PROBED + 1, libc::EINVAL), Some(fewer));
        assert_eq!(narrowed(GsoLimits::PROBED + 1, libc::EMSGSIZE), shorter);
        assert_eq!(narrowed(2, libc::EIO), Some(GsoLimits::NONE));
        for errno in [libc::EAGAIN, libc::ENOBUFS, libc::EPERM, libc::ECONNREFUSED, libc::EPIPE] {
            assert_eq!(narrowed(2, errno), None);
        }
    }
}
