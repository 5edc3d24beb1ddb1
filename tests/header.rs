//! include/udpr/udpr.h is generated from src/capi, and its numbers are those of the core.
//! `UDPR_WRITE_HEADER=1 cargo test --test header` (scripts/header) writes it.

use std::collections::HashSet;
use std::path::Path;
use udpr::port::flag as port_flag;
use udpr::reactor::flag as reactor_flag;
use udpr::status::Status;

/// The files of src/abi, in the order of their types in the header.
const TYPES: [&str; 7] = ["status", "codes", "handles", "values", "callbacks", "options", "stats"];

/// The chapters of functions, in the order of the header: the files of src/capi.
const CHAPTERS: [&str; 13] = [
    "library",
    "addr",
    "life",
    "embed",
    "notices",
    "ports",
    "transport",
    "multicast",
    "time",
    "transport_time",
    "events",
    "thread",
    "observe",
];

fn header_path() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("include/udpr/udpr.h")
}

fn header() -> String {
    std::fs::read_to_string(header_path()).expect("the header is committed")
}

fn generate() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml");
    let types = TYPES.iter().map(|file| root.join(format!("src/abi/{file}.rs")));
    let functions = CHAPTERS.iter().map(|chapter| root.join(format!("src/capi/{chapter}.rs")));
    let sources = types.chain(functions);
    let builder = sources.fold(cbindgen::Builder::new().with_config(config), cbindgen::Builder::with_src);
    let mut text = Vec::new();
    builder.generate().expect("src/capi can be read").write(&mut text);
    let text = shorten_comments(&String::from_utf8(text).expect("UTF-8"));
    CHAPTERS.iter().fold(make_c89(&text), |text, chapter| add_banner(&text, chapter))
}

/// cbindgen writes a comma after the last name of an enum, and `//` comments, which C89 does not have.
fn make_c89(text: &str) -> String {
    let text = text.replace(",\n}", "\n}");
    let text = text.replace("  // ", " // ");
    text.replace(" // __cplusplus", " /* __cplusplus */").replace(" // extern \"C\"", " /* extern \"C\" */")
}

/// cbindgen writes every comment in at least three lines.
fn shorten_comments(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let (mut short, mut index) = (String::new(), 0);
    while let Some(line) = lines.get(index) {
        match (line.trim(), lines.get(index + 1), lines.get(index + 2).map(|end| end.trim())) {
            ("/**", Some(only), Some("*/")) => {
                let only = only.trim().trim_start_matches("* ");
                short += &format!("{}{only} */\n", line.replace("/**", "/** "));
                index += 3;
            }
            _ => {
                short += &format!("{line}\n");
                index += 1;
            }
        }
    }
    short
}

/// Inserts a line with the chapter's title, which is in the first line of its file, before its first function.
fn add_banner(text: &str, chapter: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = std::fs::read_to_string(root.join(format!("src/capi/{chapter}.rs"))).expect("a chapter");
    let between = |text: &str, from: &str, to: &str| -> Option<String> {
        Some(text.split_once(from)?.1.split_once(to)?.0.to_owned())
    };
    let Some(function) = between(&source, "extern \"C\" fn ", "(").filter(|name| name.starts_with("udpr_"))
    else {
        return text.to_owned();
    };
    let title = source.lines().next().and_then(|line| between(line, "\"", "\"")).expect("a chapter's title");
    let declared = text.find(&format!("{function}(")).expect("a function of the chapter");
    let comment = text[..declared].rfind("/**").expect("a comment before it");
    format!("{}/* ---- {title} ---- */\n\n{}", &text[..comment], &text[comment..])
}

/// The `NAME = number` lines of the header's enums whose names begin with `prefix`.
fn numbers(prefix: &str) -> Vec<(String, i64)> {
    let header = header();
    let lines = header.lines().filter_map(|line| line.trim().trim_end_matches(',').split_once(" = "));
    let named = lines.filter(|(name, _)| name.starts_with(prefix));
    named.map(|(name, number)| (name.to_owned(), number.parse().expect("a number"))).collect()
}

#[test]
fn header_is_current() {
    let text = generate();
    if std::env::var_os("UDPR_WRITE_HEADER").is_some() {
        std::fs::write(header_path(), &text).expect("include/udpr/udpr.h can be written");
    }
    assert!(header() == text, "include/udpr/udpr.h is not current: run scripts/header");
}

