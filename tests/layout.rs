//! Sizes and offsets of the public structs, the same that tests/abi/layout.c asserts in C.
#![cfg(target_pointer_width = "64")]

use std::mem::offset_of;
use udpr::abi::*;

macro_rules! layout {
    ($($name:ident: $size:literal { $($field:ident $at:literal),* })*) => {$(
        #[test]
        fn $name() {
            let _names_every_field = |value: $name| { let $name { $($field: _),* } = value; };
            assert_eq!(size_of::<$name>(), $size);
            $(assert_eq!(offset_of!($name, $field), $at, stringify!($field));)*
        }
    )*};
}

layout! {
    udpr_addr: 32 { family 0, port 2, scope_id 4, flow_info 8, bytes 12, reserved 28 }
    udpr_reactor_options: 32 { size 0, flags 8, thread_pool_size 12, reserved 16, spin 24 }
    udpr_datagram: 120 { size 0, data 8, len 16, full_len 24, sender 32, destination 64, interface_index
    96, flags 100, timestamp 104, tos 112, ttl 116 }
    udpr_error_report: 120 { size 0, status 8, origin 12, to 16, reporter 48, icmp_type 80, icmp_code 84,
    mtu 88, reserved 92, data 96, len 104, tag 112 }
    udpr_protocol: 88 { size 0, user 8, free_user 16, start_protocol 24, datagram_received 32,
    datagrams_received 40, connection_refused 48, error_received 56, write_ready 64, stop_protocol 72,
    configure_socket 80 }
    udpr_udp_options: 48 { size 0, flags 8, max_packet_size 12, receive_buffer 16, send_buffer 20,
    send_queue_bytes 24, reserved 28, bind_device 32, write_ready_bytes 40, reserved_2 44 }
    udpr_bytes: 16 { data 0, len 8 }
    udpr_message: 104 { size 0, data 8, len 16, to 24, source 32, interface_index 40, flags 44, tos 48,
    segment_size 52, pieces 56, piece_count 64, reserved 72, ttl 80, reserved_2 84, send_at 88, tag 96 }
    udpr_interface: 192 { size 0, index 8, flags 12, mtu 16, prefix_length 20, address 24, broadcast 56, hardware 88, hardware_len 120, reserved 124, name 128 }
    udpr_log_record: 32 { size 0, level 8, status 12, target 16, message 24 }
    udpr_reactor_stats: 56 { size 0, iterations 8, wakeups 16, timers_fired 24, calls_from_thread 32,
    transports 40, timers_pending 48 }
    udpr_transport_stats: 120 { size 0, datagrams_in 8, bytes_in 16, datagrams_out 24, bytes_out 32,
    dropped_in 40, discarded_in 48, dropped_out 56, truncated_in 64, refused 72, syscalls_in 80,
    syscalls_out 88, queued_bytes 96, queued_datagrams 104, kept_datagrams 112 }
}
