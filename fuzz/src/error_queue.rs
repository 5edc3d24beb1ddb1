//! Error reports of datagrams that were sent: `sys::error_queue`.
//!
//! Input: a byte of choices, the lengths of the name and the payload, the name, the payload, the control data.

use super::control_data;
use super::input::Input;
use udpr::addr::Addr;
use udpr::status::Status;
use udpr::sys::error_queue::decode;
use udpr::sys::report::origin;

/// `struct sock_extended_err` without the offender's address, which follows it.
const FIELDS: usize = size_of::<libc::sock_extended_err>();

pub fn run(input: &[u8]) {
    let mut input = Input(input);
    let (choices, name_len, data_len) =
        (input.byte(), usize::from(input.byte() % 33), usize::from(input.byte()));
    let (name, data) = (input.take(name_len), input.take(data_len));
    let control = control_data::make(input, choices & 1 != 0);
    let report = decode(name, &control, data);

    let kinds = [(libc::SOL_IP, libc::IP_RECVERR), (libc::SOL_IPV6, libc::IPV6_RECVERR)];
    let error = control_data::items(&control).into_iter().find(|item| kinds.contains(&(item.0, item.1)));
    let fields = error.map(|item| item.2).filter(|value| value.len() >= FIELDS);
    let from = fields.and_then(|fields| origin_of(fields[4]));
    let (Some(fields), Some(from)) = (fields, from) else {
        assert_eq!(report, None);
        return;
    };
    let report = report.expect("a report");
    let number = |at: usize| u32::from_ne_bytes(fields[at..at + 4].try_into().expect("four bytes"));
    assert_eq!(report.status, Status::from_errno(number(0) as i32));
    assert!(report.status.code() < 0, "a failure is not a success");
    assert_eq!((report.origin, &*report.data), (from, data));
    let icmp = (report.icmp_type, report.icmp_code);
    assert_eq!(icmp, if from == origin::LOCAL { (0, 0) } else { (fields[5].into(), fields[6].into()) });
    assert_eq!(report.mtu, if report.status == Status::MESSAGE_TOO_LONG { number(8) } else { 0 });
    assert_eq!(report.to, Addr::from_sockaddr(name).unwrap_or(Addr::UNSPECIFIED));
    assert_eq!(report.reporter, Addr::from_sockaddr(&fields[FIELDS..]).unwrap_or(Addr::UNSPECIFIED));
}

fn origin_of(number: u8) -> Option<u32> {
    match number {
        libc::SO_EE_ORIGIN_LOCAL => Some(origin::LOCAL),
        libc::SO_EE_ORIGIN_ICMP => Some(origin::ICMP),
        libc::SO_EE_ORIGIN_ICMP6 => Some(origin::ICMP6),
        _ => None,
    }
}
