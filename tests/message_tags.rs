//! Tags of messages: a datagram that is refused after it was accepted has a report with its tag.

mod support;

use std::rc::Rc;
use support::*;
use udpr::addr::Addr;
use udpr::port::{Flush, Message, Options, Port, flag};
use udpr::status::{Result, Status};
use udpr::sys::report::origin;

use CallResult::{AtMost, Errno, Real};
use Syscall::Send;

fn fixture(flags: u32) -> Fixture {
    Fixture::with_offload(Rc::default(), &Options { flags, ..Options::default() })
}

fn write_tagged(port: &Port, number: u32, to: &Addr, tag: u64) -> Result {
    let data = number.to_be_bytes();
    port.write_message(Message { payload: data[..].into(), to: Some(to), tag, ..Message::default() })
}

/// Writes these tags to the peer in one callback; the number of each datagram is its tag.
fn write_all_tagged(fixture: &Fixture, tags: impl IntoIterator<Item = u64> + 'static) {
    let to = fixture.peer.addr();
    fixture.in_callback(move |port| {
        tags.into_iter().for_each(|tag| write_tagged(port, tag as u32, &to, tag).expect("accepted"));
    });
}

/// The tags and the numbers of the reports so far, each of which has this status.
fn reported(fixture: &Fixture, status: Status, count: usize) -> Vec<(u64, u32)> {
    fixture.turn_until(|fixture| fixture.record.reports.borrow().len() >= count);
    let reports = fixture.record.reports.borrow();
    assert!(reports.iter().all(|report| report.status == status && report.origin == origin::LOCAL));
    reports.iter().map(|report| (report.tag, number(&report.data))).collect()
}

#[test]
fn only_the_refused_ones_of_a_merged_message_are_reported() {
    let fixture = fixture(0);
    // The merged message, and then its second and its fourth datagram.
    let results = [Errno(libc::EPERM), AtMost(1), Errno(libc::EPERM), AtMost(1), Errno(libc::EPERM), Real];
    fixture.kernel.script(Send, results);
    write_all_tagged(&fixture, [11, 12, 13, 14, 15]);
    assert_eq!(reported(&fixture, Status::PERMISSION, 2), [(12, 12), (14, 14)]);
    assert_eq!(fixture.stats().dropped_out, 2);
    fixture.assert_counters(5);
    fixture.assert_received([11, 13, 15]);
}

#[test]
fn a_merged_message_without_tags_fails_as_one() {
    let fixture = fixture(0);
    fixture.kernel.script(Send, [Errno(libc::EPERM), Real]);
    fixture.write_batched(1..6);
    assert_eq!(reported(&fixture, Status::PERMISSION, 5), [(0, 1), (0, 2), (0, 3), (0, 4), (0, 5)]);
    fixture.assert_received([]);
}

/// Merging goes on afterwards, since the reason was another one.
#[test]
fn a_refusal_that_needs_single_results_does_not_limit_merging() {
    let fixture = fixture(0);
    fixture.kernel.script(Send, [Errno(libc::EPERM), Real]);
    write_all_tagged(&fixture, [1, 2, 3]);
    let before = fixture.kernel.sends().len();
    write_all_tagged(&fixture, [4, 5, 6]);
    assert_eq!(fixture.kernel.sends()[before..], [1]);
    fixture.assert_received(1..7);
}

/// Tagged ones between others, to two destinations, in one batch: each report has its own.
#[test]
fn each_datagram_of_a_batch_has_its_own_tag() {
    let (fixture, other) = (fixture(0), Peer::new());
    let (one, two) = (fixture.peer.addr(), other.addr());
    fixture.kernel.script(Send, std::iter::repeat_n(Errno(libc::EACCES), 20));
    fixture.in_callback(move |port| {
        for number in 0..5 {
            write_tagged(port, number, &one, 100 + u64::from(number)).expect("accepted");
            write_tagged(port, number + 10, &two, 200 + u64::from(number)).expect("accepted");
            // By the cursor, from the second round on.
            write_by_append(port, &(number + 20).to_be_bytes(), &one);
        }
    });
    let mut reports = reported(&fixture, Status::ACCESS, 15);
    reports.sort_unstable();
    let untagged = (20..25).map(|number| (0, number));
    let tagged = [100, 200]
        .into_iter()
        .zip([0, 10])
        .flat_map(|(tag, number)| (0..5).map(move |index| (tag + u64::from(index), number + index)));
    assert_eq!(reports, untagged.chain(tagged).collect::<Vec<_>>());
    fixture.kernel.clear_script();
}

