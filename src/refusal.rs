//! Why a call is refused: which argument, what was given, and what is allowed.
//!
//! A check that fails returns `Err(refusal::invalid(..))`, or one of the functions next to it, instead of a bare status. The
//! status goes its way; the reason stays in a variable of the thread, as errno does, until the function of the C API that
//! returns the status takes it for its log record (`capi/guard.rs`). A check that succeeds costs nothing, and one that fails
//! formats nothing unless there is a logger that wants it.

use crate::status::Status;
use std::cell::Cell;
use std::fmt;

/// What the caller gave.
#[derive(Debug)]
enum Given {
    Null,
    Number(u64),
    Bits(u32),
    /// It has no number, and the rule describes it.
    Described,
}

/// Why a call is refused.
#[derive(Debug)]
pub struct Refusal {
    status: Status,
    /// The array and the index of the element that the argument belongs to.
    element: Option<(&'static str, usize)>,
    argument: &'static str,
    /// The field of the argument, or "".
    field: &'static str,
    given: Given,
    /// What is allowed.
    rule: &'static str,
}

thread_local! {
    static PENDING: Cell<Option<Refusal>> = const { Cell::new(None) };
}

/// An argument that must not be NULL.
#[cold]
#[inline(never)]
pub fn null(argument: &'static str) -> Status {
    keep(Status::INVALID_ARGUMENT, argument, "", Given::Null, "")
}

/// A number that is not allowed. `rule` says which are, as in "1 to 65535".
#[cold]
#[inline(never)]
pub fn invalid(argument: &'static str, given: u64, rule: &'static str) -> Status {
    keep(Status::INVALID_ARGUMENT, argument, "", Given::Number(given), rule)
}

/// A number in a field, as in "to->" "port".
#[cold]
#[inline(never)]
pub fn invalid_field(argument: &'static str, field: &'static str, given: u64, rule: &'static str) -> Status {
    keep(Status::INVALID_ARGUMENT, argument, field, Given::Number(given), rule)
}

/// An argument that is wrong for a reason that is no number, as in "name" "has an empty label".
#[cold]
#[inline(never)]
pub fn wrong(argument: &'static str, description: &'static str) -> Status {
    keep(Status::INVALID_ARGUMENT, argument, "", Given::Described, description)
}

/// Flags that are not allowed here, as in "options->flags" "which are for adopting only".
#[cold]
#[inline(never)]
pub fn invalid_flags(argument: &'static str, bits: u32, rule: &'static str) -> Status {
    keep(Status::INVALID_ARGUMENT, argument, "", Given::Bits(bits), rule)
}

/// Flags that this version of the library does not know.
#[cold]
#[inline(never)]
pub fn unknown_flags(argument: &'static str, bits: u32) -> Status {
    keep(Status::VERSION, argument, "", Given::Bits(bits), "which this version does not know")
}

/// A field that only a later version knows.
#[cold]
#[inline(never)]
pub fn unknown_field(argument: &'static str, field: &'static str, given: u64, rule: &'static str) -> Status {
    keep(Status::VERSION, argument, field, Given::Number(given), rule)
}

/// A struct of a later version, in which fields that this version does not know are set.
#[cold]
#[inline(never)]
pub fn newer(path: &'static str) -> Status {
    keep(
        Status::VERSION,
        path,
        "size",
        Given::Described,
        "is a later version's, and fields behind ours are not 0",
    )
}

/// Something that this system, reactor or descriptor cannot do, as in "fd" "is a regular file".
#[cold]
#[inline(never)]
pub fn unsupported(argument: &'static str, description: &'static str) -> Status {
    keep(Status::NOT_SUPPORTED, argument, "", Given::Described, description)
}

/// A number that stands for something that the library does not support.
#[cold]
#[inline(never)]
pub fn unsupported_number(argument: &'static str, given: u64, rule: &'static str) -> Status {
    keep(Status::NOT_SUPPORTED, argument, "", Given::Number(given), rule)
}

/// A status that a callback of the program returned.
#[cold]
#[inline(never)]
pub fn returned(status: Status, callback: &'static str) -> Status {
    keep(status, callback, "", Given::Described, "returned this status")
}

/// Adds to the reason of `status` that the argument belongs to an element of an array. Of an array in an array it is the inner one.
#[cold]
#[inline(never)]
pub fn in_element(array: &'static str, index: usize, status: Status) -> Status {
    if let Some(refusal) = take(status) {
        let element = refusal.element.or(Some((array, index)));
        PENDING.set(Some(Refusal { element, ..refusal }));
    }
    status
}

/// True for the statuses that have a reason.
pub fn has_reason(status: Status) -> bool {
    matches!(status, Status::INVALID_ARGUMENT | Status::VERSION | Status::NOT_SUPPORTED)
}

/// Takes the reason of a status that is being returned. None if the status came from the system.
pub fn take(status: Status) -> Option<Refusal> {
    if has_reason(status) { PENDING.take().filter(|refusal| refusal.status == status) } else { None }
}

/// Drops the reason of a status, for a function that has no logger.
#[cold]
#[inline(never)]
pub fn forget(status: Status) {
    take(status);
}

#[inline(never)]
fn keep(
    status: Status,
    argument: &'static str,
    field: &'static str,
    given: Given,
    rule: &'static str,
) -> Status {
    PENDING.set(Some(Refusal { status, element: None, argument, field, given, rule }));
    status
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((array, index)) = self.element {
            write!(f, "{array}[{index}].")?;
        }
        f.write_str(self.argument)?;
        f.write_str(self.field)?;
        match self.given {
            Given::Null => f.write_str(" is NULL"),
            Given::Number(number) => write!(f, " is {number}; {}", self.rule),
            Given::Bits(bits) => write!(f, " has 0x{bits:x}, {}", self.rule),
            Given::Described => write!(f, " {}", self.rule),
        }
    }
}

