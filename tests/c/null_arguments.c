/* Every function of the header with NULL for each pointer that may not be NULL: it returns a status and does
 * not crash. A registration frees its user in the call. Pointers that may be NULL (options, free_user,
 * out_id, out_len, out of listen) are NULL in many other tests.
 */
#include "check.h"

#define INVALID(call) CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, call)

/* A registration that fails, and frees `user` before it returns. */
#define INVALID_AND_FREES(call) \
  do {                          \
    freed = 0;                  \
    INVALID(call);              \
    CHECK_EQ(1, freed);         \
  } while (0)

static atomic_int freed;

static void call(udpr_reactor *reactor, void *user) { (void)reactor, (void)user; }
static void beat(udpr_reactor *reactor, udpr_id id, uint64_t beats, void *user) {
  (void)reactor, (void)id, (void)beats, (void)user;
}
static void port_call(udpr_transport *transport, void *user) { (void)transport, (void)user; }
static void port_beat(udpr_transport *transport, udpr_id id, uint64_t beats, void *user) {
  (void)transport, (void)id, (void)beats, (void)user;
}
static void        visit(udpr_transport *transport, void *user) { (void)transport, (void)user; }
static void        log_record(const udpr_log_record *record, void *user) { (void)record, (void)user; }
static udpr_status trigger(udpr_reactor *reactor, udpr_id id, void *user) {
  (void)reactor, (void)id, (void)user;
  return UDPR_OK;
}
static void resolved(udpr_reactor *reactor, udpr_id id, udpr_status status, const udpr_addr *addrs,
                     size_t count, void *user) {
  (void)reactor, (void)id, (void)status, (void)addrs, (void)count, (void)user;
}
static void work(void *user) { (void)user; }

TEST(library_and_addresses) {
  udpr_addr address = addr("1.2.3.4", 0), out;
  uint32_t  index;
  size_t    len;
  char      text[UDPR_ADDR_TEXT_MAX];
  CHECK_EQ(0, udpr_has_feature(NULL));
  INVALID(udpr_addr_parse(NULL, 0, &out));
  INVALID(udpr_addr_parse("1.2.3.4", 0, NULL));
  INVALID(udpr_addr_parse_host(NULL, 0, &out));
  INVALID(udpr_addr_parse_host("1.2.3.4", 0, NULL));
  INVALID(udpr_addr_format(NULL, text, sizeof text, &len));
  INVALID(udpr_addr_format(&address, NULL, sizeof text, &len));
  INVALID(udpr_addr_from_sockaddr(NULL, 16, &out));
  INVALID(udpr_addr_from_sockaddr(&address, sizeof address, NULL));
  INVALID(udpr_addr_to_sockaddr(NULL, text, sizeof text, &len));
  INVALID(udpr_addr_to_sockaddr(&address, NULL, sizeof text, &len));
  CHECK_EQ(0, udpr_addr_equal(NULL, &address));
  CHECK_EQ(0, udpr_addr_equal(&address, NULL));
  CHECK_EQ(0, udpr_addr_hash(NULL, 1));
  CHECK(udpr_addr_compare(NULL, &address) < 0);
  CHECK(udpr_addr_compare(&address, NULL) > 0);
  INVALID(udpr_addr_map_v4(NULL, &out));
  INVALID(udpr_addr_map_v4(&address, NULL));
  INVALID(udpr_addr_unmap_v4(NULL, &out));
  INVALID(udpr_addr_unmap_v4(&address, NULL));
  INVALID(udpr_interface_index(NULL, &index));
  INVALID(udpr_interface_index("lo", NULL));
  INVALID(udpr_interfaces(NULL, 1, &len));
  INVALID(udpr_interfaces(&(udpr_interface){.size = sizeof(udpr_interface)}, 1, NULL));
}

TEST(reactor_life) {
  udpr_reactor *reactor = NULL;
  INVALID(udpr_reactor_new(NULL, NULL));
  OK(udpr_reactor_new(NULL, &reactor));
  OK(udpr_reactor_free(NULL));
  INVALID(udpr_reactor_run(NULL));
  INVALID(udpr_reactor_stop(NULL));
  INVALID(udpr_reactor_crash(NULL));
  INVALID(udpr_reactor_start(NULL));
  INVALID(udpr_reactor_iterate(NULL, 0));
  INVALID(udpr_reactor_set_user(NULL, &reactor));
  OK(udpr_reactor_set_user(reactor, NULL));
  CHECK_EQ(0, udpr_reactor_is_running(NULL));
  CHECK(udpr_reactor_user(NULL) == NULL);
  OK(udpr_reactor_free(reactor));
}

