//! Joining with a kernel that fails twice: a join that could be neither completed nor undone can be completed or undone later.

mod support;

use std::rc::Rc;
use std::sync::Arc;
use support::*;
use udpr::addr::Addr;
use udpr::port::{Options, Port};
use udpr::reactor::Reactor;
use udpr::status::Status;

use CallResult::{Errno, Real};

const GROUP: Addr = Addr::v4([228, 0, 0, 5], 0);

/// A port whose first join failed: the kernel joined, could not exclude the groups of other sockets, and could not leave.
fn half_joined() -> (Rc<ScriptedKernel>, Reactor<ClosureCall>, Arc<Port>) {
    let kernel = Rc::new(ScriptedKernel::default());
    let reactor = reactor(&kernel);
    let closures = Box::new(ClosureProtocol::new(&Rc::default()));
    let port = reactor.listen_udp(0, "0.0.0.0", &Options::default(), closures).expect("free");
    kernel.script(Syscall::SetOption, [Real, Errno(libc::ENOBUFS), Errno(libc::ENOMEM)]);
    assert_eq!(port.join_group(&GROUP, None, lo()), Err(Status::from_errno(libc::ENOBUFS)));
    assert_eq!(kernel.remaining(Syscall::SetOption), 0);
    (kernel, reactor, port)
}

#[test]
fn the_next_join_completes_it() {
    let (kernel, _reactor, port) = half_joined();
    kernel.fail(Syscall::SetOption, [libc::ENOBUFS, libc::ENOMEM]);
    assert_eq!(port.join_group(&GROUP, None, lo()), Err(Status::from_errno(libc::ENOBUFS)));
    assert_eq!(port.join_group(&GROUP, None, lo()), Ok(()));
    assert_eq!(port.join_group(&GROUP, None, lo()), Err(Status::ALREADY_JOINED));
    assert_eq!(port.leave_group(&GROUP, None, lo()), Ok(()));
}

#[test]
fn it_can_be_left() {
    let (_kernel, _reactor, port) = half_joined();
    assert_eq!(port.leave_group(&GROUP, None, lo()), Ok(()));
    assert_eq!(port.join_group(&GROUP, None, lo()), Ok(()));
}

/// A port that has joined the group on interface 0, and could not find out which interface that was. `None` without a route.
fn joined_on_unknown_interface() -> Option<(Rc<ScriptedKernel>, Reactor<ClosureCall>, Arc<Port>)> {
    let kernel = Rc::new(ScriptedKernel::default());
    let reactor = reactor(&kernel);
    let closures = Box::new(ClosureProtocol::new(&Rc::default()));
    let port = reactor.listen_udp(0, "0.0.0.0", &Options::default(), closures).expect("free");
    // The first call reads the port's device; the failing ones read the memberships.
    kernel.script(Syscall::Option, [Real]);
    kernel.fail(Syscall::Option, vec![libc::EPERM; 1000]);
    let joined = port.join_group(&GROUP, None, 0);
    kernel.clear_script();
    if joined == Err(Status::NO_INTERFACE) {
        println!("skipped: this host has no route to a group");
        return None;
    }
    joined.expect("a group");
    Some((kernel, reactor, port))
}

#[test]
fn what_was_joined_on_an_unknown_interface_can_be_left() {
    let Some((_kernel, _reactor, port)) = joined_on_unknown_interface() else { return };
    assert_eq!(port.join_group(&GROUP, None, 0), Err(Status::ALREADY_JOINED));
    assert_eq!(port.leave_group(&GROUP, None, 0), Ok(()));
    assert_eq!(port.leave_group(&GROUP, None, 0), Err(Status::NOT_JOINED));
    assert_eq!(port.join_group(&GROUP, None, 0), Ok(()));
}

/// The route has changed or was removed: a port must not return both ALREADY_JOINED and NOT_JOINED.
#[test]
fn what_was_joined_on_an_unknown_interface_is_forgotten() {
    for errno in [libc::EADDRNOTAVAIL, libc::ENODEV] {
        let Some((kernel, _reactor, port)) = joined_on_unknown_interface() else { return };
        kernel.script(Syscall::SetOption, [Errno(errno)]);
        assert_eq!(port.leave_group(&GROUP, None, 0), Ok(()));
        assert_eq!(kernel.remaining(Syscall::SetOption), 0);
        assert_eq!(port.leave_group(&GROUP, None, 0), Err(Status::NOT_JOINED));
    }
}

/// Any other failure changes nothing.
#[test]
fn a_failed_leave_can_be_repeated() {
    let kernel = Rc::new(ScriptedKernel::default());
    let reactor = reactor(&kernel);
    let closures = Box::new(ClosureProtocol::new(&Rc::default()));
    let port = reactor.listen_udp(0, "0.0.0.0", &Options::default(), closures).expect("free");
    assert_eq!(port.join_group(&GROUP, None, lo()), Ok(()));
    kernel.fail(Syscall::SetOption, [libc::ENOMEM]);
    assert_eq!(port.leave_group(&GROUP, None, lo()), Err(Status::NO_MEMORY));
    assert_eq!(port.join_group(&GROUP, None, lo()), Err(Status::ALREADY_JOINED));
    assert_eq!(port.leave_group(&GROUP, None, lo()), Ok(()));
    // If the memberships cannot be read, the kernel's status is used.
    kernel.fail(Syscall::Option, [libc::EPERM; 8]);
    assert_eq!(port.join_group(&GROUP, None, lo()), Ok(()));
}
