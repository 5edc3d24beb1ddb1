//! Every errno of every call, at every step of listen, adopt, connect, and of what sets and asks: the sweep of
//! tests/support/sweep.rs. What is received and sent, and the end, are in fault_sweep_flow.rs.

mod support;

use libc::*;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use support::*;
use udpr::addr::{Addr, family};
use udpr::port::{Descriptor, Options, flag};
use udpr::status::{Result, Status};
use udpr::sys::{Kernel, Linux};

use Syscall::{
    Bind, Connect, LocalAddr, Option as GetOption, PeerAddr, ReadError, Rewatch, SetOption, Watch,
};

/// linux/socket.h, since Linux 5.1.
const SO_BINDTOIFINDEX: i32 = 62;
const SO_TIMESTAMP_NEW: i32 = 63;
const SO_TIMESTAMPNS_NEW: i32 = 64;
const SO_TIMESTAMPING_NEW: i32 = 65;

fn nothing(_: &Stage) {}

/// It hears whoever sends to it.
fn hears(stage: &Stage) {
    if stage.port.borrow().is_none() {
        return;
    }
    let host = stage.host();
    let before = stage.diary.received.get();
    let own = if host.family == family::INET { "127.0.0.1:0" } else { "[::1]:0" };
    let socket = UdpSocket::bind(own).expect("a socket");
    let to = if host.is_any() { format!("[::1]:{}", host.port) } else { host.to_string() };
    socket.send_to(b"now", to).expect("sent");
    stage.turn_until(|| stage.diary.received.get() > before);
}

fn every_option() -> Options<'static> {
    Options {
        flags: flag::LISTEN_MULTIPLE
            | flag::BROADCAST
            | flag::V6_ONLY
            | flag::META
            | flag::DONT_FRAGMENT
            | flag::ERROR_REPORTS,
        receive_buffer: 8192,
        send_buffer: 8192,
        bind_device: Some(c"lo"),
        ..Options::default()
    }
}

/// A kernel that does not know devices by their index gives the name, and one without a form of stamps has none set.
fn is_old_kernel(failed: &Failed<'_>) -> bool {
    let newer = [SO_BINDTOIFINDEX, SO_TIMESTAMP, SO_TIMESTAMP_NEW, SO_TIMESTAMPNS_NEW, SO_TIMESTAMPING_NEW];
    let (level, name) = failed.step.option;
    failed.is(GetOption) && level == SOL_SOCKET && newer.contains(&name) && failed.errno == ENOPROTOOPT
}

fn listen_told(failed: &Failed<'_>) -> Result {
    match failed.step.syscall {
        _ if is_old_kernel(failed) => Ok(()),
        // Whether a buffer is as large as was wished, and whether the kernel merges.
        GetOption if failed.is_option(SOL_SOCKET, SO_RCVBUF) || failed.is_option(SOL_SOCKET, SO_SNDBUF) => {
            Ok(())
        }
        GetOption | SetOption if failed.is_option(SOL_UDP, UDP_SEGMENT) => Ok(()),
        SetOption if failed.is_option(SOL_UDP, UDP_GRO) => Ok(()),
        // For the logger.
        LocalAddr if failed.is_after(Watch) => Ok(()),
        // Somebody was faster: another number is chosen.
        Bind if failed.errno == EADDRINUSE && failed.is_after(Connect) => Ok(()),
        _ => failed.plain(),
    }
}

#[test]
fn listen() {
    let plain = Scenario {
        name: "listen",
        before: &nothing,
        act: &|stage| {
            stage.keep(stage.reactor.listen_udp(0, "127.0.0.1", &Options::default(), stage.protocol()))
        },
        returned: listen_told,
        after: &hears,
        exact: true,
        size: (10, 101),
    };
    plain.sweep();
    let act =
        |stage: &Stage| stage.keep(stage.reactor.listen_udp(0, "::1", &every_option(), stage.protocol()));
    Scenario { name: "listen, every option", act: &act, size: (29, 364), ..plain }.sweep();
    let act = |stage: &Stage| {
        let options = Options { flags: every_option().flags & !flag::V6_ONLY, ..every_option() };
        stage.keep(stage.reactor.listen_udp(0, "::", &options, stage.protocol()))
    };
    Scenario { name: "listen, both versions", act: &act, size: (37, 464), ..plain }.sweep();
}

/// A socket that somebody else keeps, bound.
fn lend(stage: &Stage, address: &str) {
    stage.lent.replace(Some(UdpSocket::bind(address).expect("a socket").into()));
}

