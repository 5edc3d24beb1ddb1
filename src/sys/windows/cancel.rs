//! Threads are not cancelled here.

/// Has no effect.
#[derive(Debug)]
pub struct CancelDisabled(());

impl CancelDisabled {
    /// Has no effect.
    #[inline]
    pub fn begin() -> CancelDisabled {
        CancelDisabled(())
    }
}
