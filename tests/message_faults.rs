//! Messages with segments or control data, with a kernel that accepts only a part of them.

mod support;

use std::net::{Ipv4Addr, UdpSocket};
use support::*;
use udpr::addr::Addr;
use udpr::port::{Flush, Message, Options, flag};
use udpr::status::Status;

use CallResult::{AtMost, Errno};
use Syscall::Send;

fn message_without_segments<'a>(data: &'a [u8], to: &'a Addr) -> Message<'a> {
    Message { payload: data.into(), to: Some(to), ..Message::default() }
}

#[test]
fn a_partial_send_continues_with_the_rest() {
    let fixture = Fixture::new();
    fixture.kernel.script(Send, [AtMost(3), Errno(libc::EINTR), AtMost(1)]);
    assert_eq!(fixture.write_segments(10, Flush::Batched), Ok(()));
    fixture.assert_counters(10);
    fixture.assert_received(0..10);
}

#[test]
fn the_message_fails_if_its_first_segment_fails() {
    let fixture = Fixture::new();
    fixture.kernel.fail(Send, [libc::EPERM]);
    assert_eq!(fixture.write_segments(10, Flush::Batched), Err(Status::PERMISSION));
    assert_eq!(fixture.stats().dropped_out, 0);
    fixture.assert_counters(0);
    fixture.assert_received([]);
}

#[test]
fn a_later_segment_that_fails_is_dropped_with_those_after_it() {
    let fixture = Fixture::new();
    fixture.kernel.script(Send, [AtMost(3), Errno(libc::EPERM)]);
    assert_eq!(fixture.write_segments(10, Flush::Immediate), Ok(()));
    assert_eq!(fixture.stats().dropped_out, 7);
    fixture.assert_counters(10);
    fixture.assert_received(0..3);
}

#[test]
fn a_full_socket_queues_the_rest_in_order() {
    let fixture = Fixture::new();
    fixture.kernel.script(Send, [AtMost(3), Errno(libc::EAGAIN)]);
    assert_eq!(fixture.write_segments(200, Flush::Batched), Ok(()));
    assert_eq!(fixture.stats().queued_datagrams, 197);
    fixture.assert_counters(200);
    fixture.assert_received(0..200);
}

#[test]
fn segments_are_queued_after_earlier_datagrams() {
    let fixture = Fixture::new();
    fixture.kernel.fail(Send, [libc::EAGAIN]);
    assert_eq!(fixture.write(1000), Ok(()));
    assert_eq!(fixture.write_segments(5, Flush::Immediate), Ok(()));
    assert_eq!(fixture.stats().queued_datagrams, 6);
    fixture.assert_received([1000, 0, 1, 2, 3, 4]);
}

#[test]
fn a_message_without_room_in_the_queue_is_rejected_completely() {
    let options = Options { send_queue_bytes: 64 * 10, ..Options::default() };
    let fixture = Fixture::with(&options);
    fixture.kernel.fail(Send, [libc::EAGAIN]);
    assert_eq!(fixture.write(1000), Ok(()));
    assert_eq!(fixture.write_segments(10, Flush::Batched), Err(Status::WOULD_BLOCK));
    assert_eq!(fixture.stats().queued_datagrams, 1);
    assert_eq!(fixture.write_segments(9, Flush::Batched), Ok(()));
    assert_eq!(fixture.stats().queued_datagrams, 10);
    fixture.turn_until(|fixture| fixture.stats().queued_datagrams == 0);
    fixture.assert_counters(10);
    fixture.assert_received([1000].into_iter().chain(0..9));
}

#[test]
fn without_a_queue_a_full_socket_rejects_the_message_or_drops_the_rest() {
    let options = Options { flags: flag::UNBATCHED, ..Options::default() };
    let fixture = Fixture::with(&options);
    fixture.kernel.fail(Send, [libc::EAGAIN]);
    assert_eq!(fixture.write_segments(10, Flush::Batched), Err(Status::WOULD_BLOCK));
    fixture.assert_counters(0);
    fixture.kernel.script(Send, [AtMost(2), Errno(libc::EAGAIN)]);
    assert_eq!(fixture.write_segments(10, Flush::Batched), Ok(()));
    assert_eq!(fixture.stats().dropped_out, 8);
    fixture.assert_counters(10);
}

#[test]
fn a_queued_datagram_keeps_its_source() {
    let fixture = Fixture::new();
    let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    peer.set_read_timeout(Some(TIMEOUT)).expect("SO_RCVTIMEO");
    let to = Addr::v4([127, 0, 0, 1], peer.local_addr().expect("bound").port());
    fixture.kernel.fail(Send, [libc::EAGAIN]);
    for last in [9, 1, 7] {
        let source = Addr::v4([127, 0, 0, last], 0);
        let message = Message { source: Some(&source), ..message_without_segments(b"x", &to) };
        assert_eq!(fixture.port.write_message(message), Ok(()));
    }
    assert_eq!(fixture.stats().queued_datagrams, 3);
    fixture.turn_until_sent();
    for last in [9, 1, 7] {
        let (len, from) = peer.recv_from(&mut [0; 8]).expect("a datagram in time");
        assert_eq!((len, from.ip()), (1, Ipv4Addr::new(127, 0, 0, last).into()));
    }
}
