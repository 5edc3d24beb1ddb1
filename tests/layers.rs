//! The modules of src use only modules below them, and only some contain `unsafe` or name the system. Checked in the source text.

use std::path::{Path, PathBuf};

/// All modules may use these; they use only each other.
const LEAVES: [&str; 6] = ["abi", "addr", "status", "refusal", "log", "slots"];

/// From the bottom to the top: each layer may use the leaves and the layers before it.
const LAYERS: [&[&str]; 5] =
    [&["sys"], &["context"], &["port", "timer", "trigger", "threads", "resolver"], &["reactor"], &["capi"]];

/// These make no system calls: they use only leaves.
const PURE: [&str; 2] = ["timer", "trigger"];

/// Modules that may use a module of their own layer. Look-ups have deadlines.
const SIDEWAYS: [(&str, &str); 1] = [("resolver", "timer")];

/// The modules that may contain `unsafe`. `abi` has it only in the types of C functions; a lint denies unsafe blocks there.
const UNSAFE: [&str; 3] = ["sys", "capi", "abi"];

/// Words of one system. Only `sys`, without its contract, and the table of statuses may contain them.
const SYSTEM: [&str; 3] = ["libc", "raw_os_error", "from_raw_os_error"];
const CONTRACT: [&str; 2] = ["sys/api.rs", "sys/kernel.rs"];

/// 0 for leaves, otherwise the number of the layer; `None` for a module in no table.
fn layer_of(module: &str) -> Option<usize> {
    if LEAVES.contains(&module) {
        return Some(0);
    }
    LAYERS.iter().position(|layer| layer.contains(&module)).map(|index| index + 1)
}

fn may_use(from: &str, to: &str) -> bool {
    let (Some(above), Some(below)) = (layer_of(from), layer_of(to)) else { return false };
    match above {
        _ if from == to || SIDEWAYS.contains(&(from, to)) => true,
        _ if PURE.contains(&from) => below == 0,
        0 => below == 0,
        _ => below < above,
    }
}

/// A source file: its path below src, and its text without comments.
struct Source {
    path: PathBuf,
    code: String,
}

impl Source {
    fn new(path: impl Into<PathBuf>, text: &str) -> Source {
        let without_comment = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
        let code = text.lines().map(without_comment).collect::<Vec<_>>().join("\n");
        Source { path: path.into(), code }
    }

    /// The module below the crate's root that the file belongs to.
    fn module(&self) -> &str {
        let first = self.path.iter().next().and_then(|name| name.to_str()).expect("a path in UTF-8");
        first.trim_end_matches(".rs")
    }

    /// How many `super::` lead to the crate's root.
    fn depth(&self) -> usize {
        self.path.iter().count() - usize::from(self.path.ends_with("mod.rs"))
    }

    /// Whether a path reaches the root by `super`. Inline modules are one level deeper, so in a file directly below the root
    /// only lines without indentation do.
    fn climbs(&self) -> bool {
        let root = "super::".repeat(self.depth());
        match self.depth() {
            1 => self.code.lines().any(|line| line.starts_with(&format!("use {root}"))),
            _ => self.code.contains(&root),
        }
    }

    /// The modules of this crate that the file names.
    fn names(&self) -> Vec<String> {
        self.code.split("crate::").skip(1).flat_map(first_names).collect()
    }

    fn violations(&self) -> Vec<String> {
        let (path, module) = (self.path.display(), self.module());
        let wrong = self.names().into_iter().filter(|to| !may_use(module, to));
        let mut violations: Vec<_> = wrong.map(|to| format!("{path}: {module} must not use {to}")).collect();
        if self.climbs() {
            violations.push(format!("{path}: a path to another module begins with crate::"));
        }
        if !UNSAFE.contains(&module) && self.has_word(&["unsafe", "unsafe_code"]) {
            violations.push(format!("{path}: unsafe"));
        }
        if !self.may_name_the_system() && self.has_word(&SYSTEM) {
            violations.push(format!("{path}: only sys and status.rs name the system, by one of {SYSTEM:?}"));
        }
        violations
    }

    fn has_word(&self, words: &[&str]) -> bool {
        self.code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| words.contains(&word))
    }

    /// Unit tests in files of their own may, too.
    fn may_name_the_system(&self) -> bool {
        let is_contract = CONTRACT.iter().any(|path| self.path == Path::new(path));
        (["sys", "status"].contains(&self.module()) && !is_contract) || self.path.ends_with("tests.rs")
    }
}