TEST(ports) {
  udpr_reactor   *reactor = new_reactor(0);
  udpr_transport *out = NULL;
  udpr_protocol   protocol = {.size = sizeof protocol, .user = &freed, .free_user = count_free};
  INVALID_AND_FREES(udpr_reactor_listen_udp(NULL, 0, NULL, &protocol, NULL, &out));
  udpr_addr local = addr("127.0.0.1", 0);
  INVALID_AND_FREES(udpr_reactor_listen_addr(NULL, &local, &protocol, NULL, &out));
  INVALID_AND_FREES(udpr_reactor_listen_addr(reactor, NULL, &protocol, NULL, &out));
  INVALID(udpr_reactor_listen_addr(reactor, &local, NULL, NULL, &out));
  OK(udpr_reactor_listen_addr(reactor, &local, &(udpr_protocol){.size = sizeof protocol}, NULL, NULL));
  INVALID_AND_FREES(udpr_reactor_listen_multicast(NULL, 0, NULL, &protocol, NULL, &out));
  INVALID(udpr_reactor_listen_multicast(reactor, 0, NULL, NULL, NULL, &out));
  OK(udpr_reactor_listen_multicast(reactor, 0, NULL, &(udpr_protocol){.size = sizeof protocol}, NULL, NULL));
  INVALID(udpr_reactor_listen_udp(reactor, 0, NULL, NULL, NULL, &out));
  INVALID_AND_FREES(udpr_reactor_adopt_datagram_port(NULL, -1, UDPR_AF_UNSPEC, &protocol, NULL, &out));
  INVALID(udpr_reactor_adopt_datagram_port(reactor, -1, UDPR_AF_UNSPEC, NULL, NULL, &out));
  INVALID(udpr_reactor_gather(NULL));
  INVALID(udpr_reactor_flush(NULL));
  INVALID(udpr_reactor_each_transport(NULL, visit, NULL));
  INVALID(udpr_reactor_each_transport(reactor, NULL, NULL));
  CHECK(out == NULL);
  OK(udpr_reactor_free(reactor));
}

TEST(transport_handle) {
  CHECK(udpr_transport_retain(NULL) == NULL);
  udpr_transport_release(NULL);
  CHECK(udpr_transport_reactor(NULL) == NULL);
  CHECK(udpr_transport_user(NULL) == NULL);
  CHECK_EQ(-1, udpr_transport_fileno(NULL));
}

TEST(no_transport) {
  udpr_addr            address = addr("127.0.0.1:9", 0);
  udpr_bytes           piece = {"x", 1};
  udpr_message         message = {.size = sizeof message, .data = "x", .len = 1, .to = &address};
  udpr_transport_stats stats = {.size = sizeof stats};
  udpr_datagram        datagram = {.size = sizeof datagram, .sender = address};
  size_t               taken = 99, len = 4;
  udpr_bool            flag;
  uint32_t             number;
  INVALID(udpr_transport_write(NULL, "x", 1, &address));
  INVALID(udpr_transport_write_sequence(NULL, &piece, 1, &address));
  INVALID(udpr_transport_reply(NULL, &datagram, "x", 1));
  INVALID(udpr_transport_write_messages(NULL, &message, 1, &taken));
  CHECK_EQ(0, taken); /* set also if the call fails */
  INVALID(udpr_transport_post(NULL, "x", 1, &address));
  INVALID(udpr_transport_post_message(NULL, &message));
  INVALID(udpr_transport_flush(NULL));
  INVALID(udpr_transport_connect(NULL, &address));
  INVALID(udpr_transport_disconnect(NULL));
  INVALID(udpr_transport_get_host(NULL, &address));
  INVALID(udpr_transport_get_peer(NULL, &address));
  INVALID(udpr_transport_set_error_reports(NULL, 1));
  INVALID(udpr_transport_stop_listening(NULL));
  INVALID(udpr_transport_stop_when_sent(NULL, 0));
  INVALID(udpr_transport_close(NULL));
  INVALID(udpr_transport_pause_reading(NULL));
  INVALID(udpr_transport_resume_reading(NULL));
  INVALID(udpr_transport_get_queued_bytes(NULL, &len));
  INVALID(udpr_transport_get_stats(NULL, &stats));
  INVALID(udpr_transport_set_broadcast_allowed(NULL, 1));
  INVALID(udpr_transport_get_broadcast_allowed(NULL, &flag));
  INVALID(udpr_transport_set_unicast_ttl(NULL, 1));
  INVALID(udpr_transport_get_unicast_ttl(NULL, &number));
  INVALID(udpr_transport_set_ttl(NULL, 1));
  INVALID(udpr_transport_get_ttl(NULL, &number));
  INVALID(udpr_transport_set_loopback_mode(NULL, 1));
  INVALID(udpr_transport_get_loopback_mode(NULL, &flag));
  INVALID(udpr_transport_set_outgoing_interface(NULL, 1));
  INVALID(udpr_transport_get_outgoing_interface(NULL, &number));
  INVALID(udpr_transport_set_option(NULL, SOL_SOCKET, SO_PRIORITY, &taken, 4));
  INVALID(udpr_transport_get_option(NULL, SOL_SOCKET, SO_PRIORITY, &taken, &len));
  INVALID(udpr_transport_join_group(NULL, &address, 0));
  INVALID(udpr_transport_join_source_group(NULL, &address, &address, 0));
  INVALID(udpr_transport_leave_group(NULL, &address, 0));
  INVALID(udpr_transport_leave_source_group(NULL, &address, &address, 0));
  INVALID_AND_FREES(udpr_transport_call_later(NULL, 0, port_call, &freed, count_free, NULL));
  INVALID_AND_FREES(udpr_transport_call_every(NULL, 1, port_beat, &freed, count_free, NULL));
}

