/* every_call.h: calls each function that belongs to the reactor's thread, with valid arguments, and each
 * function for any thread that can return UDPR_E_CLOSED or UDPR_E_WRONG_THREAD. If the reactor may not be
 * used, all of them must return the same status, and registrations must free their user. tests/docs_misuse.py
 * reads the names of the functions from this file.
 */
#ifndef UDPR_TESTS_EVERY_CALL_H
#define UDPR_TESTS_EVERY_CALL_H

#include "check.h"

typedef struct handles {
  udpr_reactor   *reactor;
  udpr_transport *transport;
  udpr_remote    *remote;
  udpr_id         call; /* the id of a pending call */
  udpr_addr       to;
  atomic_int      freed; /* how often a user registered here was freed */
} handles;

typedef struct every_call {
  const char *name;
  udpr_status (*call)(handles *with);
} every_call;

static inline void call_must_not_run(udpr_reactor *reactor, void *user) {
  (void)reactor, (void)user;
  FAIL("%s", "a call that was refused ran");
}
static inline void beat_must_not_run(udpr_reactor *reactor, udpr_id id, uint64_t beats, void *user) {
  (void)reactor, (void)beats, (void)user;
  FAIL("periodic call %llu, which was refused, ran", (unsigned long long)id);
}
static inline void port_call_must_not_run(udpr_transport *transport, void *user) {
  (void)transport, (void)user;
  FAIL("%s", "a call of a port that was refused ran");
}
static inline void port_beat_must_not_run(udpr_transport *transport, udpr_id id, uint64_t beats, void *user) {
  (void)transport, (void)beats, (void)user;
  FAIL("periodic call %llu of a port, which was refused, ran", (unsigned long long)id);
}
static inline void visit_must_not_run(udpr_transport *transport, void *user) {
  (void)transport, (void)user;
  FAIL("%s", "a visit that was refused happened");
}
static inline void logger_must_not_run(const udpr_log_record *record, void *user) {
  (void)user;
  FAIL("a logger that was refused was called: %s", record->message);
}
static inline void watch_must_not_run(udpr_reactor *reactor, udpr_id id, udpr_socket fd, uint32_t events,
                                      void *user) {
  (void)reactor, (void)id, (void)events, (void)user;
  FAIL("a watch of %d that was refused was called", fd);
}
static inline void signal_must_not_run(udpr_reactor *reactor, udpr_id id, int32_t signal_number, void *user) {
  (void)reactor, (void)id, (void)user;
  FAIL("a watch of signal %d that was refused was called", signal_number);
}
static inline void change_must_not_run(udpr_reactor *reactor, udpr_id id, void *user) {
  (void)reactor, (void)user;
  FAIL("watch %llu of the interfaces, which was refused, was called", (unsigned long long)id);
}
static inline udpr_status trigger_must_not_run(udpr_reactor *reactor, udpr_id id, void *user) {
  (void)reactor, (void)user;
  FAIL("trigger %llu, which was refused, fired", (unsigned long long)id);
}
static inline void resolved_must_not_run(udpr_reactor *reactor, udpr_id id, udpr_status status,
                                         const udpr_addr *addrs, size_t count, void *user) {
  (void)reactor, (void)id, (void)addrs, (void)count, (void)user;
  FAIL("a look-up that was refused reported %s", udpr_status_name(status));
}
static inline void work_must_not_run(void *user) {
  (void)user;
  FAIL("%s", "work that was refused was done");
}
static inline void count_freed(void *with) { atomic_fetch_add(&((handles *)with)->freed, 1); }

/* ---- functions of the reactor -------------------------------------------------------------------------- */

