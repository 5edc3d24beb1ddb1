//! Fault sweeps (tests/support/fault_sweep.rs) of listening, adopting, connecting, and of setting and getting options.
//! fault_sweep_flow.rs has those of receiving, sending and stopping.

mod support;

use libc::*;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use support::*;
use udpr::addr::{Addr, family};
use udpr::port::{Descriptor, Options, flag};
use udpr::status::{Result, Status};
use udpr::sys::{Kernel, SystemKernel};

use Syscall::{
    Bind, Connect, LocalAddr, Option as GetOption, PeerAddr, ReadError, Rewatch, SetOption, Watch,
};

/// linux/socket.h, since Linux 5.1.
const SO_BINDTOIFINDEX: i32 = 62;
const SO_TIMESTAMP_NEW: i32 = 63;
const SO_TIMESTAMPNS_NEW: i32 = 64;
const SO_TIMESTAMPING_NEW: i32 = 65;

fn no_setup(_: &SweepFixture) {}

/// The port receives datagrams.
fn assert_receives(fixture: &SweepFixture) {
    if fixture.port.borrow().is_none() {
        return;
    }
    let host = fixture.host();
    let before = fixture.record.received.get();
    let own = if host.family == family::INET { "127.0.0.1:0" } else { "[::1]:0" };
    let socket = UdpSocket::bind(own).expect("a socket");
    let to = if host.is_any() { format!("[::1]:{}", host.port) } else { host.to_string() };
    socket.send_to(b"now", to).expect("sent");
    fixture.turn_until(|| fixture.record.received.get() > before);
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

/// With an older kernel, which has no such option, the device's name is read instead, and no time stamps of that kind are on.
fn is_old_kernel(failed: &FailedCall<'_>) -> bool {
    let newer = [SO_BINDTOIFINDEX, SO_TIMESTAMP, SO_TIMESTAMP_NEW, SO_TIMESTAMPNS_NEW, SO_TIMESTAMPING_NEW];
    let (level, name) = failed.call.option;
    failed.is(GetOption) && level == SOL_SOCKET && newer.contains(&name) && failed.errno == ENOPROTOOPT
}

fn listen_result(failed: &FailedCall<'_>) -> Result {
    match failed.call.syscall {
        _ if is_old_kernel(failed) => Ok(()),
        // Only informs whether the buffer is as large as requested, and whether the kernel has GSO.
        GetOption if failed.is_option(SOL_SOCKET, SO_RCVBUF) || failed.is_option(SOL_SOCKET, SO_SNDBUF) => {
            Ok(())
        }
        GetOption | SetOption if failed.is_option(SOL_UDP, UDP_SEGMENT) => Ok(()),
        SetOption if failed.is_option(SOL_UDP, UDP_GRO) => Ok(()),
        // Only used by the logger.
        LocalAddr if failed.is_after(Watch) => Ok(()),
        // Another socket has taken the number: the port chooses another one.
        Bind if failed.errno == EADDRINUSE && failed.is_after(Connect) => Ok(()),
        _ => failed.as_error(),
    }
}

#[test]
fn listen() {
    let plain = Scenario {
        name: "listen",
        setup: &no_setup,
        run: &|fixture| {
            fixture.set_port(fixture.reactor.listen_udp(
                0,
                "127.0.0.1",
                &Options::default(),
                fixture.protocol(),
            ))
        },
        expected: listen_result,
        check: &assert_receives,
        all_or_nothing: true,
        size: (10, 101),
    };
    plain.sweep();
    let act = |fixture: &SweepFixture| {
        fixture.set_port(fixture.reactor.listen_udp(0, "::1", &every_option(), fixture.protocol()))
    };
    Scenario { name: "listen, every option", run: &act, size: (29, 364), ..plain }.sweep();
    let act = |fixture: &SweepFixture| {
        let options = Options { flags: every_option().flags & !flag::V6_ONLY, ..every_option() };
        fixture.set_port(fixture.reactor.listen_udp(0, "::", &options, fixture.protocol()))
    };
    Scenario { name: "listen, both versions", run: &act, size: (37, 464), ..plain }.sweep();
}

/// Binds a socket that the port will adopt, and of which the fixture stays the owner.
fn bind_socket_to_adopt(fixture: &SweepFixture, address: &str) {
    fixture.adopted.replace(Some(UdpSocket::bind(address).expect("a socket").into()));
}

fn adopt(fixture: &SweepFixture, options: &Options<'_>) -> Result {
    let fd = fixture.adopted.borrow().as_ref().expect("a socket").as_raw_fd();
    let port = fixture.reactor.adopt_datagram_port(
        Descriptor::Lent(fd),
        family::UNSPEC,
        options,
        fixture.protocol(),
    );
    fixture.set_port(port)
}

fn adopt_result(failed: &FailedCall<'_>) -> Result {
    let is = |name| failed.is_option(SOL_SOCKET, name);
    match failed.call.syscall {
        _ if is_old_kernel(failed) => Ok(()),
        PeerAddr if failed.errno == ENOTCONN => Ok(()),
        GetOption if is(SO_DOMAIN) && failed.errno == ENOTSOCK => Err(Status::SOCKET_TYPE),
        // The initial number of drops.
        GetOption if is(SO_MEMINFO) => Ok(()),
        // Without the option, nothing is merged.
        GetOption if failed.is_option(SOL_UDP, UDP_GRO) && failed.times_called_before() == 0 => {
            if failed.errno == ENOPROTOOPT { Ok(()) } else { failed.as_error() }
        }
        GetOption | SetOption if failed.call.option.0 == SOL_UDP => Ok(()),
        GetOption if (is(SO_RCVBUF) || is(SO_SNDBUF)) && failed.times_called_before() == 1 => Ok(()),
        LocalAddr if failed.is_after(Watch) => Ok(()),
        _ => failed.as_error(),
    }
}

#[test]
fn adopt_with_options() {
    let scenario = Scenario {
        name: "adopt",
        setup: &|fixture| bind_socket_to_adopt(fixture, "127.0.0.1:0"),
        run: &|fixture| {
            let flags = flag::BROADCAST | flag::PACKET_INFO | flag::ERROR_REPORTS | flag::OFFLOAD;
            let options = Options { flags, receive_buffer: 8192, send_buffer: 8192, ..Options::default() };
            adopt(fixture, &options)
        },
        expected: adopt_result,
        check: &assert_receives,
        all_or_nothing: true,
        size: (28, 274),
    };
    scenario.sweep();
    let before = |fixture: &SweepFixture| {
        bind_socket_to_adopt(fixture, "[::]:0");
        let adopted = fixture.adopted.borrow();
        let fd = adopted.as_ref().expect("a socket").as_raw_fd();
        SystemKernel.set_raw_option(fd, SOL_UDP, UDP_GRO, &1u32.to_ne_bytes()).expect("this kernel merges");
    };
    let act = |fixture: &SweepFixture| {
        let flags = flag::META | flag::DONT_FRAGMENT | flag::ERROR_REPORTS;
        adopt(fixture, &Options { flags, ..Options::default() })
    };
    let expected = |failed: &FailedCall<'_>| match failed.call.syscall {
        // GRO has to be turned off.
        GetOption | SetOption if failed.is_option(SOL_UDP, UDP_GRO) && failed.times_called_before() > 0 => {
            failed.as_error()
        }
        SetOption if failed.is_option(SOL_UDP, UDP_GRO) => failed.as_error(),
        _ => adopt_result(failed),
    };
    Scenario {
        name: "adopt, both versions",
        setup: &before,
        run: &act,
        expected,
        size: (48, 496),
        ..scenario
    }
    .sweep();
}

