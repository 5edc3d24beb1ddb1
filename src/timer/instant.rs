//! Instants, and spans of time.

use crate::status::{Result, Status};

/// The instant that never comes.
pub const NEVER: u64 = u64::MAX;

/// The instant that is `delay` after `now`: [`NEVER`] if `delay` is that, or if the clock ends before. Errors as of
/// [`check_span`].
pub fn after(now: u64, delay: u64) -> Result<u64> {
    if delay == NEVER { Ok(NEVER) } else { Ok(now.saturating_add(check_span(delay)?)) }
}

/// A span of time as it is. INVALID_ARGUMENT above `i64::MAX`, 292 years: it is the difference of an instant and a later one,
/// which unsigned numbers do not have.
pub fn check_span(span: u64) -> Result<u64> {
    if span <= i64::MAX as u64 { Ok(span) } else { Err(Status::INVALID_ARGUMENT) }
}

/// The span from one periodic call to the next. Errors as of [`check_span`], and for 0.
pub fn check_interval(interval: u64) -> Result<u64> {
    if interval == 0 { Err(Status::INVALID_ARGUMENT) } else { check_span(interval) }
}

/// An instant as it is: [`NEVER`], or one that the clock may show. Errors as of [`check_span`].
pub fn check_instant(instant: u64) -> Result<u64> {
    if instant == NEVER { Ok(NEVER) } else { check_span(instant) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_difference_is_no_delay() {
        let (late, refused) = (0_u64.wrapping_sub(1_000), Err(Status::INVALID_ARGUMENT));
        assert_eq!((after(5, 0), after(5, i64::MAX as u64)), (Ok(5), Ok(i64::MAX as u64 + 5)));
        assert_eq!((after(5, late), after(5, 1 << 63), after(5, NEVER - 1)), (refused, refused, refused));
        assert_eq!((after(5, NEVER), check_span(NEVER)), (Ok(NEVER), refused));
    }
}