static inline udpr_status call_run(handles *with) { return udpr_reactor_run(with->reactor); }
static inline udpr_status call_stop(handles *with) { return udpr_reactor_stop(with->reactor); }
static inline udpr_status call_crash(handles *with) { return udpr_reactor_crash(with->reactor); }
static inline udpr_status call_start(handles *with) { return udpr_reactor_start(with->reactor); }
static inline udpr_status call_iterate(handles *with) { return udpr_reactor_iterate(with->reactor, 0); }
static inline udpr_status call_set_user(handles *with) { return udpr_reactor_set_user(with->reactor, with); }
static inline udpr_status call_gather(handles *with) { return udpr_reactor_gather(with->reactor); }
static inline udpr_status call_reactor_flush(handles *with) { return udpr_reactor_flush(with->reactor); }
static inline udpr_status call_each_transport(handles *with) {
  return udpr_reactor_each_transport(with->reactor, visit_must_not_run, NULL);
}
static inline udpr_status call_listen_udp(handles *with) {
  udpr_protocol protocol = {.size = sizeof protocol, .user = with, .free_user = count_freed};
  return udpr_reactor_listen_udp(with->reactor, 0, "127.0.0.1", &protocol, NULL, NULL);
}
static inline udpr_status call_listen_addr(handles *with) {
  udpr_protocol protocol = {.size = sizeof protocol, .user = with, .free_user = count_freed};
  udpr_addr     local = addr("127.0.0.1", 0);
  return udpr_reactor_listen_addr(with->reactor, &local, &protocol, NULL, NULL);
}
static inline udpr_status call_adopt(handles *with) {
  udpr_protocol protocol = {.size = sizeof protocol, .user = with, .free_user = count_freed};
  return udpr_reactor_adopt_datagram_port(with->reactor, -1, UDPR_AF_UNSPEC, &protocol, NULL, NULL);
}
static inline udpr_status call_listen_multicast(handles *with) {
  udpr_protocol protocol = {.size = sizeof protocol, .user = with, .free_user = count_freed};
  return udpr_reactor_listen_multicast(with->reactor, 0, "127.0.0.1", &protocol, NULL, NULL);
}
static inline udpr_status call_call_later(handles *with) {
  return udpr_reactor_call_later(with->reactor, 0, call_must_not_run, with, count_freed, NULL);
}
static inline udpr_status call_call_at(handles *with) {
  return udpr_reactor_call_at(with->reactor, 0, call_must_not_run, with, count_freed, NULL);
}
static inline udpr_status call_call_every(handles *with) {
  return udpr_reactor_call_every(with->reactor, 1, beat_must_not_run, with, count_freed, NULL);
}
static inline udpr_status call_cancel_call(handles *with) {
  return udpr_reactor_cancel_call(with->reactor, with->call);
}
static inline udpr_status call_reset_call(handles *with) {
  return udpr_reactor_reset_call(with->reactor, with->call, 0);
}
static inline udpr_status call_reset_call_at(handles *with) {
  return udpr_reactor_reset_call_at(with->reactor, with->call, 0);
}
static inline udpr_status call_delay_call(handles *with) {
  return udpr_reactor_delay_call(with->reactor, with->call, 1);
}
static inline udpr_status call_call_time(handles *with) {
  udpr_ns due;
  return udpr_reactor_call_time(with->reactor, with->call, &due);
}
static inline udpr_status call_delayed_calls(handles *with) {
  udpr_id id;
  size_t  count;
  return udpr_reactor_delayed_calls(with->reactor, &id, 1, &count);
}
static inline udpr_status call_advance(handles *with) { return udpr_reactor_advance(with->reactor, 1); }
static inline udpr_status call_set_logger(handles *with) {
  return udpr_reactor_set_logger(with->reactor, UDPR_LOG_DEBUG, logger_must_not_run, with, count_freed);
}
static inline udpr_status call_reactor_stats(handles *with) {
  udpr_reactor_stats stats = {.size = sizeof stats};
  return udpr_reactor_get_stats(with->reactor, &stats);
}
static inline udpr_status call_backend_fd(handles *with) {
  udpr_socket fd;
  return udpr_reactor_backend_fd(with->reactor, &fd);
}
static inline udpr_status call_next_timeout(handles *with) {
  int64_t timeout;
  return udpr_reactor_next_timeout(with->reactor, &timeout);
}
static inline udpr_status call_watch(handles *with) {
  return udpr_reactor_watch(with->reactor, -1, UDPR_WATCH_READABLE, watch_must_not_run, with, count_freed,
                            NULL);
}
static inline udpr_status call_change_watch(handles *with) {
  return udpr_reactor_change_watch(with->reactor, 1, UDPR_WATCH_READABLE);
}
static inline udpr_status call_unwatch(handles *with) { return udpr_reactor_unwatch(with->reactor, 1); }
static inline udpr_status call_watch_signal(handles *with) {
  return udpr_reactor_watch_signal(with->reactor, SIGURG, signal_must_not_run, with, count_freed, NULL);
}
static inline udpr_status call_watch_interfaces(handles *with) {
  return udpr_reactor_watch_interfaces(with->reactor, change_must_not_run, with, count_freed, NULL);
}
static inline udpr_status call_call_when_running(handles *with) {
  return udpr_reactor_call_when_running(with->reactor, call_must_not_run, with, count_freed, NULL);
}
static inline udpr_status call_add_trigger(handles *with) {
  return udpr_reactor_add_trigger(with->reactor, UDPR_PHASE_DURING, UDPR_EVENT_SHUTDOWN, trigger_must_not_run,
                                  with, count_freed, NULL);
}
static inline udpr_status call_remove_trigger(handles *with) {
  return udpr_reactor_remove_trigger(with->reactor, 1);
}
static inline udpr_status call_finish_trigger(handles *with) {
  return udpr_reactor_finish_trigger(with->reactor, 1);
}
static inline udpr_status call_fire_event(handles *with) {
  return udpr_reactor_fire_event(with->reactor, UDPR_EVENT_SHUTDOWN);
}
static inline udpr_status call_call_in_thread(handles *with) {
  return udpr_reactor_call_in_thread(with->reactor, work_must_not_run, call_must_not_run, with, count_freed);
}
static inline udpr_status call_suggest_thread_pool_size(handles *with) {
  return udpr_reactor_suggest_thread_pool_size(with->reactor, 1);
}
static inline udpr_status call_resolve(handles *with) {
  return udpr_reactor_resolve(with->reactor, "127.0.0.1", 1, 0, 0, resolved_must_not_run, with, count_freed,
                              NULL);
}
static inline udpr_status call_cancel_resolve(handles *with) {
  return udpr_reactor_cancel_resolve(with->reactor, 1);
}
static const every_call reactor_calls[] = {
    {"run", call_run},
    {"stop", call_stop},
    {"crash", call_crash},
    {"start", call_start},
    {"iterate", call_iterate},
    {"set_user", call_set_user},
    {"each_transport", call_each_transport},
    {"gather", call_gather},
    {"reactor_flush", call_reactor_flush},
    {"listen_udp", call_listen_udp},
    {"listen_addr", call_listen_addr},
    {"adopt_datagram_port", call_adopt},
    {"listen_multicast", call_listen_multicast},
    {"call_later", call_call_later},
    {"call_at", call_call_at},
    {"call_every", call_call_every},
    {"cancel_call", call_cancel_call},
    {"reset_call", call_reset_call},
    {"reset_call_at", call_reset_call_at},
    {"delay_call", call_delay_call},
    {"call_time", call_call_time},
    {"delayed_calls", call_delayed_calls},
    {"advance", call_advance},
    {"set_logger", call_set_logger},
    {"reactor_get_stats", call_reactor_stats},
    {"backend_fd", call_backend_fd},
    {"next_timeout", call_next_timeout},
    {"watch", call_watch},
    {"change_watch", call_change_watch},
    {"unwatch", call_unwatch},
    {"watch_signal", call_watch_signal},
    {"watch_interfaces", call_watch_interfaces},
    {"call_when_running", call_call_when_running},
    {"add_trigger", call_add_trigger},
    {"remove_trigger", call_remove_trigger},
    {"finish_trigger", call_finish_trigger},
    {"fire_event", call_fire_event},
    {"call_in_thread", call_call_in_thread},
    {"suggest_thread_pool_size", call_suggest_thread_pool_size},
    {"resolve", call_resolve},
    {"cancel_resolve", call_cancel_resolve},
};
enum { REGISTRATIONS = 15, TRANSPORT_REGISTRATIONS = 2 }; /* how many of them have a free_user */

