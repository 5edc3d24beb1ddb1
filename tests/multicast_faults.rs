//! Joining through a kernel that fails twice: what could not be undone is known, and can be undone or finished later.

mod support;

use std::rc::Rc;
use std::sync::Arc;
use support::*;
use udpr::addr::Addr;
use udpr::port::{Options, Port};
use udpr::reactor::Reactor;
use udpr::status::Status;

use Answer::{Errno, Real};

const GROUP: Addr = Addr::v4([228, 0, 0, 5], 0);

fn lo() -> u32 {
    udpr::sys::interface::interface_index("lo").expect("loopback")
}

/// A port whose first join failed: the kernel joined, would not leave the other groups out, and could not leave this one.
fn half_joined() -> (Rc<Scripted>, Reactor<Later>, Arc<Port>) {
    let kernel = Rc::new(Scripted::default());
    let reactor = reactor(&kernel);
    let closures = Box::new(Closures::new(&Rc::default()));
    let port = reactor.listen_udp(0, "0.0.0.0", &Options::default(), closures).expect("free");
    kernel.script(Syscall::SetOption, [Real, Errno(libc::ENOBUFS), Errno(libc::ENOMEM)]);
    assert_eq!(port.join_group(&GROUP, None, lo()), Err(Status::from_errno(libc::ENOBUFS)));
    assert_eq!(kernel.waiting(Syscall::SetOption), 0);
    (kernel, reactor, port)
}

#[test]
fn the_next_join_finishes_it() {
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