#[test]
fn a_queued_datagram_keeps_its_tag() {
    let fixture = fixture(0);
    fixture.kernel.fail(Send, [libc::EAGAIN]);
    write_all_tagged(&fixture, 21..26);
    assert_eq!(fixture.stats().queued_datagrams, 5);
    fixture.kernel.script(Send, [Errno(libc::ENETUNREACH), AtMost(2), Errno(libc::ENETUNREACH), Real]);
    assert_eq!(reported(&fixture, Status::NETWORK_UNREACHABLE, 1), [(23, 23)]);
    fixture.turn_until_sent();
    fixture.assert_counters(5);
    fixture.assert_received([21, 22, 24, 25]);
}

#[test]
fn each_segment_has_the_tag_of_its_message() {
    let fixture = fixture(0);
    let to = fixture.peer.addr();
    fixture.kernel.script(Send, [Errno(libc::EPERM), AtMost(1), Errno(libc::EPERM), Errno(libc::EPERM)]);
    fixture.in_callback(move |port| {
        let data: Vec<u8> = (0..3u32).flat_map(u32::to_be_bytes).collect();
        let (payload, to) = (data[..].into(), Some(&to));
        let message = Message { payload, to, segment_size: 4, tag: u64::MAX, ..Message::default() };
        port.write_message(message).expect("accepted");
    });
    assert_eq!(reported(&fixture, Status::PERMISSION, 2), [(u64::MAX, 1), (u64::MAX, 2)]);
    fixture.assert_received([0]);
}

#[test]
fn a_post_keeps_its_tag() {
    let fixture = fixture(flag::NO_OFFLOAD);
    let to = fixture.peer.addr();
    fixture.kernel.script(Send, [Errno(libc::EPERM), Real]);
    for tag in [31u32, 32] {
        let data = tag.to_be_bytes();
        let message =
            Message { payload: data[..].into(), to: Some(&to), tag: tag.into(), ..Message::default() };
        fixture.port.shared.post_message(message).expect("accepted");
    }
    assert_eq!(reported(&fixture, Status::PERMISSION, 1), [(31, 31)]);
    fixture.assert_received([32]);
}

/// A post that names an interface which is not the port's device.
#[test]
fn a_post_that_may_not_be_sent_is_reported() {
    let options = Options { bind_device: Some(c"lo"), ..Options::default() };
    let fixture = Fixture::with_offload(Rc::default(), &options);
    let to = fixture.peer.addr();
    let post = |interface_index: u32, tag: u64| {
        let data = (tag as u32).to_be_bytes();
        let (payload, to) = (data[..].into(), Some(&to));
        let message = Message { payload, to, interface_index, tag, ..Message::default() };
        fixture.port.shared.post_message(message)
    };
    assert_eq!(post(1_000_000, 41), Ok(()));
    assert_eq!(post(lo(), 42), Ok(()));
    assert_eq!(reported(&fixture, Status::NO_INTERFACE, 1), [(41, 41)]);
    fixture.assert_received([42]);
}

/// What is sent at once returns its status, so there is nothing to report.
#[test]
fn an_immediate_datagram_is_not_reported() {
    let fixture = fixture(0);
    let to = fixture.peer.addr();
    fixture.kernel.fail(Send, [libc::EPERM]);
    let data = 1u32.to_be_bytes();
    let (payload, flush) = (data[..].into(), Flush::Immediate);
    let message = Message { payload, to: Some(&to), flush, tag: 9, ..Message::default() };
    assert_eq!(fixture.port.write_message(message), Err(Status::PERMISSION));
    fixture.assert_received([]);
    assert!(fixture.record.reports.borrow().is_empty());
}

/// While the port is merging tagged datagrams, a full socket and an interrupted call are not refusals.
#[test]
fn a_full_socket_does_not_split() {
    let fixture = fixture(0);
    fixture.kernel.script(Send, [Errno(libc::EINTR), Errno(libc::EAGAIN)]);
    write_all_tagged(&fixture, 1..4);
    fixture.turn_until_sent();
    assert_eq!(fixture.kernel.sends(), [0, 0, 1]);
    fixture.assert_received(1..4);
}