fn listen_v4(fixture: &SweepFixture) {
    let options = Options { bind_device: Some(c"lo"), ..Options::default() };
    fixture.set_port(fixture.reactor.listen_udp(0, "", &options, fixture.protocol())).expect("a port");
}

fn connect_result(failed: &FailedCall<'_>) -> Result {
    let pending = failed.is(ReadError) || failed.is_option(SOL_SOCKET, SO_ERROR);
    if pending || is_old_kernel(failed) { Ok(()) } else { failed.as_error() }
}

/// A connected port exchanges datagrams with its peer, and receives nothing from others.
fn assert_exchanges_datagrams(fixture: &SweepFixture) {
    let port = fixture.port();
    let Ok(peer) = port.get_peer() else { return assert_receives(fixture) };
    let peer = if peer == fixture.peer.addr() { &fixture.peer } else { &fixture.other };
    let before = fixture.record.received.get();
    port.write(b"ping", None, udpr::port::Flush::Immediate).expect("written");
    fixture.accepted.set(fixture.accepted.get() + 1);
    assert_eq!(peer.receive(&mut [0; 8]), b"ping");
    [&fixture.peer, &fixture.other].iter().for_each(|peer| peer.send(b"pong", &fixture.host()));
    fixture.turn_until(|| fixture.record.received.get() > before);
    fixture.turn(2).expect("two turns");
    assert_eq!(fixture.record.received.get(), before + 1);
}

