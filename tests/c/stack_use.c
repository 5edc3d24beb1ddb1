/* How much stack each function needs, measured on a thread whose stack is filled with a pattern before each
 * step.
 */
#include "check.h"

/* The limit documented in docs/threads.md. Without optimisation, each variable has a place of its own. */
#ifdef NDEBUG
enum { STACK_LIMIT = 16 * 1024 };
#else
enum { STACK_LIMIT = 32 * 1024 };
#endif
enum { STACK = 1 << 20, PAINT = 0xA5 };

typedef struct fixture {
  udpr_reactor   *reactor;
  udpr_remote    *remote;
  udpr_transport *port, *other, *connected, *v6, *adopted;
  udpr_addr       to, to6, refusing;
  udpr_id         call;
  int             received, errors, resolved, done, logged;
} fixture;

static fixture f;
static char    large[65507];

/* ---- measuring ----------------------------------------------------------------------------------------- */

static unsigned char *stack_bottom;

/* Runs `step` and returns how many bytes of stack it has overwritten below this frame. Returns 0 under a tool
 * that watches the stack.
 */
__attribute__((noinline)) static size_t measure_stack(void (*step)(void)) {
  unsigned char *frame = __builtin_frame_address(0), *tear_down = frame - 512;
  if (check_is_slow()) return step(), 0;
  for (volatile unsigned char *byte = stack_bottom; byte < tear_down; byte++) *byte = PAINT;
  step();
  unsigned char *lowest = stack_bottom;
  while (lowest < tear_down && *lowest == PAINT) lowest++;
  return (size_t)(frame - lowest);
}

static void run_on_painted_stack(void *(*body)(void *)) {
  pthread_attr_t attr;
  pthread_t      thread;
  stack_bottom = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(stack_bottom != MAP_FAILED);
  CHECK(pthread_attr_init(&attr) == 0 && pthread_attr_setstack(&attr, stack_bottom, STACK) == 0);
  CHECK_EQ(0, pthread_create(&thread, &attr, body, NULL));
  CHECK_EQ(0, pthread_join(thread, NULL));
  CHECK(pthread_attr_destroy(&attr) == 0 && munmap(stack_bottom, STACK) == 0);
}

/* ---- callbacks ----------------------------------------------------------------------------------------- */

static void received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)user;
  f.received++;
  if (datagram->len < 100) udpr_transport_write(transport, datagram->data, datagram->len, &datagram->sender);
}

static void error(udpr_transport *transport, const udpr_error_report *report, void *user) {
  (void)transport, (void)report, (void)user;
  f.errors++;
}

static void resolved(udpr_reactor *reactor, udpr_id id, udpr_status status, const udpr_addr *addrs,
                     size_t count, void *user) {
  (void)reactor, (void)id, (void)status, (void)addrs, (void)count, (void)user;
  f.resolved++;
}

static void done(udpr_reactor *reactor, void *user) {
  (void)reactor, (void)user;
  f.done++;
}

static void work(void *user) { (void)user; }

static void log_line(const udpr_log_record *record, void *user) {
  (void)record, (void)user;
  f.logged++;
}

static udpr_status trigger(udpr_reactor *reactor, udpr_id id, void *user) {
  (void)reactor, (void)id, (void)user;
  return UDPR_OK;
}

static void watched(udpr_reactor *reactor, udpr_id id, udpr_socket fd, uint32_t events, void *user) {
  (void)id, (void)fd, (void)events, (void)user;
  OK(udpr_reactor_unwatch(reactor, id));
}

/* ---- the steps ----------------------------------------------------------------------------------------- */

static void turn(void) { OK(udpr_reactor_iterate(f.reactor, 0)); }

static void set_up(void) {
  OK(udpr_reactor_new(NULL, &f.reactor));
  OK(udpr_reactor_remote(f.reactor, &f.remote));
  OK(udpr_reactor_set_logger(f.reactor, UDPR_LOG_DEBUG, log_line, NULL, NULL));
  OK(udpr_reactor_add_trigger(f.reactor, UDPR_PHASE_BEFORE, UDPR_EVENT_SHUTDOWN, trigger, NULL, NULL, NULL));
  OK(udpr_reactor_start(f.reactor));
}

enum {
  ALL_METADATA =
      UDPR_UDP_ERROR_REPORTS | UDPR_UDP_PACKET_INFO | UDPR_UDP_TIMESTAMPS | UDPR_UDP_TOS | UDPR_UDP_TTL
};

static udpr_transport *listen_with(const char *address, uint32_t flags) {
  udpr_protocol protocol = {.size = sizeof protocol, .datagram_received = received, .error_received = error};
  udpr_udp_options options = {.size = sizeof options, .flags = flags};
  return listen_on(f.reactor, address, &protocol, &options);
}

static void listen_on_all(void) {
  f.port = listen_with("127.0.0.1", 0);
  f.other = listen_with("127.0.0.1", ALL_METADATA);
  f.connected = listen_with("127.0.0.1", UDPR_UDP_LISTEN_MULTIPLE);
  f.v6 = listen_with("::", ALL_METADATA);
  f.to = host_of(f.port), f.to6 = addr("::1", host_of(f.v6).port);
}