/* ---- functions of the transport ------------------------------------------------------------------------ */

static inline udpr_status call_write(handles *with) {
  return udpr_transport_write(with->transport, "x", 1, &with->to);
}
static inline udpr_status call_write_sequence(handles *with) {
  udpr_bytes piece = {.data = "x", .len = 1};
  return udpr_transport_write_sequence(with->transport, &piece, 1, &with->to);
}
static inline udpr_status call_write_messages(handles *with) {
  udpr_message message = {.size = sizeof message, .data = "x", .len = 1, .to = &with->to};
  size_t       taken = 9;
  udpr_status  status = udpr_transport_write_messages(with->transport, &message, 1, &taken);
  CHECK_EQ(status == UDPR_OK, taken);
  return status;
}
static inline udpr_status call_reply(handles *with) {
  udpr_datagram datagram = {.size = sizeof datagram, .sender = with->to};
  return udpr_transport_reply(with->transport, &datagram, "x", 1);
}
static inline udpr_status call_flush(handles *with) { return udpr_transport_flush(with->transport); }
static inline udpr_status call_connect(handles *with) {
  return udpr_transport_connect(with->transport, &with->to);
}
static inline udpr_status call_disconnect(handles *with) {
  return udpr_transport_disconnect(with->transport);
}
static inline udpr_status call_get_peer(handles *with) {
  udpr_addr peer;
  return udpr_transport_get_peer(with->transport, &peer);
}
static inline udpr_status call_set_error_reports(handles *with) {
  return udpr_transport_set_error_reports(with->transport, 1);
}
static inline udpr_status call_get_host(handles *with) {
  udpr_addr host;
  return udpr_transport_get_host(with->transport, &host);
}
static inline udpr_status call_pause(handles *with) { return udpr_transport_pause_reading(with->transport); }
static inline udpr_status call_resume(handles *with) {
  return udpr_transport_resume_reading(with->transport);
}
static inline udpr_status call_stop_listening(handles *with) {
  return udpr_transport_stop_listening(with->transport);
}
static inline udpr_status call_stop_when_sent(handles *with) {
  return udpr_transport_stop_when_sent(with->transport, UDPR_NEVER);
}
static inline udpr_status call_close(handles *with) { return udpr_transport_close(with->transport); }
static inline udpr_status call_transport_stats(handles *with) {
  udpr_transport_stats stats = {.size = sizeof stats};
  return udpr_transport_get_stats(with->transport, &stats);
}
static inline udpr_status call_get_queued_bytes(handles *with) {
  size_t out;
  return udpr_transport_get_queued_bytes(with->transport, &out);
}
static inline udpr_status call_set_broadcast_allowed(handles *with) {
  return udpr_transport_set_broadcast_allowed(with->transport, 1);
}
static inline udpr_status call_get_broadcast_allowed(handles *with) {
  udpr_bool out;
  return udpr_transport_get_broadcast_allowed(with->transport, &out);
}
static inline udpr_status call_set_unicast_ttl(handles *with) {
  return udpr_transport_set_unicast_ttl(with->transport, 1);
}
static inline udpr_status call_get_unicast_ttl(handles *with) {
  uint32_t out;
  return udpr_transport_get_unicast_ttl(with->transport, &out);
}
static inline udpr_status call_set_ttl(handles *with) { return udpr_transport_set_ttl(with->transport, 1); }
static inline udpr_status call_get_ttl(handles *with) {
  uint32_t out;
  return udpr_transport_get_ttl(with->transport, &out);
}
static inline udpr_status call_set_loopback_mode(handles *with) {
  return udpr_transport_set_loopback_mode(with->transport, 1);
}
static inline udpr_status call_get_loopback_mode(handles *with) {
  udpr_bool out;
  return udpr_transport_get_loopback_mode(with->transport, &out);
}
static inline udpr_status call_set_outgoing_interface(handles *with) {
  return udpr_transport_set_outgoing_interface(with->transport, 0);
}
static inline udpr_status call_get_outgoing_interface(handles *with) {
  uint32_t out;
  return udpr_transport_get_outgoing_interface(with->transport, &out);
}
static inline udpr_status call_set_option(handles *with) {
  int value = 1;
  return udpr_transport_set_option(with->transport, SOL_SOCKET, SO_PRIORITY, &value, sizeof value);
}
static inline udpr_status call_get_option(handles *with) {
  int    value;
  size_t len = sizeof value;
  return udpr_transport_get_option(with->transport, SOL_SOCKET, SO_PRIORITY, &value, &len);
}
static inline udpr_status call_join_group(handles *with) {
  udpr_addr group = addr("228.0.0.5", 0);
  return udpr_transport_join_group(with->transport, &group, 1);
}
static inline udpr_status call_join_source_group(handles *with) {
  udpr_addr group = addr("232.0.0.5", 0), source = addr("127.0.0.2", 0);
  return udpr_transport_join_source_group(with->transport, &group, &source, 1);
}
static inline udpr_status call_leave_group(handles *with) {
  udpr_addr group = addr("228.0.0.5", 0);
  return udpr_transport_leave_group(with->transport, &group, 1);
}
static inline udpr_status call_leave_source_group(handles *with) {
  udpr_addr group = addr("232.0.0.5", 0), source = addr("127.0.0.2", 0);
  return udpr_transport_leave_source_group(with->transport, &group, &source, 1);
}