TEST(transport_arguments) {
  udpr_reactor   *reactor = new_reactor(0);
  udpr_protocol   protocol = {.size = sizeof protocol};
  udpr_transport *transport = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  udpr_addr       address = addr("127.0.0.1:9", 0);
  udpr_message    message = {.size = sizeof message, .data = "x", .len = 1, .to = &address};
  udpr_datagram   datagram = {.size = sizeof datagram, .sender = address};
  size_t          taken = 99;
  udpr_addr       group = addr("228.0.0.5", 0);
  INVALID(udpr_transport_write(transport, NULL, 1, &address));
  CHECK_STATUS(UDPR_E_NOT_CONNECTED, udpr_transport_write(transport, "x", 1, NULL));
  INVALID(udpr_transport_write_sequence(transport, NULL, 1, &address));
  INVALID(udpr_transport_reply(transport, NULL, "x", 1));
  INVALID(udpr_transport_reply(transport, &datagram, NULL, 1));
  INVALID(udpr_transport_write_messages(transport, NULL, 1, &taken));
  CHECK_EQ(0, taken);
  INVALID(udpr_transport_write_messages(transport, &message, 1, NULL));
  INVALID(udpr_transport_post(transport, NULL, 1, &address));
  INVALID(udpr_transport_post_message(transport, NULL));
  INVALID(udpr_transport_connect(transport, NULL));
  INVALID(udpr_transport_get_host(transport, NULL));
  INVALID(udpr_transport_get_peer(transport, NULL));
  INVALID(udpr_transport_get_queued_bytes(transport, NULL));
  INVALID(udpr_transport_get_stats(transport, NULL));
  taken = 4;
  INVALID(udpr_transport_get_broadcast_allowed(transport, NULL));
  INVALID(udpr_transport_get_unicast_ttl(transport, NULL));
  INVALID(udpr_transport_get_ttl(transport, NULL));
  INVALID(udpr_transport_get_loopback_mode(transport, NULL));
  INVALID(udpr_transport_get_outgoing_interface(transport, NULL));
  INVALID(udpr_transport_set_option(transport, SOL_SOCKET, SO_PRIORITY, NULL, 4));
  INVALID(udpr_transport_get_option(transport, SOL_SOCKET, SO_PRIORITY, NULL, &taken));
  INVALID(udpr_transport_get_option(transport, SOL_SOCKET, SO_PRIORITY, &address, NULL));
  INVALID(udpr_transport_join_group(transport, NULL, 0));
  INVALID(udpr_transport_leave_group(transport, NULL, 0));
  INVALID(udpr_transport_join_source_group(transport, NULL, &address, 0));
  INVALID(udpr_transport_join_source_group(transport, &group, NULL, 0));
  INVALID(udpr_transport_leave_source_group(transport, NULL, &address, 0));
  INVALID(udpr_transport_leave_source_group(transport, &group, NULL, 0));
  INVALID_AND_FREES(udpr_transport_call_later(transport, 0, NULL, &freed, count_free, NULL));
  INVALID_AND_FREES(udpr_transport_call_every(transport, 1, NULL, &freed, count_free, NULL));
  OK(udpr_transport_call_later(transport, 0, port_call, NULL, NULL, NULL));
  OK(udpr_transport_call_every(transport, 1, port_beat, NULL, NULL, NULL));
  OK(udpr_transport_close(transport));
  udpr_transport_release(transport);
  OK(udpr_reactor_free(reactor));
}

