//! The log of a reactor. Lines are dropped until a sink is set.

use crate::abi::udpr_log_code as Code;
use crate::status::Status;
use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString};
use std::fmt::{self, Write};
use std::rc::Rc;

/// The severity of a line: the lower the number, the more severe.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u32)]
pub enum Level {
    /// Something was lost or failed, and no call returned it.
    Error = Code::UDPR_LOG_ERROR as u32,
    /// It works, but not as requested.
    Warn = Code::UDPR_LOG_WARN as u32,
    /// Something began or ended.
    Info = Code::UDPR_LOG_INFO as u32,
    /// Details for debugging.
    Debug = Code::UDPR_LOG_DEBUG as u32,
}

/// The sink of the lines.
pub trait Log {
    /// Takes one line. `target` names the part of the library that logs it. Both texts are UTF-8. The sink may use the
    /// [`Logger`] that calls it, for another line or to set another sink.
    fn log(&self, level: Level, status: Status, target: &CStr, message: &CStr);
}

/// A reactor's logger: the sink, and the highest level that it wants.
#[derive(Default)]
pub struct Logger {
    /// 0 without a sink, so that one comparison decides.
    max_level: Cell<u32>,
    sink: RefCell<Option<Rc<dyn Log>>>,
}

impl Logger {
    /// Changes the sink and returns the previous one, for the caller to drop when a destructor may run. `max_level` is
    /// a [`Level`]'s number: 0 disables all lines, 4 and more enable all.
    #[must_use = "dropping the former sink runs its destructor"]
    pub fn set(&self, max_level: u32, sink: Option<Rc<dyn Log>>) -> Option<Rc<dyn Log>> {
        self.max_level.set(if sink.is_some() { max_level } else { 0 });
        self.sink.replace(sink)
    }

    /// Whether lines of this level are wanted.
    #[inline]
    pub fn enabled(&self, level: Level) -> bool {
        level as u32 <= self.max_level.get()
    }

    /// Hands a line to the sink. It formats nothing if the line is not wanted. NUL bytes become U+FFFD.
    pub fn log(&self, level: Level, status: Status, target: &CStr, message: fmt::Arguments<'_>) {
        if !self.enabled(level) {
            return;
        }
        let mut text = String::new();
        // Not `to_string`, which panics if a Display implementation fails: what was formatted until then is logged.
        let _ = text.write_fmt(message);
        let Ok(text) = CString::new(text.replace('\0', "\u{fffd}")) else { return };
        // Cloned after the formatting, which is foreign code and may have set another sink. The sink may set another
        // one, too, and has to outlive its own call.
        let sink = self.sink.borrow().clone();
        if let Some(sink) = sink {
            sink.log(level, status, target, &text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Weak;

    type Line = (Level, Status, CString, String);

    /// Keeps the lines, and can run a closure at the first one.
    #[derive(Default)]
    struct Memory {
        lines: RefCell<Vec<Line>>,
        at_first: RefCell<Option<Box<dyn FnOnce()>>>,
    }

    impl Log for Memory {
        fn log(&self, level: Level, status: Status, target: &CStr, message: &CStr) {
            let message = message.to_str().expect("UTF-8").to_owned();
            self.lines.borrow_mut().push((level, status, target.to_owned(), message));
            let first = self.at_first.take();
            if let Some(first) = first {
                first();
            }
        }
    }

    impl Memory {
        fn messages(&self) -> Vec<String> {
            self.lines.borrow().iter().map(|line| line.3.clone()).collect()
        }
    }

    /// Formatting it fails the test.
    struct Untouchable;

    impl fmt::Display for Untouchable {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("formatted though nobody listens")
        }
    }

    fn logger(max_level: u32) -> (Rc<Logger>, Rc<Memory>) {
        let (logger, memory) = (Rc::new(Logger::default()), Rc::new(Memory::default()));
        assert!(logger.set(max_level, Some(memory.clone())).is_none());
        (logger, memory)
    }

    fn log_record(logger: &Logger, level: Level, message: &str) {
        logger.log(level, Status::OK, c"test", format_args!("{message}"));
    }

    #[test]
    fn silent_until_a_sink_is_set() {
        let logger = Logger::default();
        assert!(!logger.enabled(Level::Error));
        logger.log(Level::Error, Status::PANIC, c"test", format_args!("{Untouchable}"));
        assert!(logger.set(4, None).is_none());
        assert!(!logger.enabled(Level::Error));
    }

    #[test]
    fn levels_filter_before_formatting() {
        for max_level in [0, 1, 2, 3, 4, u32::MAX] {
            let (logger, memory) = logger(max_level);
            let mut expected = Vec::new();
            for level in [Level::Error, Level::Warn, Level::Info, Level::Debug] {
                assert_eq!(logger.enabled(level), level as u32 <= max_level);
                if logger.enabled(level) {
                    log_record(&logger, level, "wanted");
                    expected.push((level, Status::OK, c"test".to_owned(), "wanted".to_owned()));
                } else {
                    logger.log(level, Status::OK, c"test", format_args!("{Untouchable}"));
                }
            }
            assert_eq!(*memory.lines.borrow(), expected);
        }
    }

    #[test]
    fn nuls_do_not_cut_the_line() {
        let (logger, memory) = logger(4);
        logger.log(Level::Info, Status::CLOSED, c"port", format_args!("a{}b\0ü", '\0'));
        let line = (Level::Info, Status::CLOSED, c"port".to_owned(), "a\u{fffd}b\u{fffd}ü".to_owned());
        assert_eq!(*memory.lines.borrow(), [line]);
    }

    #[test]
    fn a_display_that_fails_does_not_panic() {
        struct Failing;
        impl fmt::Display for Failing {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                Err(fmt::Error)
            }
        }
        let (logger, memory) = logger(4);
        logger.log(Level::Info, Status::OK, c"test", format_args!("so far {Failing}"));
        assert_eq!(memory.messages(), ["so far "]);
    }

    #[test]
    fn the_former_sink_comes_back() {
        let (logger, first) = logger(4);
        let second = Rc::new(Memory::default());
        let former = logger.set(1, Some(second.clone())).expect("the first");
        log_record(&logger, Level::Error, "to the second");
        assert_eq!((first.messages().len(), second.messages().len()), (0, 1));
        assert_eq!(Rc::strong_count(&first), 2);
        drop(former);
        assert_eq!(Rc::strong_count(&first), 1);
    }

    #[test]
    fn a_sink_may_log() {
        let (logger, memory) = logger(4);
        let again = logger.clone();
        *memory.at_first.borrow_mut() = Some(Box::new(move || log_record(&again, Level::Debug, "inner")));
        log_record(&logger, Level::Debug, "outer");
        assert_eq!(memory.messages(), ["outer", "inner"]);
    }

    #[test]
    fn a_sink_may_unset_itself_and_outlives_its_call() {
        let (logger, memory) = logger(4);
        let me: Weak<Memory> = Rc::downgrade(&memory);
        let (again, watched) = (logger.clone(), me.clone());
        *memory.at_first.borrow_mut() = Some(Box::new(move || {
            drop(again.set(0, None));
            assert!(watched.upgrade().is_some(), "dropped in the middle of its own call");
        }));
        drop(memory);
        log_record(&logger, Level::Error, "the last");
        assert!(me.upgrade().is_none(), "kept after its last call");
        log_record(&logger, Level::Error, "to nobody");
    }
}