static inline udpr_status call_transport_call_later(handles *with) {
  return udpr_transport_call_later(with->transport, 0, port_call_must_not_run, with, count_freed, NULL);
}
static inline udpr_status call_transport_call_every(handles *with) {
  return udpr_transport_call_every(with->transport, 1, port_beat_must_not_run, with, count_freed, NULL);
}

static const every_call transport_calls[] = {
    {"write", call_write},
    {"write_sequence", call_write_sequence},
    {"write_messages", call_write_messages},
    {"reply", call_reply},
    {"flush", call_flush},
    {"connect", call_connect},
    {"disconnect", call_disconnect},
    {"get_host", call_get_host},
    {"get_peer", call_get_peer},
    {"set_error_reports", call_set_error_reports},
    {"pause_reading", call_pause},
    {"resume_reading", call_resume},
    {"stop_listening", call_stop_listening},
    {"stop_when_sent", call_stop_when_sent},
    {"close", call_close},
    {"transport_get_stats", call_transport_stats},
    {"get_queued_bytes", call_get_queued_bytes},
    {"set_broadcast_allowed", call_set_broadcast_allowed},
    {"get_broadcast_allowed", call_get_broadcast_allowed},
    {"set_unicast_ttl", call_set_unicast_ttl},
    {"get_unicast_ttl", call_get_unicast_ttl},
    {"set_ttl", call_set_ttl},
    {"get_ttl", call_get_ttl},
    {"set_loopback_mode", call_set_loopback_mode},
    {"get_loopback_mode", call_get_loopback_mode},
    {"set_outgoing_interface", call_set_outgoing_interface},
    {"get_outgoing_interface", call_get_outgoing_interface},
    {"set_option", call_set_option},
    {"get_option", call_get_option},
    {"join_group", call_join_group},
    {"join_source_group", call_join_source_group},
    {"leave_group", call_leave_group},
    {"leave_source_group", call_leave_source_group},
    {"transport_call_later", call_transport_call_later},
    {"transport_call_every", call_transport_call_every},
};