static void adopt(void) {
  udpr_protocol    protocol = {.size = sizeof protocol, .datagram_received = received};
  udpr_udp_options options = {.size = sizeof options, .flags = UDPR_UDP_TAKE_FD | UDPR_UDP_OFFLOAD};
  OK(udpr_reactor_adopt_datagram_port(f.reactor, peer_open(AF_INET), UDPR_AF_INET, &protocol, &options,
                                      &f.adopted));
}

static void first_datagram(void) {
  OK(udpr_transport_write(f.other, "x", 1, &f.to));
  turn();
  turn();
  CHECK(f.received > 0);
}

static void many_datagrams(void) {
  for (int i = 0; i < 20; i++) {
    for (int k = 0; k < 40; k++) udpr_transport_write(f.other, large, 200, &f.to);
    for (int k = 0; k < 40; k++) udpr_transport_write(f.v6, large, 1200, &f.to6);
    udpr_transport_write(f.other, large, sizeof large, &f.to);
    turn();
  }
}

static void messages(void) {
  udpr_message message = {
      .size = sizeof message, .data = large, .len = 6400, .to = &f.to, .segment_size = 100, .tos = 8};
  udpr_bytes pieces[] = {{"head", 4}, {large, 400}, {"tail", 4}};
  size_t     taken;
  udpr_transport_write_messages(f.other, &message, 1, &taken);
  OK(udpr_transport_write_sequence(f.other, pieces, 3, &f.to));
  turn();
}

static void errors(void) {
  for (int i = 0; i < 3; i++) {
    udpr_transport_write(f.other, "dead", 4, &f.refusing);
    turn();
  }
  CHECK(f.errors > 0);
}

static void calls_from_threads(void) {
  OK(udpr_transport_post(f.other, large, sizeof large, &f.to));
  OK(udpr_remote_call(f.remote, done, NULL, NULL));
  turn();
  CHECK(f.done > 0);
}

static void delayed_calls(void) {
  for (int i = 0; i < 1000; i++)
    OK(udpr_reactor_call_later(f.reactor, i % 2 ? 1 : SECONDS(1), done, NULL, NULL, &f.call));
  OK(udpr_reactor_reset_call(f.reactor, f.call, 1));
  turn();
}

static void work_and_look_ups(void) {
  OK(udpr_reactor_call_in_thread(f.reactor, work, done, NULL, NULL));
  OK(udpr_reactor_resolve(f.reactor, "localhost", 1, 0, 0, resolved, NULL, NULL, NULL));
  RUN_UNTIL(f.reactor, f.resolved);
}

static void groups(void) {
  udpr_addr group = addr("224.0.0.200", 0), group6 = addr("ff02::1234", 0), source = addr("127.0.0.1", 0);
  uint32_t  index = 0;
  udpr_transport_join_group(f.port, &group, 1);
  udpr_transport_join_source_group(f.other, &group, &source, 1);
  udpr_transport_join_group(f.v6, &group6, 1);
  udpr_transport_leave_group(f.port, &group, 1);
  udpr_transport_set_outgoing_interface(f.other, 1);
  OK(udpr_interface_index("127.0.0.1", &index));
}

static void connects(void) {
  OK(udpr_transport_connect(f.connected, &f.to));
  OK(udpr_transport_write(f.connected, "x", 1, NULL));
  turn();
  OK(udpr_transport_connect(f.connected, &f.refusing));
  udpr_transport_write(f.connected, "x", 1, NULL);
  turn();
  OK(udpr_transport_disconnect(f.connected));
}

static void watches(void) {
  int ends[2];
  CHECK_EQ(0, pipe(ends));
  OK(udpr_reactor_watch(f.reactor, ends[1], UDPR_WATCH_WRITABLE, watched, NULL, NULL, NULL));
  turn();
  close(ends[0]), close(ends[1]);
}

static void stop_one(void) { OK(udpr_transport_stop_listening(f.connected)); }

static void stop(void) {
  OK(udpr_reactor_stop(f.reactor));
  turn();
}

static void tear_down(void) {
  OK(udpr_reactor_free(f.reactor));
  udpr_transport *all[] = {f.port, f.other, f.connected, f.v6, f.adopted};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) udpr_transport_release(all[i]);
  udpr_remote_release(f.remote);
}

#define STEP(name) \
  { #name, name }
static const struct {
  const char *name;
  void (*run)(void);
} steps[] = {STEP(set_up),         STEP(listen_on_all),     STEP(adopt),  STEP(first_datagram),
             STEP(many_datagrams), STEP(messages),          STEP(errors), STEP(calls_from_threads),
             STEP(delayed_calls),  STEP(work_and_look_ups), STEP(groups), STEP(connects),
             STEP(watches),        STEP(stop_one),          STEP(stop),   STEP(tear_down)};

static void *measure_all(void *unused) {
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
    size_t used = measure_stack(steps[i].run);
    NOTE("%s: %zu bytes of stack", steps[i].name, used);
    check_context = steps[i].name;
    CHECK(used <= STACK_LIMIT);
    CHECK(used > 0 || check_is_slow());
  }
  return unused;
}

TEST(every_step_stays_within_the_documented_stack) {
  int refusing = peer_open_refusing(AF_INET);
  f.refusing = peer_addr(refusing);
  run_on_painted_stack(measure_all);
  close(refusing);
}

CHECK_MAIN()