fn adopt(stage: &Stage, options: &Options<'_>) -> Result {
    let fd = stage.lent.borrow().as_ref().expect("a socket").as_raw_fd();
    let port =
        stage.reactor.adopt_datagram_port(Descriptor::Lent(fd), family::UNSPEC, options, stage.protocol());
    stage.keep(port)
}

fn adopt_told(failed: &Failed<'_>) -> Result {
    let is = |name| failed.is_option(SOL_SOCKET, name);
    match failed.step.syscall {
        _ if is_old_kernel(failed) => Ok(()),
        PeerAddr if failed.errno == ENOTCONN => Ok(()),
        GetOption if is(SO_DOMAIN) && failed.errno == ENOTSOCK => Err(Status::SOCKET_TYPE),
        // Where the count of drops begins.
        GetOption if is(SO_MEMINFO) => Ok(()),
        // There is no such option: nothing is merged.
        GetOption if failed.is_option(SOL_UDP, UDP_GRO) && failed.earlier() == 0 => {
            if failed.errno == ENOPROTOOPT { Ok(()) } else { failed.plain() }
        }
        GetOption | SetOption if failed.step.option.0 == SOL_UDP => Ok(()),
        GetOption if (is(SO_RCVBUF) || is(SO_SNDBUF)) && failed.earlier() == 1 => Ok(()),
        LocalAddr if failed.is_after(Watch) => Ok(()),
        _ => failed.plain(),
    }
}

#[test]
fn adopt_with_options() {
    let scenario = Scenario {
        name: "adopt",
        before: &|stage| lend(stage, "127.0.0.1:0"),
        act: &|stage| {
            let flags = flag::BROADCAST | flag::PACKET_INFO | flag::ERROR_REPORTS | flag::OFFLOAD;
            let options = Options { flags, receive_buffer: 8192, send_buffer: 8192, ..Options::default() };
            adopt(stage, &options)
        },
        returned: adopt_told,
        after: &hears,
        exact: true,
        size: (28, 274),
    };
    scenario.sweep();
    let before = |stage: &Stage| {
        lend(stage, "[::]:0");
        let lent = stage.lent.borrow();
        let fd = lent.as_ref().expect("a socket").as_raw_fd();
        Linux.set_raw_option(fd, SOL_UDP, UDP_GRO, &1u32.to_ne_bytes()).expect("this kernel merges");
    };
    let act = |stage: &Stage| {
        let flags = flag::META | flag::DONT_FRAGMENT | flag::ERROR_REPORTS;
        adopt(stage, &Options { flags, ..Options::default() })
    };
    let returned = |failed: &Failed<'_>| match failed.step.syscall {
        // It has to be turned off.
        GetOption | SetOption if failed.is_option(SOL_UDP, UDP_GRO) && failed.earlier() > 0 => failed.plain(),
        SetOption if failed.is_option(SOL_UDP, UDP_GRO) => failed.plain(),
        _ => adopt_told(failed),
    };
    Scenario {
        name: "adopt, both versions",
        before: &before,
        act: &act,
        returned,
        size: (48, 496),
        ..scenario
    }
    .sweep();
}

fn listen_v4(stage: &Stage) {
    let options = Options { bind_device: Some(c"lo"), ..Options::default() };
    stage.keep(stage.reactor.listen_udp(0, "", &options, stage.protocol())).expect("a port");
}

fn connect_told(failed: &Failed<'_>) -> Result {
    let pending = failed.is(ReadError) || failed.is_option(SOL_SOCKET, SO_ERROR);
    if pending || is_old_kernel(failed) { Ok(()) } else { failed.plain() }
}

/// It writes to its peer and hears it, and nobody else, where it has one.
fn talks(stage: &Stage) {
    let port = stage.port();
    let Ok(peer) = port.get_peer() else { return hears(stage) };
    let peer = if peer == stage.peer.addr() { &stage.peer } else { &stage.other };
    let before = stage.diary.received.get();
    port.write(b"ping", None, udpr::port::Flush::Immediate).expect("written");
    stage.accepted.set(stage.accepted.get() + 1);
    assert_eq!(peer.receive(&mut [0; 8]), b"ping");
    [&stage.peer, &stage.other].iter().for_each(|peer| peer.send(b"pong", &stage.host()));
    stage.turn_until(|| stage.diary.received.get() > before);
    stage.turn(2).expect("two turns");
    assert_eq!(stage.diary.received.get(), before + 1);
}