#[test]
fn connect() {
    let first = Scenario {
        name: "connect",
        setup: &listen_v4,
        run: &|fixture| fixture.port().connect(&fixture.peer.addr()),
        expected: connect_result,
        check: &assert_exchanges_datagrams,
        all_or_nothing: true,
        size: (6, 69),
    };
    first.sweep();
    let connected = |fixture: &SweepFixture| {
        listen_v4(fixture);
        fixture.port().connect(&fixture.peer.addr()).expect("connected");
    };
    let act = |fixture: &SweepFixture| fixture.port().connect(&fixture.other.addr());
    Scenario { name: "connect to another", setup: &connected, run: &act, size: (9, 112), ..first }.sweep();
    let act = |fixture: &SweepFixture| fixture.port().disconnect();
    Scenario { name: "disconnect", setup: &connected, run: &act, size: (7, 84), ..first }.sweep();
    // The kernel has chosen the port number, and releases it with the connection.
    let adopted = |fixture: &SweepFixture| {
        let socket = SystemKernel.socket(family::INET).expect("a socket");
        SystemKernel.connect(socket.as_raw_fd(), &fixture.peer.addr()).expect("connected");
        fixture.adopted.replace(Some(socket));
        adopt(fixture, &Options::default()).expect("a port");
    };
    Scenario { name: "disconnect, adopted", setup: &adopted, run: &act, size: (7, 79), ..first }.sweep();
    let act = |fixture: &SweepFixture| fixture.port().connect(&fixture.other.addr());
    Scenario { name: "connect to another, adopted", setup: &adopted, run: &act, size: (9, 107), ..first }
        .sweep();
}

fn listen_dual(fixture: &SweepFixture) {
    fixture
        .set_port(fixture.reactor.listen_udp(0, "::", &Options::default(), fixture.protocol()))
        .expect("a port");
}

fn adopt_dual(fixture: &SweepFixture) {
    bind_socket_to_adopt(fixture, "[::]:0");
    adopt(fixture, &Options::default()).expect("a port");
}

fn is_default(failed: &FailedCall<'_>) -> bool {
    let ttl = [(IPPROTO_IP, IP_TTL), (IPPROTO_IPV6, IPV6_UNICAST_HOPS)].contains(&failed.call.option);
    failed.is(Syscall::Socket) || (failed.is(GetOption) && ttl && failed.times_called_before() % 2 == 1)
}

fn is_outgoing_interface(failed: &FailedCall<'_>) -> bool {
    failed.is_option(IPPROTO_IP, IP_MULTICAST_IF) || failed.is_option(IPPROTO_IPV6, IPV6_MULTICAST_IF)
}

fn option_result(failed: &FailedCall<'_>) -> Result {
    let joins = [MCAST_JOIN_GROUP, MCAST_JOIN_SOURCE_GROUP].contains(&failed.call.option.1);
    let leaves = [MCAST_LEAVE_GROUP, MCAST_LEAVE_SOURCE_GROUP].contains(&failed.call.option.1);
    match failed.call.syscall {
        // Not reported, and repeated by a later turn.
        Rewatch => Ok(()),
        // Only informs whether the former TTL was the system's default. If that is unknown, its number is restored.
        _ if is_default(failed) => Ok(()),
        // The statistics then have no number of drops.
        GetOption if failed.is_option(SOL_SOCKET, SO_MEMINFO) => Ok(()),
        SetOption if joins && [EADDRINUSE, EADDRNOTAVAIL].contains(&failed.errno) => {
            Err(Status::ALREADY_JOINED)
        }
        SetOption if leaves && [EINVAL, EADDRNOTAVAIL].contains(&failed.errno) => Err(Status::NOT_JOINED),
        SetOption | GetOption if is_outgoing_interface(failed) && failed.errno == EINVAL => {
            Err(Status::INVALID_ARGUMENT)
        }
        SetOption if failed.is_option(IPPROTO_IP, IP_MULTICAST_IF) && failed.errno == EADDRNOTAVAIL => {
            Err(Status::NO_INTERFACE)
        }
        SetOption if failed.is_option(IPPROTO_IPV6, IPV6_MULTICAST_IF) && failed.errno == EADDRNOTAVAIL => {
            Err(Status::NO_INTERFACE)
        }
        // What the socket has joined setup: without it a join and a leave take what the kernel says.
        GetOption if failed.call.option.1 == MCAST_MSFILTER => Ok(()),
        _ => connect_result(failed),
    }
}

/// Converts an IPv4 address to the port's family.
fn in_port_family(fixture: &SweepFixture, bytes: [u8; 4]) -> Addr {
    let v4 = Addr::v4(bytes, 0);
    if fixture.host().family == family::INET { v4 } else { v4.map_v4().expect("IPv4") }
}

fn group(fixture: &SweepFixture) -> Addr {
    in_port_family(fixture, [228, 0, 0, 5])
}

type Make = fn(&SweepFixture);