/// The module names after `crate::`: the first name of the path, or of each path in a group.
fn first_names(path: &str) -> Vec<String> {
    let Some(group) = path.strip_prefix('{') else { return vec![first_name(path)] };
    let (mut names, mut depth, mut start) = (Vec::new(), 0, 0);
    for (index, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            ',' if depth == 0 => {
                names.push(first_name(&group[start..index]));
                start = index + 1;
            }
            '}' if depth == 0 => {
                names.push(first_name(&group[start..index]));
                break;
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn first_name(path: &str) -> String {
    path.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Every file in src except the root.
fn sources(directory: &Path, root: &Path) -> Vec<Source> {
    let entries = std::fs::read_dir(directory).expect("src can be read");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let read = |path: PathBuf| {
        if path.is_dir() {
            return sources(&path, root);
        }
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        vec![Source::new(path.strip_prefix(root).expect("below src"), &text)]
    };
    let all = paths.filter(|path| path.is_dir() || path.extension().is_some_and(|end| end == "rs"));
    all.flat_map(read).filter(|source| !source.path.ends_with("lib.rs")).collect()
}

#[test]
fn modules_use_only_lower_layers_and_only_some_are_unsafe_or_name_the_system() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let sources = sources(&root, &root);
    let violations: Vec<_> = sources.iter().flat_map(Source::violations).collect();
    assert!(violations.is_empty(), "{violations:#?}");
    for module in ["capi", "reactor", "port", "context", "sys"] {
        let named = sources.iter().any(|source| source.module() == module && !source.names().is_empty());
        assert!(named, "{module} uses nothing: this test reads the wrong files");
    }
}

#[test]
fn violations_are_found() {
    let wrong = [
        ("sys/linux/epoll.rs", "use crate::context::Context;"),
        ("context/mod.rs", "use crate::port::Port;"),
        ("port/write.rs", "use crate::{addr::Addr, status::{Result, Status}, reactor::Reactor};"),
        ("port/write.rs", "use crate::timer::Timers;"),
        ("trigger.rs", "use crate::threads::Pool;"),
        ("reactor/run.rs", "    pub(in crate::capi) fn run(&self) {}"),
        ("timer/heap.rs", "let now = crate::sys::clock::now();"),
        ("trigger.rs", "use crate::context::Context;"),
        ("timer/mod.rs", "use crate::resolver::Lookups;"),
        ("addr.rs", "use crate::sys::interface;"),
        ("status.rs", "use crate::{log::Level, reactor};"),
        ("unheard_of.rs", "use crate::status::Status;"),
        ("port/write.rs", "use crate::unheard_of::It;"),
        ("port/write.rs", "use super::super::reactor::Reactor;"),
        ("capi/guard/tests.rs", "use super::super::super::reactor::Reactor;"),
        ("context/mod.rs", "use super::reactor::Reactor;"),
        ("trigger.rs", "use super::reactor::Reactor;"),
        ("port/write.rs", "let value = unsafe { pointer.read() };"),
        ("reactor/mod.rs", "#![allow(unsafe_code)]"),
        ("port/send.rs", "if errno == libc::EPERM {"),
        ("port/send.rs", "use std::io;\nlet errno = error.raw_os_error();"),
        ("capi/life.rs", "use libc::c_int;"),
        ("addr.rs", "let family = libc::AF_INET;"),
        ("sys/kernel.rs", "fn socket(&self) -> libc::c_int;"),
        ("sys/api.rs", "fn of(error: &io::Error) { error.raw_os_error() }"),
    ];
    for (path, text) in wrong {
        assert_eq!(Source::new(path, text).violations().len(), 1, "{path}: {text}");
    }
}

#[test]
fn correct_code_passes() {
    let right = [
        (
            "capi/life.rs",
            "use crate::reactor::Reactor;\nuse crate::sys::OwnerLock;\nlet copy = unsafe { from.read() };",
        ),
        ("reactor/mod.rs", "use crate::{addr::Addr, port::{Options, Port}, timer::Timers, sys};"),
        ("port/write.rs", "use crate::sys::SendBatch;\nuse super::Port;\npub(super) fn submit() {}"),
        ("resolver/mod.rs", "use crate::timer::Timers;\nmod tests {\n    use super::*;\n}"),
        ("log.rs", "use crate::status::Status;"),
        ("capi/guard/tests.rs", "use super::super::callback::Core;"),
        ("timer/mod.rs", "use crate::slots::{self, Kind, Slots}; // not crate::sys, and nothing unsafe"),
        ("sys/linux/epoll.rs", "let text = unsafe { call() };\nuse crate::sys::check;\nlibc::epoll_wait();"),
        ("status.rs", "const ERRNO: i32 = libc::EPERM;"),
        ("port/send.rs", "let errno = 1; // libc::EPERM"),
        ("capi/guard/tests.rs", "libc::alarm(30);"),
    ];
    for (path, text) in right {
        assert_eq!(Source::new(path, text).violations(), [""; 0], "{path}");
    }
}
