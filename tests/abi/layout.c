/* Asserts sizes and offsets of the public structs. tests/abi/layout.py only compiles it, for this machine's ABI and for
 * 32-bit ABIs, on which no struct may have padding at its end either (appending a field would not change its size).
 * If a struct with `size` grows, add lines and change its SIZE; no other number ever changes.
 */
#include <stddef.h>
#include <udpr/udpr.h>

#define ASSERT(condition) _Static_assert(condition, #condition)
#define TAIL(type, last) ASSERT(offsetof(type, last) + sizeof(((type *)NULL)->last) == sizeof(type))
#if UINTPTR_MAX == UINT64_MAX
#define SIZE(type, bytes) ASSERT(sizeof(type) == (bytes))
#define AT(type, field, bytes) ASSERT(offsetof(type, field) == (bytes))
#else
#define SIZE(type, bytes) ASSERT(sizeof(type) <= (bytes))
#define AT(type, field, bytes) ASSERT(offsetof(type, field) <= (bytes))
#endif

SIZE(udpr_addr, 32);
TAIL(udpr_addr, reserved);
AT(udpr_addr, family, 0);
AT(udpr_addr, port, 2);
AT(udpr_addr, scope_id, 4);
AT(udpr_addr, flow_info, 8);
AT(udpr_addr, bytes, 12);
AT(udpr_addr, reserved, 28);

SIZE(udpr_reactor_options, 32);
TAIL(udpr_reactor_options, spin);
AT(udpr_reactor_options, size, 0);
AT(udpr_reactor_options, flags, 8);
AT(udpr_reactor_options, thread_pool_size, 12);
AT(udpr_reactor_options, reserved, 16);
AT(udpr_reactor_options, spin, 24);

SIZE(udpr_datagram, 120);
TAIL(udpr_datagram, ttl);
AT(udpr_datagram, size, 0);
AT(udpr_datagram, data, 8);
AT(udpr_datagram, len, 16);
AT(udpr_datagram, full_len, 24);
AT(udpr_datagram, sender, 32);
AT(udpr_datagram, destination, 64);
AT(udpr_datagram, interface_index, 96);
AT(udpr_datagram, flags, 100);
AT(udpr_datagram, timestamp, 104);
AT(udpr_datagram, tos, 112);
AT(udpr_datagram, ttl, 116);

SIZE(udpr_error_report, 120);
TAIL(udpr_error_report, tag);
AT(udpr_error_report, size, 0);
AT(udpr_error_report, status, 8);
AT(udpr_error_report, origin, 12);
AT(udpr_error_report, to, 16);
AT(udpr_error_report, reporter, 48);
AT(udpr_error_report, icmp_type, 80);
AT(udpr_error_report, icmp_code, 84);
AT(udpr_error_report, mtu, 88);
AT(udpr_error_report, reserved, 92);
AT(udpr_error_report, data, 96);
AT(udpr_error_report, len, 104);
AT(udpr_error_report, tag, 112);

SIZE(udpr_protocol, 88);
TAIL(udpr_protocol, configure_socket);
AT(udpr_protocol, size, 0);
AT(udpr_protocol, user, 8);
AT(udpr_protocol, free_user, 16);
AT(udpr_protocol, start_protocol, 24);
AT(udpr_protocol, datagram_received, 32);
AT(udpr_protocol, datagrams_received, 40);
AT(udpr_protocol, connection_refused, 48);
AT(udpr_protocol, error_received, 56);
AT(udpr_protocol, write_ready, 64);
AT(udpr_protocol, stop_protocol, 72);
AT(udpr_protocol, configure_socket, 80);

SIZE(udpr_udp_options, 48);
TAIL(udpr_udp_options, reserved_2);
AT(udpr_udp_options, size, 0);
AT(udpr_udp_options, flags, 8);
AT(udpr_udp_options, max_packet_size, 12);
AT(udpr_udp_options, receive_buffer, 16);
AT(udpr_udp_options, send_buffer, 20);
AT(udpr_udp_options, send_queue_bytes, 24);
AT(udpr_udp_options, reserved, 28);
AT(udpr_udp_options, bind_device, 32);
AT(udpr_udp_options, write_ready_bytes, 40);
AT(udpr_udp_options, reserved_2, 44);

SIZE(udpr_bytes, 16);
TAIL(udpr_bytes, len);
AT(udpr_bytes, data, 0);
AT(udpr_bytes, len, 8);

SIZE(udpr_message, 104);
TAIL(udpr_message, tag);
AT(udpr_message, size, 0);
AT(udpr_message, data, 8);
AT(udpr_message, len, 16);
AT(udpr_message, to, 24);
AT(udpr_message, source, 32);
AT(udpr_message, interface_index, 40);
AT(udpr_message, flags, 44);
AT(udpr_message, tos, 48);
AT(udpr_message, segment_size, 52);
AT(udpr_message, pieces, 56);
AT(udpr_message, piece_count, 64);
AT(udpr_message, reserved, 72);
AT(udpr_message, ttl, 80);
AT(udpr_message, reserved_2, 84);
AT(udpr_message, send_at, 88);
AT(udpr_message, tag, 96);

SIZE(udpr_log_record, 32);
TAIL(udpr_log_record, message);
AT(udpr_log_record, size, 0);
AT(udpr_log_record, level, 8);
AT(udpr_log_record, status, 12);
AT(udpr_log_record, target, 16);
AT(udpr_log_record, message, 24);

SIZE(udpr_reactor_stats, 56);
TAIL(udpr_reactor_stats, timers_pending);
AT(udpr_reactor_stats, size, 0);
AT(udpr_reactor_stats, iterations, 8);
AT(udpr_reactor_stats, wakeups, 16);
AT(udpr_reactor_stats, timers_fired, 24);
AT(udpr_reactor_stats, calls_from_thread, 32);
AT(udpr_reactor_stats, transports, 40);
AT(udpr_reactor_stats, timers_pending, 48);

SIZE(udpr_transport_stats, 120);
TAIL(udpr_transport_stats, kept_datagrams);
AT(udpr_transport_stats, size, 0);
AT(udpr_transport_stats, datagrams_in, 8);
AT(udpr_transport_stats, bytes_in, 16);
AT(udpr_transport_stats, datagrams_out, 24);
AT(udpr_transport_stats, bytes_out, 32);
AT(udpr_transport_stats, dropped_in, 40);
AT(udpr_transport_stats, discarded_in, 48);
AT(udpr_transport_stats, dropped_out, 56);
AT(udpr_transport_stats, truncated_in, 64);
AT(udpr_transport_stats, refused, 72);
AT(udpr_transport_stats, syscalls_in, 80);
AT(udpr_transport_stats, syscalls_out, 88);
AT(udpr_transport_stats, queued_bytes, 96);
AT(udpr_transport_stats, queued_datagrams, 104);
AT(udpr_transport_stats, kept_datagrams, 112);

SIZE(udpr_interface, 192);
TAIL(udpr_interface, name);
AT(udpr_interface, size, 0);
AT(udpr_interface, index, 8);
AT(udpr_interface, flags, 12);
AT(udpr_interface, mtu, 16);
AT(udpr_interface, prefix_length, 20);
AT(udpr_interface, address, 24);
AT(udpr_interface, broadcast, 56);
AT(udpr_interface, hardware, 88);
AT(udpr_interface, hardware_len, 120);
AT(udpr_interface, reserved, 124);
AT(udpr_interface, name, 128);