#[test]
fn statuses_are_those_of_the_table() {
    let mut statuses = numbers("UDPR_E_");
    statuses.extend(numbers("UDPR_OK").into_iter().chain(numbers("UDPR_PENDING")));
    assert_eq!(statuses.len(), 39, "every status of the header");
    for (name, number) in statuses {
        let status = Status::from_code(number as i32);
        assert_eq!(status.name().to_str(), Ok(name.as_str()));
    }
    assert_eq!(Status::from_code(-37).name(), c"UDPR_E_UNKNOWN", "a status that the header lacks");
}

/// Lines of "ERRNO STATUS, STATUS" in the comment of udpr_status_nearest_errno.
#[test]
fn the_table_of_nearest_errnos_is_that_of_the_core() {
    let header = header();
    let (above, _) = header.split_once("int32_t udpr_status_nearest_errno(").expect("the function");
    let (_, comment) = above.rsplit_once("/**").expect("its comment");
    let rows: Vec<Vec<&str>> = comment
        .lines()
        .filter_map(|line| line.strip_prefix(" *  E"))
        .map(|line| line.split([' ', ',']).filter(|word| !word.is_empty()).skip(1).collect())
        .collect();
    let nearest = |name: &str| {
        let (_, number) = numbers(name).into_iter().find(|(found, _)| found == name).expect("a status");
        Status::from_code(number as i32).nearest_errno()
    };
    let errnos: HashSet<i32> = rows.iter().map(|row| nearest(row[0])).collect();
    assert_eq!(errnos.len(), rows.len(), "an errno has two rows");
    for row in &rows {
        assert!(row.iter().all(|name| nearest(name) == nearest(row[0])), "{row:?}");
    }
    let listed: HashSet<_> = rows.concat().into_iter().map(str::to_owned).collect();
    assert_eq!(listed.len(), rows.concat().len(), "a status is listed twice");
    let without_errno = |number: i64| number != -65536 && Status::from_code(number as i32).errno() == 0;
    let statuses = numbers("UDPR_E_").into_iter().filter(|(_, number)| without_errno(*number));
    assert_eq!(listed, statuses.map(|(name, _)| name).collect());
}

#[test]
fn flags_are_those_of_the_core() {
    let ports = [
        ("LISTEN_MULTIPLE", port_flag::LISTEN_MULTIPLE),
        ("REUSE_ADDRESS", port_flag::REUSE_ADDRESS),
        ("REUSE_PORT", port_flag::REUSE_PORT),
        ("V6_ONLY", port_flag::V6_ONLY),
        ("BROADCAST", port_flag::BROADCAST),
        ("PACKET_INFO", port_flag::PACKET_INFO),
        ("TIMESTAMPS", port_flag::TIMESTAMPS),
        ("TOS", port_flag::TOS),
        ("TTL", port_flag::TTL),
        ("DONT_FRAGMENT", port_flag::DONT_FRAGMENT),
        ("ERROR_REPORTS", port_flag::ERROR_REPORTS),
        ("NO_QUEUE", port_flag::NO_QUEUE),
        ("UNBATCHED", port_flag::UNBATCHED),
        ("NO_OFFLOAD", port_flag::NO_OFFLOAD),
        ("OFFLOAD", port_flag::OFFLOAD),
        ("TAKE_FD", port_flag::TAKE_FD),
    ];
    let header = numbers("UDPR_UDP_");
    assert_eq!(header.iter().fold(0, |bits, (_, number)| bits | number), i64::from(port_flag::KNOWN));
    for (name, bit) in ports {
        assert!(header.contains(&(format!("UDPR_UDP_{name}"), bit.into())), "{name}");
    }
    let reactors = [
        ("UDPR_REACTOR_SIGNALS".to_owned(), reactor_flag::SIGNALS.into()),
        ("UDPR_REACTOR_MANUAL_CLOCK".to_owned(), reactor_flag::MANUAL_CLOCK.into()),
        ("UDPR_REACTOR_PINNED".to_owned(), reactor_flag::PINNED.into()),
    ];
    assert_eq!(numbers("UDPR_REACTOR_"), reactors);
}