/// A name, a preparation, the call, and the sizes of the sweep on an IPv4 port, a dual-stack port, and an adopted dual-stack
/// port.
type OptionCall = (&'static str, fn(&SweepFixture), fn(&SweepFixture) -> Result, [(usize, usize); 3]);

const OPTION_CALLS: [OptionCall; 18] = [
    ("set_ttl", no_setup, |fixture| fixture.port().set_ttl(7), [(1, 16), (3, 41), (5, 59)]),
    ("get_ttl", no_setup, |fixture| fixture.port().get_ttl().map(drop), [(1, 9), (1, 9), (1, 9)]),
    ("set_unicast_ttl", no_setup, |fixture| fixture.port().set_unicast_ttl(7), [(1, 16), (5, 59), (11, 113)]),
    (
        "set_loopback_mode",
        no_setup,
        |fixture| fixture.port().set_loopback_mode(false),
        [(1, 16), (3, 41), (5, 59)],
    ),
    (
        "set_outgoing_interface",
        no_setup,
        |fixture| fixture.port().set_outgoing_interface(lo()),
        [(1, 16), (3, 41), (5, 59)],
    ),
    (
        "set_broadcast_allowed",
        no_setup,
        |fixture| fixture.port().set_broadcast_allowed(true),
        [(1, 16), (1, 16), (2, 25)],
    ),
    (
        "set_error_reports",
        no_setup,
        |fixture| fixture.port().set_error_reports(true),
        [(3, 43), (5, 68), (7, 86)],
    ),
    (
        "no error reports",
        reports,
        |fixture| fixture.port().set_error_reports(false),
        [(3, 43), (5, 68), (5, 68)],
    ),
    (
        "set_option",
        no_setup,
        |fixture| fixture.port().set_option(SOL_SOCKET, SO_PRIORITY, &[0; 4]),
        [(1, 16), (1, 16), (1, 16)],
    ),
    (
        "get_option",
        no_setup,
        |fixture| fixture.port().get_option(SOL_SOCKET, SO_PRIORITY, &mut [0; 4]).map(drop),
        [(1, 9), (1, 9), (1, 9)],
    ),
    ("get_host", no_setup, |fixture| fixture.port().get_host().map(drop), [(1, 5), (1, 5), (1, 5)]),
    ("get_stats", no_setup, |fixture| fixture.port().get_stats().map(drop), [(1, 9), (1, 9), (1, 9)]),
    (
        "join",
        no_setup,
        |fixture| fixture.port().join_group(&group(fixture), None, lo()),
        [(3, 41), (7, 91), (9, 102)],
    ),
    ("join another", join, join_another, [(2, 25), (2, 25), (2, 25)]),
    ("join a source", no_setup, join_source, [(3, 41), (7, 91), (9, 102)]),
    (
        "leave",
        join,
        |fixture| fixture.port().leave_group(&group(fixture), None, lo()),
        [(2, 25), (2, 25), (2, 25)],
    ),
    ("pause", no_setup, |fixture| fixture.port().pause_reading(), [(1, 8), (1, 8), (1, 8)]),
    (
        "resume",
        |fixture| fixture.port().pause_reading().expect("open"),
        |fixture| fixture.port().resume_reading(),
        [(1, 8), (1, 8), (1, 8)],
    ),
];

fn reports(fixture: &SweepFixture) {
    fixture.port().set_error_reports(true).expect("open");
}

fn join(fixture: &SweepFixture) {
    fixture.port().join_group(&group(fixture), None, lo()).expect("joined");
}

fn join_another(fixture: &SweepFixture) -> Result {
    fixture.port().join_group(&in_port_family(fixture, [228, 0, 0, 6]), None, lo())
}

fn join_source(fixture: &SweepFixture) -> Result {
    fixture.port().join_group(&group(fixture), Some(&in_port_family(fixture, [127, 0, 0, 1])), lo())
}

#[test]
fn set_and_get_options() {
    let kinds: [(&str, Make); 3] =
        [("IPv4", listen_v4), ("both versions", listen_dual), ("adopted", adopt_dual)];
    for (name, prepare, act, sizes) in OPTION_CALLS {
        for ((kind, make), size) in kinds.into_iter().zip(sizes) {
            let before = |fixture: &SweepFixture| {
                make(fixture);
                prepare(fixture);
            };
            let name = format!("{name}, {kind}");
            let (act, after) = (&act, &|fixture: &SweepFixture| {
                let _ = fixture.port().resume_reading();
                assert_receives(fixture);
            });
            Scenario {
                name: &name,
                setup: &before,
                run: act,
                expected: option_result,
                check: after,
                all_or_nothing: true,
                size,
            }
            .sweep();
        }
    }
}
