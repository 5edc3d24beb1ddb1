//! Instants, and spans of time.

use crate::refusal;
use crate::status::Result;

/// The instant that never comes.
pub const NEVER: u64 = u64::MAX;

/// The instant that is `delay` after `now`: [`NEVER`] if `delay` is that, or if the clock ends before. Errors as of
/// [`check_span`].
pub fn after(now: u64, delay: u64, argument: &'static str) -> Result<u64> {
    if delay == NEVER { Ok(NEVER) } else { Ok(now.saturating_add(check_span(delay, argument)?)) }
}

/// A delay: [`NEVER`], or a span. Errors as of [`check_span`].
pub fn check_delay(delay: u64, argument: &'static str) -> Result<u64> {
    if delay == NEVER { Ok(NEVER) } else { check_span(delay, argument) }
}

/// The span of time in `argument`. INVALID_ARGUMENT above `i64::MAX`, 292 years: it is the difference of an instant and a later
/// one, which unsigned numbers do not have.
pub fn check_span(span: u64, argument: &'static str) -> Result<u64> {
    let is_span = span <= i64::MAX as u64;
    if is_span {
        Ok(span)
    } else {
        Err(refusal::invalid(argument, span, "above INT64_MAX: a negative difference"))
    }
}

/// The span from one periodic call to the next. Errors as of [`check_span`], and for 0.
pub fn check_interval(interval: u64) -> Result<u64> {
    match interval {
        0 | NEVER => Err(refusal::invalid("interval", interval, "1 to INT64_MAX")),
        _ => check_span(interval, "interval"),
    }
}

/// An instant as it is: [`NEVER`], or one that the clock may show. Errors as of [`check_span`].
pub fn check_instant(instant: u64) -> Result<u64> {
    if instant == NEVER { Ok(NEVER) } else { check_span(instant, "instant") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status;

    #[test]
    fn a_negative_difference_is_no_delay() {
        let (late, refused) = (0_u64.wrapping_sub(1_000), Err(Status::INVALID_ARGUMENT));
        assert_eq!(
            (after(5, 0, "delay"), after(5, i64::MAX as u64, "delay")),
            (Ok(5), Ok(i64::MAX as u64 + 5))
        );
        assert_eq!(
            (after(5, late, "delay"), after(5, 1 << 63, "delay"), after(5, NEVER - 1, "delay")),
            (refused, refused, refused)
        );
        assert_eq!((after(5, NEVER, "delay"), check_span(NEVER, "by")), (Ok(NEVER), refused));
    }
}