/* ---- functions for any thread -------------------------------------------------------------------------- */

static inline udpr_status call_remote(handles *with) {
  udpr_remote *remote;
  return udpr_reactor_remote(with->reactor, &remote);
}
static inline udpr_status call_from_thread(handles *with) {
  return udpr_reactor_call_from_thread(with->reactor, call_must_not_run, with, count_freed);
}
static inline udpr_status call_remote_call(handles *with) {
  return udpr_remote_call(with->remote, call_must_not_run, with, count_freed);
}
static inline udpr_status call_remote_stop(handles *with) { return udpr_remote_stop(with->remote); }
static inline udpr_status call_remote_wake(handles *with) { return udpr_remote_wake(with->remote); }
static inline udpr_status call_post(handles *with) {
  return udpr_transport_post(with->transport, "x", 1, &with->to);
}
static inline udpr_status call_post_message(handles *with) {
  udpr_message message = {.size = sizeof message, .data = "x", .len = 1, .to = &with->to, .tag = 1};
  return udpr_transport_post_message(with->transport, &message);
}

static const every_call any_thread_calls[] = {{"remote", call_remote},
                                              {"call_from_thread", call_from_thread},
                                              {"remote_call", call_remote_call},
                                              {"remote_stop", call_remote_stop},
                                              {"remote_wake", call_remote_wake},
                                              {"post", call_post},
                                              {"post_message", call_post_message}};

/* ---- calls of all functions ---------------------------------------------------------------------------- */

static inline void check_calls_return(udpr_status expected, const every_call *calls, size_t count,
                                      handles *with) {
  for (size_t i = 0; i < count; i++) {
    udpr_status status = calls[i].call(with);
    if (status != expected)
      FAIL("%s returned %s, not %s", calls[i].name, udpr_status_name(status), udpr_status_name(expected));
  }
}

static inline void check_reactor_calls_return(udpr_status expected, handles *with) {
  atomic_store(&with->freed, 0);
  check_calls_return(expected, reactor_calls, sizeof reactor_calls / sizeof *reactor_calls, with);
  CHECK_EQ(REGISTRATIONS, atomic_load(&with->freed));
  CHECK(udpr_reactor_user(with->reactor) == NULL);
}

static inline void check_transport_calls_return(udpr_status expected, handles *with) {
  atomic_store(&with->freed, 0);
  check_calls_return(expected, transport_calls, sizeof transport_calls / sizeof *transport_calls, with);
  CHECK_EQ(TRANSPORT_REGISTRATIONS, atomic_load(&with->freed));
  CHECK(udpr_transport_user(with->transport) == NULL);
  CHECK(udpr_transport_reactor(with->transport) == NULL);
  CHECK_EQ(-1, udpr_transport_fileno(with->transport));
}

/* Calls the functions for which there is a handle: the reactor, the remote, the transport. */
static inline void check_any_thread_calls_return(udpr_status expected, handles *with) {
  int first = with->reactor ? 0 : 2, registrations = with->reactor ? 2 : 1, count = with->transport ? 6 : 5;
  atomic_store(&with->freed, 0);
  check_calls_return(expected, any_thread_calls + first, (size_t)(count - first), with);
  CHECK_EQ(registrations, atomic_load(&with->freed));
}

#endif
