//! Datagrams are not merged.

use crate::status::errno::EOPNOTSUPP;
use crate::sys::GsoLimits;
use std::io;

impl GsoLimits {
    /// What the system merges at most, after it has refused a merged message: nothing. None if the error does not come from
    /// merging.
    pub fn narrowed_by(self, error: &io::Error) -> Option<GsoLimits> {
        (error.raw_os_error() == Some(EOPNOTSUPP)).then_some(GsoLimits::NONE)
    }
}