#[test]
fn connect() {
    let first = Scenario {
        name: "connect",
        before: &listen_v4,
        act: &|stage| stage.port().connect(&stage.peer.addr()),
        returned: connect_told,
        after: &talks,
        exact: true,
        size: (6, 69),
    };
    first.sweep();
    let connected = |stage: &Stage| {
        listen_v4(stage);
        stage.port().connect(&stage.peer.addr()).expect("connected");
    };
    let act = |stage: &Stage| stage.port().connect(&stage.other.addr());
    Scenario { name: "connect to another", before: &connected, act: &act, size: (9, 112), ..first }.sweep();
    let act = |stage: &Stage| stage.port().disconnect();
    Scenario { name: "disconnect", before: &connected, act: &act, size: (7, 84), ..first }.sweep();
    // The kernel itself has chosen the number, and forgets it with the connection.
    let adopted = |stage: &Stage| {
        let socket = Linux.socket(family::INET).expect("a socket");
        Linux.connect(socket.as_raw_fd(), &stage.peer.addr()).expect("connected");
        stage.lent.replace(Some(socket));
        adopt(stage, &Options::default()).expect("a port");
    };
    Scenario { name: "disconnect, adopted", before: &adopted, act: &act, size: (7, 79), ..first }.sweep();
    let act = |stage: &Stage| stage.port().connect(&stage.other.addr());
    Scenario { name: "connect to another, adopted", before: &adopted, act: &act, size: (9, 107), ..first }
        .sweep();
}

fn listen_dual(stage: &Stage) {
    stage.keep(stage.reactor.listen_udp(0, "::", &Options::default(), stage.protocol())).expect("a port");
}

fn adopt_dual(stage: &Stage) {
    lend(stage, "[::]:0");
    adopt(stage, &Options::default()).expect("a port");
}

fn is_default(failed: &Failed<'_>) -> bool {
    let ttl = [(IPPROTO_IP, IP_TTL), (IPPROTO_IPV6, IPV6_UNICAST_HOPS)].contains(&failed.step.option);
    failed.is(Syscall::Socket) || (failed.is(GetOption) && ttl && failed.earlier() % 2 == 1)
}

fn is_outgoing(failed: &Failed<'_>) -> bool {
    failed.is_option(IPPROTO_IP, IP_MULTICAST_IF) || failed.is_option(IPPROTO_IPV6, IPV6_MULTICAST_IF)
}

fn setting_told(failed: &Failed<'_>) -> Result {
    let joins = [MCAST_JOIN_GROUP, MCAST_JOIN_SOURCE_GROUP].contains(&failed.step.option.1);
    let leaves = [MCAST_LEAVE_GROUP, MCAST_LEAVE_SOURCE_GROUP].contains(&failed.step.option.1);
    match failed.step.syscall {
        // Told to nobody, and made good by the loop.
        Rewatch => Ok(()),
        // Whether the TTL that there was is the system's: if that is not known, the number is put back.
        _ if is_default(failed) => Ok(()),
        // What a snapshot lacks, and what is pending.
        GetOption if failed.is_option(SOL_SOCKET, SO_MEMINFO) => Ok(()),
        SetOption if joins && [EADDRINUSE, EADDRNOTAVAIL].contains(&failed.errno) => {
            Err(Status::ALREADY_JOINED)
        }
        SetOption if leaves && [EINVAL, EADDRNOTAVAIL].contains(&failed.errno) => Err(Status::NOT_JOINED),
        SetOption | GetOption if is_outgoing(failed) && failed.errno == EINVAL => {
            Err(Status::INVALID_ARGUMENT)
        }
        SetOption if failed.is_option(IPPROTO_IP, IP_MULTICAST_IF) && failed.errno == EADDRNOTAVAIL => {
            Err(Status::NO_INTERFACE)
        }
        SetOption if failed.is_option(IPPROTO_IPV6, IPV6_MULTICAST_IF) && failed.errno == EADDRNOTAVAIL => {
            Err(Status::NO_INTERFACE)
        }
        // What the socket has joined before: without it a join and a leave take what the kernel says.
        GetOption if failed.step.option.1 == MCAST_MSFILTER => Ok(()),
        _ => connect_told(failed),
    }
}

fn lo() -> u32 {
    udpr::sys::interface::interface_index("lo").expect("loopback")
}

/// An IPv4 address, as the port's family has it.
fn as_port_has_it(stage: &Stage, bytes: [u8; 4]) -> Addr {
    let v4 = Addr::v4(bytes, 0);
    if stage.host().family == family::INET { v4 } else { v4.map_v4().expect("IPv4") }
}