TEST(time) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_id       id = 0;
  udpr_ns       due;
  size_t        count;
  OK(udpr_reactor_call_later(reactor, SECONDS(60), call, NULL, NULL, &id));
  CHECK_EQ(0, udpr_reactor_now(NULL));
  INVALID_AND_FREES(udpr_reactor_call_later(NULL, 0, call, &freed, count_free, NULL));
  INVALID_AND_FREES(udpr_reactor_call_later(reactor, 0, NULL, &freed, count_free, NULL));
  INVALID(udpr_reactor_call_later(NULL, 0, NULL, NULL, NULL, NULL));
  INVALID_AND_FREES(udpr_reactor_call_at(NULL, 0, call, &freed, count_free, NULL));
  INVALID_AND_FREES(udpr_reactor_call_at(reactor, 0, NULL, &freed, count_free, NULL));
  INVALID_AND_FREES(udpr_reactor_call_every(NULL, 1, beat, &freed, count_free, NULL));
  INVALID_AND_FREES(udpr_reactor_call_every(reactor, 1, NULL, &freed, count_free, NULL));
  OK(udpr_reactor_call_at(reactor, SECONDS(60), call, NULL, NULL, NULL));
  OK(udpr_reactor_call_every(reactor, SECONDS(60), beat, NULL, NULL, NULL));
  INVALID(udpr_reactor_cancel_call(NULL, id));
  INVALID(udpr_reactor_reset_call(NULL, id, 0));
  INVALID(udpr_reactor_reset_call_at(NULL, id, 0));
  INVALID(udpr_reactor_delay_call(NULL, id, 0));
  INVALID(udpr_reactor_call_time(NULL, id, &due));
  INVALID(udpr_reactor_call_time(reactor, id, NULL));
  INVALID(udpr_reactor_delayed_calls(NULL, &id, 1, &count));
  INVALID(udpr_reactor_delayed_calls(reactor, NULL, 1, &count));
  INVALID(udpr_reactor_delayed_calls(reactor, &id, 1, NULL));
  INVALID(udpr_reactor_advance(NULL, 1));
  OK(udpr_reactor_free(reactor));
}

TEST(events) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_id       id = 0;
  INVALID_AND_FREES(udpr_reactor_call_when_running(NULL, call, &freed, count_free, &id));
  INVALID_AND_FREES(udpr_reactor_call_when_running(reactor, NULL, &freed, count_free, &id));
  INVALID_AND_FREES(udpr_reactor_add_trigger(NULL, 0, 0, trigger, &freed, count_free, &id));
  INVALID_AND_FREES(udpr_reactor_add_trigger(reactor, 0, 0, NULL, &freed, count_free, &id));
  CHECK_EQ(0, id);
  INVALID(udpr_reactor_remove_trigger(NULL, 1));
  INVALID(udpr_reactor_finish_trigger(NULL, 1));
  INVALID(udpr_reactor_fire_event(NULL, 0));
  OK(udpr_reactor_add_trigger(reactor, 0, 0, trigger, NULL, NULL, NULL));
  OK(udpr_reactor_call_when_running(reactor, call, NULL, NULL, NULL));
  OK(udpr_reactor_fire_event(reactor, UDPR_EVENT_STARTUP));
  OK(udpr_reactor_free(reactor));
}

TEST(names) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_id       id = 0;
  INVALID_AND_FREES(udpr_reactor_resolve(NULL, "::1", 1, 0, 0, resolved, &freed, count_free, &id));
  INVALID_AND_FREES(udpr_reactor_resolve(reactor, NULL, 1, 0, 0, resolved, &freed, count_free, &id));
  INVALID_AND_FREES(udpr_reactor_resolve(reactor, "::1", 1, 0, 0, NULL, &freed, count_free, &id));
  CHECK_EQ(0, id);
  INVALID(udpr_reactor_cancel_resolve(NULL, 1));
  OK(udpr_reactor_resolve(reactor, "::1", 1, 0, 0, resolved, NULL, NULL, NULL));
  run_turns(reactor, 2);
  OK(udpr_reactor_free(reactor));
}

TEST(threads) {
  udpr_reactor *reactor = new_reactor(0);
  INVALID_AND_FREES(udpr_reactor_call_in_thread(NULL, work, call, &freed, count_free));
  INVALID_AND_FREES(udpr_reactor_call_in_thread(reactor, NULL, call, &freed, count_free));
  INVALID(udpr_reactor_suggest_thread_pool_size(NULL, 1));
  OK(udpr_reactor_call_in_thread(reactor, work, NULL, NULL, NULL));
  INVALID_AND_FREES(udpr_reactor_call_from_thread(NULL, call, &freed, count_free));
  INVALID_AND_FREES(udpr_reactor_call_from_thread(reactor, NULL, &freed, count_free));
  OK(udpr_reactor_free(reactor));
}

TEST(watches) {
  udpr_reactor      *reactor = new_reactor(0);
  udpr_reactor_stats stats = {.size = sizeof stats};
  INVALID_AND_FREES(udpr_reactor_set_logger(NULL, UDPR_LOG_DEBUG, log_record, &freed, count_free));
  INVALID(udpr_reactor_get_stats(NULL, &stats));
  INVALID(udpr_reactor_get_stats(reactor, NULL));
  OK(udpr_reactor_free(reactor));
}

CHECK_MAIN()