/// A call that was refused, as its log record describes it.
#[derive(Debug)]
pub struct RefusedCall {
    /// The status that it returns.
    pub status: Status,
    /// The function of the C API.
    pub function: &'static str,
    /// None if the system refused it.
    pub refusal: Option<Refusal>,
}

impl fmt::Display for RefusedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.function)?;
        match &self.refusal {
            Some(refusal) => refusal.fmt(f),
            None => f.write_str(self.status.message().to_str().unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(status: Status) -> String {
        take(status).map_or(String::new(), |refusal| refusal.to_string())
    }

    #[test]
    fn each_kind_names_the_argument() {
        assert_eq!(text_of(null("peer")), "peer is NULL");
        assert_eq!(text_of(invalid("ttl", 256, "1 to 255")), "ttl is 256; 1 to 255");
        assert_eq!(text_of(invalid_field("to->", "port", 0, "1 to 65535")), "to->port is 0; 1 to 65535");
        assert_eq!(text_of(wrong("host", "has an empty label")), "host has an empty label");
        assert_eq!(
            text_of(unknown_flags("options->flags", 0x50)),
            "options->flags has 0x50, which this version does not know"
        );
        assert_eq!(text_of(unknown_field("to->", "reserved", 1, "only 0")), "to->reserved is 1; only 0");
        assert_eq!(text_of(unsupported("fd", "is a regular file")), "fd is a regular file");
        assert_eq!(text_of(unsupported_number("name", 4, "managed")), "name is 4; managed");
        let inner = in_element("messages", 3, null("data"));
        assert_eq!((inner, text_of(inner)), (Status::INVALID_ARGUMENT, "messages[3].data is NULL".into()));
        let piece = in_element("messages", 3, in_element("pieces", 1, null("data")));
        assert_eq!(text_of(piece), "pieces[1].data is NULL");
    }

    #[test]
    fn a_reason_is_taken_once_and_only_for_its_status() {
        let status = null("fn");
        assert!(take(Status::CLOSED).is_none());
        assert!(take(status).is_some());
        assert!(take(status).is_none());
        null("fn");
        assert!(take(Status::VERSION).is_none());
        assert!(take(Status::INVALID_ARGUMENT).is_none(), "it was dropped");
        assert_eq!(in_element("messages", 0, Status::CLOSED), Status::CLOSED);
    }

    #[test]
    fn a_refusal_of_the_system_has_the_message_of_its_status() {
        let status = Status::NOT_SUPPORTED;
        let call = RefusedCall { status, function: "udpr_reactor_watch", refusal: None };
        assert!(call.to_string().starts_with("udpr_reactor_watch: "));
        assert!(call.to_string().len() > 30);
    }
}
