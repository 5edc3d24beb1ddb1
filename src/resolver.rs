//! Look-ups that are under way, and what a host name may be.

use crate::addr::{Addr, family};
use crate::slots::{Kind, Slots};
use crate::status::{Result, Status};
use crate::sys::interface;
use crate::timer::Timers;
use std::ffi::CString;

/// Nanoseconds that a look-up may take where its owner says nothing: 60 s.
pub const TIMEOUT_DEFAULT: u64 = 60_000_000_000;
/// Bytes of the longest name (RFC 1035, 2.3.4: 255 on the wire), and of the longest label.
const NAME_MAX: usize = 253;
const LABEL_MAX: usize = 63;

/// What a look-up comes to.
pub type Answer = Result<Vec<Addr>>;

/// What a host name stands for before anybody is asked.
pub enum Host {
    /// No look-up is needed.
    Known(Answer),
    /// A name for the system.
    Name(CString),
}

struct Lookup<T> {
    call: T,
    /// Its deadline, among the others.
    deadline: u64,
    cancelled: bool,
}

/// Look-ups with a `T` to call each.
pub struct Lookups<T> {
    entries: Slots<Lookup<T>>,
    deadlines: Timers<u64>,
    /// Answers for the next turn.
    ready: Vec<(u64, Answer)>,
}

impl<T> Default for Lookups<T> {
    fn default() -> Lookups<T> {
        Lookups { entries: Slots::new(Kind::Lookup), deadlines: Timers::new(), ready: Vec::new() }
    }
}

impl<T> Lookups<T> {
    /// Sees to it that the next [`Lookups::add`] needs no memory. NO_MEMORY.
    pub fn reserve(&mut self) -> Result {
        self.entries.reserve(1)?;
        self.deadlines.reserve()
    }

    /// One more, which gives up at `deadline`.
    pub fn add(&mut self, deadline: u64, call: T) -> u64 {
        let id = self.entries.insert(Lookup { call, deadline: 0, cancelled: false });
        let timer = self.deadlines.insert(deadline, id);
        if let Some(entry) = self.entries.get_mut(id) {
            entry.deadline = timer;
        }
        id
    }

    /// Its answer, for the next turn. NOT_FOUND where it has one already.
    pub fn answer(&mut self, id: u64, answer: Answer) -> Result {
        let timer = self.entries.get(id).ok_or(Status::NOT_FOUND)?.deadline;
        self.deadlines.cancel(timer).map_err(|_| Status::NOT_FOUND)?;
        self.ready.push((id, answer));
        Ok(())
    }

    /// Its answer is CANCELLED, also where it has another one that was not told yet. NOT_FOUND, also the second time.
    pub fn cancel(&mut self, id: u64) -> Result {
        let entry = self.entries.get_mut(id).filter(|entry| !entry.cancelled).ok_or(Status::NOT_FOUND)?;
        entry.cancelled = true;
        // NOT_FOUND: it is on its way, and will find that it was cancelled.
        let _ = self.answer(id, Err(Status::CANCELLED));
        Ok(())
    }

    /// True where none is under way.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// True where an answer waits for the next turn.
    pub fn has_answers(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The answers that there are; a look-up whose time is up by `now` has TIMED_OUT.
    pub fn take_answers(&mut self, now: u64) -> Vec<(u64, Answer)> {
        self.deadlines.begin_pass();
        while let Some(id) = self.deadlines.pop_due(now) {
            self.ready.push((id, Err(Status::TIMED_OUT)));
        }
        std::mem::take(&mut self.ready)
    }

    /// Takes one out, to be called, and whether it was cancelled. None where it was taken before.
    pub fn take(&mut self, id: u64) -> Option<(T, bool)> {
        self.entries.remove(id).map(|entry| (entry.call, entry.cancelled))
    }

    /// The instant at which the next one gives up.
    pub fn next_deadline(&mut self) -> Option<u64> {
        self.deadlines.next_due()
    }

    /// Takes any, for the end.
    pub fn take_any(&mut self) -> Option<T> {
        let id = self.entries.ids().next()?;
        self.take(id).map(|(call, _)| call)
    }

    /// Every look-up without an answer gets this one.
    pub fn answer_all(&mut self, status: Status) {
        let ids: Vec<u64> = self.entries.ids().collect();
        for id in ids {
            // NOT_FOUND: it has one.
            let _ = self.answer(id, Err(status));
        }
    }
}

/// What `host` stands for: "" is every address, a literal itself, where `version` is 0 or its family; anything else must
/// be a name. INVALID_ARGUMENT for what cannot be one: too long, an empty label, a byte that no host name has, or a last
/// label that is a number, which getaddrinfo(3) would read as an address ("127.1", "0x7f.1"; CVE-2024-24806).
pub fn host(host: &str, port: u16, version: u16) -> Result<Host> {
    if ![family::UNSPEC, family::INET, family::INET6].contains(&version) {
        return Err(Status::INVALID_ARGUMENT);
    }
    let literal = match (host, version) {
        ("", family::INET6) => Ok(Addr::v6([0; 16], port, 0)),
        ("", _) => Ok(Addr::v4([0; 4], port)),
        _ => interface::parse_host(host, port),
    };
    if let Ok(addr) = literal {
        let fits = version == family::UNSPEC || version == addr.family;
        return Ok(Host::Known(if fits { Ok(vec![addr]) } else { Err(Status::ADDRESS_FAMILY) }));
    }
    check_name(host)?;
    CString::new(host).map(Host::Name).map_err(|_| Status::INVALID_ARGUMENT)
}

fn check_name(name: &str) -> Result {
    // A dot at the end says that the name is whole (RFC 1034, 3.1).
    let name = name.strip_suffix('.').unwrap_or(name);
    let labels_fit = name.split('.').all(|label| {
        let bytes = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        (1..=LABEL_MAX).contains(&label.len()) && bytes
    });
    let last = name.rsplit('.').next().unwrap_or_default();
    if name.len() <= NAME_MAX && labels_fit && !is_number(last) {
        Ok(())
    } else {
        Err(Status::INVALID_ARGUMENT)
    }
}

/// Decimal, octal or hexadecimal, as inet_aton(3) reads it.
fn is_number(label: &str) -> bool {
    let hexadecimal = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    match hexadecimal {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in
            ["localhost", "a", "a.b.", "xn--bcher-kva.example", "_dns.example", "0x7f.example", "1.2.3.x"]
        {
            assert!(matches!(host(name, 1, 0), Ok(Host::Name(_))), "{name}");
        }
        let longest = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(61));
        assert_eq!(longest.len(), 253);
        assert!(matches!(host(&longest, 1, 0), Ok(Host::Name(_))));
    }