fn group(stage: &Stage) -> Addr {
    as_port_has_it(stage, [228, 0, 0, 5])
}

type Make = fn(&Stage);

/// What is set or asked, and how many calls of the seam that makes on a port of IPv4, of both versions, and on an adopted
/// one of both.
type Setting = (&'static str, fn(&Stage), fn(&Stage) -> Result, [(usize, usize); 3]);

const SETTINGS: [Setting; 18] = [
    ("set_ttl", nothing, |stage| stage.port().set_ttl(7), [(1, 16), (3, 41), (5, 59)]),
    ("get_ttl", nothing, |stage| stage.port().get_ttl().map(drop), [(1, 9), (1, 9), (1, 9)]),
    ("set_unicast_ttl", nothing, |stage| stage.port().set_unicast_ttl(7), [(1, 16), (5, 59), (11, 113)]),
    (
        "set_loopback_mode",
        nothing,
        |stage| stage.port().set_loopback_mode(false),
        [(1, 16), (3, 41), (5, 59)],
    ),
    (
        "set_outgoing_interface",
        nothing,
        |stage| stage.port().set_outgoing_interface(lo()),
        [(1, 16), (3, 41), (5, 59)],
    ),
    (
        "set_broadcast_allowed",
        nothing,
        |stage| stage.port().set_broadcast_allowed(true),
        [(1, 16), (1, 16), (2, 25)],
    ),
    ("set_error_reports", nothing, |stage| stage.port().set_error_reports(true), [(3, 43), (5, 68), (7, 86)]),
    ("no error reports", reports, |stage| stage.port().set_error_reports(false), [(3, 43), (5, 68), (5, 68)]),
    (
        "set_option",
        nothing,
        |stage| stage.port().set_option(SOL_SOCKET, SO_PRIORITY, &[0; 4]),
        [(1, 16), (1, 16), (1, 16)],
    ),
    (
        "get_option",
        nothing,
        |stage| stage.port().get_option(SOL_SOCKET, SO_PRIORITY, &mut [0; 4]).map(drop),
        [(1, 9), (1, 9), (1, 9)],
    ),
    ("get_host", nothing, |stage| stage.port().get_host().map(drop), [(1, 5), (1, 5), (1, 5)]),
    ("get_stats", nothing, |stage| stage.port().get_stats().map(drop), [(1, 9), (1, 9), (1, 9)]),
    (
        "join",
        nothing,
        |stage| stage.port().join_group(&group(stage), None, lo()),
        [(3, 41), (7, 91), (9, 102)],
    ),
    ("join another", join, join_another, [(2, 25), (2, 25), (2, 25)]),
    ("join a source", nothing, join_source, [(3, 41), (7, 91), (9, 102)]),
    ("leave", join, |stage| stage.port().leave_group(&group(stage), None, lo()), [(2, 25), (2, 25), (2, 25)]),
    ("pause", nothing, |stage| stage.port().pause_reading(), [(1, 8), (1, 8), (1, 8)]),
    (
        "resume",
        |stage| stage.port().pause_reading().expect("open"),
        |stage| stage.port().resume_reading(),
        [(1, 8), (1, 8), (1, 8)],
    ),
];

fn reports(stage: &Stage) {
    stage.port().set_error_reports(true).expect("open");
}

fn join(stage: &Stage) {
    stage.port().join_group(&group(stage), None, lo()).expect("joined");
}

fn join_another(stage: &Stage) -> Result {
    stage.port().join_group(&as_port_has_it(stage, [228, 0, 0, 6]), None, lo())
}

fn join_source(stage: &Stage) -> Result {
    stage.port().join_group(&group(stage), Some(&as_port_has_it(stage, [127, 0, 0, 1])), lo())
}

#[test]
fn set_and_ask() {
    let kinds: [(&str, Make); 3] =
        [("IPv4", listen_v4), ("both versions", listen_dual), ("adopted", adopt_dual)];
    for (name, prepare, act, sizes) in SETTINGS {
        for ((kind, make), size) in kinds.into_iter().zip(sizes) {
            let before = |stage: &Stage| {
                make(stage);
                prepare(stage);
            };
            let name = format!("{name}, {kind}");
            let (act, after) = (&act, &|stage: &Stage| {
                let _ = stage.port().resume_reading();
                hears(stage);
            });
            Scenario { name: &name, before: &before, act, returned: setting_told, after, exact: true, size }
                .sweep();
        }
    }
}