    #[test]
    fn what_cannot_be_a_name_never_reaches_the_system() {
        let long = "a.".repeat(126) + "bb";
        assert_eq!(long.len(), 254);
        let label = "a".repeat(64);
        let junk = [
            ".",
            "..",
            ".a",
            "a..b",
            "a b",
            "a\u{1}",
            "a/b",
            "a%b",
            "[::1]",
            "::1%nosuch",
            "a:53",
            "b\u{fc}cher",
            "127.1",
            "1.2.3",
            "0x7f.1",
            "0x7f000001",
            "017700000001",
            "2130706433",
            "a.0x1",
            "1.2.3.4.",
            "0x",
            &long,
            &label,
        ];
        for name in junk {
            assert_eq!(host(name, 1, 0).err(), Some(Status::INVALID_ARGUMENT), "{name:?}");
        }
    }

    #[test]
    fn literals_need_no_look_up() {
        let known = |text, version| match host(text, 53, version) {
            Ok(Host::Known(answer)) => answer,
            _ => panic!("{text} is asked for"),
        };
        assert_eq!(known("", 0), Ok(vec![Addr::v4([0; 4], 53)]));
        assert_eq!(known("", 6), Ok(vec![Addr::v6([0; 16], 53, 0)]));
        assert_eq!(known("1.2.3.4", 4), Ok(vec![Addr::v4([1, 2, 3, 4], 53)]));
        assert_eq!(known("::", 4), Err(Status::ADDRESS_FAMILY));
        assert_eq!(host("1.2.3.4", 1, 5).err(), Some(Status::INVALID_ARGUMENT));
    }

    #[test]
    fn one_answer_each() {
        let mut lookups = Lookups::default();
        let (early, late) = (lookups.add(10, 'a'), lookups.add(20, 'b'));
        assert_eq!(lookups.next_deadline(), Some(10));
        assert_eq!(lookups.answer(early, Err(Status::CANCELLED)), Ok(()));
        assert_eq!(lookups.answer(early, Ok(Vec::new())), Err(Status::NOT_FOUND));
        assert_eq!(lookups.next_deadline(), Some(20));
        let answers = lookups.take_answers(20);
        assert_eq!(answers, [(early, Err(Status::CANCELLED)), (late, Err(Status::TIMED_OUT))]);
        assert_eq!(lookups.answer(late, Ok(Vec::new())), Err(Status::NOT_FOUND));
        assert_eq!(lookups.take(early), Some(('a', false)));
        assert_eq!((lookups.take(late), lookups.take(late)), (Some(('b', false)), None));
    }

    #[test]
    fn an_answer_that_was_not_told_can_be_cancelled() {
        let mut lookups = Lookups::default();
        let (known, open) = (lookups.add(10, 'a'), lookups.add(10, 'b'));
        assert_eq!(lookups.answer(known, Ok(Vec::new())), Ok(()));
        assert_eq!((lookups.cancel(known), lookups.cancel(open)), (Ok(()), Ok(())));
        assert_eq!(
            (lookups.cancel(known), lookups.cancel(open)),
            (Err(Status::NOT_FOUND), Err(Status::NOT_FOUND))
        );
        assert_eq!(lookups.take_answers(0).len(), 2);
        assert_eq!((lookups.take(known), lookups.take(open)), (Some(('a', true)), Some(('b', true))));
        assert_eq!(lookups.cancel(known), Err(Status::NOT_FOUND));
    }
}
