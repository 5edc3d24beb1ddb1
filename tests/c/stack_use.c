/* How much stack the library needs, on a thread whose stack is painted before each step. */
#include "check.h"

/* What docs/threads.md promises. A library that is not optimised has every variable in a place of its own. */
#ifdef NDEBUG
enum { PROMISED = 16 * 1024 };
#else
enum { PROMISED = 32 * 1024 };
#endif
enum { STACK = 1 << 20, PAINT = 0xA5 };

typedef struct scene {
  udpr_reactor   *reactor;
  udpr_remote    *remote;
  udpr_transport *port, *other, *connected, *v6, *adopted;
  udpr_addr       to, to6, dead;
  udpr_id         call;
  int             received, errors, resolved, done, logged;
} scene;

static scene here;
static char  large[65507];

/* ---- paint --------------------------------------------------------------------------------------------- */

static unsigned char *bottom;

/* Runs `step` and returns the bytes of stack that it has touched below this frame: none with a tool that watches the stack. */
__attribute__((noinline)) static size_t stack_of(void (*step)(void)) {
  unsigned char *frame = __builtin_frame_address(0), *end = frame - 512;
  if (check_is_slow()) return step(), 0;
  for (volatile unsigned char *byte = bottom; byte < end; byte++) *byte = PAINT;
  step();
  unsigned char *lowest = bottom;
  while (lowest < end && *lowest == PAINT) lowest++;
  return (size_t)(frame - lowest);
}

static void on_painted_stack(void *(*body)(void *)) {
  pthread_attr_t attr;
  pthread_t      thread;
  bottom = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(bottom != MAP_FAILED);
  CHECK(pthread_attr_init(&attr) == 0 && pthread_attr_setstack(&attr, bottom, STACK) == 0);
  CHECK_EQ(0, pthread_create(&thread, &attr, body, NULL));
  CHECK_EQ(0, pthread_join(thread, NULL));
  CHECK(pthread_attr_destroy(&attr) == 0 && munmap(bottom, STACK) == 0);
}

/* ---- callbacks ----------------------------------------------------------------------------------------- */

static void received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)user;
  here.received++;
  if (datagram->len < 100) udpr_transport_write(transport, datagram->data, datagram->len, &datagram->sender);
}

static void error(udpr_transport *transport, const udpr_error_report *report, void *user) {
  (void)transport, (void)report, (void)user;
  here.errors++;
}

static void resolved(udpr_reactor *reactor, udpr_id id, udpr_status status, const udpr_addr *addrs,
                     size_t count, void *user) {
  (void)reactor, (void)id, (void)status, (void)addrs, (void)count, (void)user;
  here.resolved++;
}

static void done(udpr_reactor *reactor, void *user) {
  (void)reactor, (void)user;
  here.done++;
}

static void work(void *user) { (void)user; }

static void log_line(const udpr_log_record *record, void *user) {
  (void)record, (void)user;
  here.logged++;
}

static udpr_status trigger(udpr_reactor *reactor, udpr_id id, void *user) {
  (void)reactor, (void)id, (void)user;
  return UDPR_OK;
}

static void watched(udpr_reactor *reactor, udpr_id id, int32_t fd, uint32_t events, void *user) {
  (void)id, (void)fd, (void)events, (void)user;
  OK(udpr_reactor_unwatch(reactor, id));
}

/* ---- the steps ----------------------------------------------------------------------------------------- */

static void turn(void) { OK(udpr_reactor_iterate(here.reactor, 0)); }

static void make(void) {
  OK(udpr_reactor_new(NULL, &here.reactor));
  OK(udpr_reactor_remote(here.reactor, &here.remote));
  OK(udpr_reactor_set_logger(here.reactor, UDPR_LOG_DEBUG, log_line, NULL, NULL));
  OK(udpr_reactor_add_trigger(here.reactor, UDPR_PHASE_BEFORE, UDPR_EVENT_SHUTDOWN, trigger, NULL, NULL,
                              NULL));
  OK(udpr_reactor_start(here.reactor));
}

enum {
  EVERYTHING =
      UDPR_UDP_ERROR_REPORTS | UDPR_UDP_PACKET_INFO | UDPR_UDP_TIMESTAMPS | UDPR_UDP_TOS | UDPR_UDP_TTL
};

static udpr_transport *listening(const char *address, uint32_t flags) {
  udpr_protocol protocol = {.size = sizeof protocol, .datagram_received = received, .error_received = error};
  udpr_udp_options options = {.size = sizeof options, .flags = flags};
  return listen_on(here.reactor, address, &protocol, &options);
}

static void listen_to_all(void) {
  here.port = listening("127.0.0.1", 0);
  here.other = listening("127.0.0.1", EVERYTHING);
  here.connected = listening("127.0.0.1", UDPR_UDP_LISTEN_MULTIPLE);
  here.v6 = listening("::", EVERYTHING);
  here.to = host_of(here.port), here.to6 = addr("::1", host_of(here.v6).port);
}

static void adopt(void) {
  udpr_protocol    protocol = {.size = sizeof protocol, .datagram_received = received};
  udpr_udp_options options = {.size = sizeof options, .flags = UDPR_UDP_TAKE_FD | UDPR_UDP_OFFLOAD};
  OK(udpr_reactor_adopt_datagram_port(here.reactor, peer_open(AF_INET), UDPR_AF_INET, &protocol, &options,
                                      &here.adopted));
}

static void the_first_datagram(void) {
  OK(udpr_transport_write(here.other, "x", 1, &here.to));
  turn();
  turn();
  CHECK(here.received > 0);
}

static void many_datagrams(void) {
  for (int i = 0; i < 20; i++) {
    for (int k = 0; k < 40; k++) udpr_transport_write(here.other, large, 200, &here.to);
    for (int k = 0; k < 40; k++) udpr_transport_write(here.v6, large, 1200, &here.to6);
    udpr_transport_write(here.other, large, sizeof large, &here.to);
    turn();
  }
}

static void messages(void) {
  udpr_message message = {
      .size = sizeof message, .data = large, .len = 6400, .to = &here.to, .segment_size = 100, .tos = 8};
  udpr_bytes pieces[] = {{"head", 4}, {large, 400}, {"tail", 4}};
  size_t     taken;
  udpr_transport_write_messages(here.other, &message, 1, &taken);
  OK(udpr_transport_write_sequence(here.other, pieces, 3, &here.to));
  turn();
}

static void errors(void) {
  for (int i = 0; i < 3; i++) {
    udpr_transport_write(here.other, "dead", 4, &here.dead);
    turn();
  }
  CHECK(here.errors > 0);
}

static void from_other_threads(void) {
  OK(udpr_transport_post(here.other, large, sizeof large, &here.to));
  OK(udpr_remote_call(here.remote, done, NULL, NULL));
  turn();
  CHECK(here.done > 0);
}

static void calls(void) {
  for (int i = 0; i < 1000; i++)
    OK(udpr_reactor_call_later(here.reactor, i % 2 ? 1 : SECONDS(1), done, NULL, NULL, &here.call));
  OK(udpr_reactor_reset_call(here.reactor, here.call, 1));
  turn();
}

static void work_and_names(void) {
  OK(udpr_reactor_call_in_thread(here.reactor, work, done, NULL, NULL));
  OK(udpr_reactor_resolve(here.reactor, "localhost", 1, 0, 0, resolved, NULL, NULL, NULL));
  RUN_UNTIL(here.reactor, here.resolved);
}

static void groups(void) {
  udpr_addr group = addr("224.0.0.200", 0), group6 = addr("ff02::1234", 0), source = addr("127.0.0.1", 0);
  uint32_t  index = 0;
  udpr_transport_join_group(here.port, &group, 1);
  udpr_transport_join_source_group(here.other, &group, &source, 1);
  udpr_transport_join_group(here.v6, &group6, 1);
  udpr_transport_leave_group(here.port, &group, 1);
  udpr_transport_set_outgoing_interface(here.other, 1);
  OK(udpr_interface_index("127.0.0.1", &index));
}

static void connects(void) {
  OK(udpr_transport_connect(here.connected, &here.to));
  OK(udpr_transport_write(here.connected, "x", 1, NULL));
  turn();
  OK(udpr_transport_connect(here.connected, &here.dead));
  udpr_transport_write(here.connected, "x", 1, NULL);
  turn();
  OK(udpr_transport_disconnect(here.connected));
}

static void watches(void) {
  int ends[2];
  CHECK_EQ(0, pipe(ends));
  OK(udpr_reactor_watch(here.reactor, ends[1], UDPR_WATCH_WRITABLE, watched, NULL, NULL, NULL));
  turn();
  close(ends[0]), close(ends[1]);
}

static void stop_one(void) { OK(udpr_transport_stop_listening(here.connected)); }

static void shut_down(void) {
  OK(udpr_reactor_stop(here.reactor));
  turn();
}

static void end(void) {
  OK(udpr_reactor_free(here.reactor));
  udpr_transport *all[] = {here.port, here.other, here.connected, here.v6, here.adopted};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) udpr_transport_release(all[i]);
  udpr_remote_release(here.remote);
}

#define STEP(name) \
  { #name, name }
static const struct {
  const char *name;
  void (*run)(void);
} steps[] = {STEP(make),           STEP(listen_to_all),  STEP(adopt),     STEP(the_first_datagram),
             STEP(many_datagrams), STEP(messages),       STEP(errors),    STEP(from_other_threads),
             STEP(calls),          STEP(work_and_names), STEP(groups),    STEP(connects),
             STEP(watches),        STEP(stop_one),       STEP(shut_down), STEP(end)};

static void *measure(void *unused) {
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
    size_t used = stack_of(steps[i].run);
    NOTE("%s: %zu bytes of stack", steps[i].name, used);
    check_context = steps[i].name;
    CHECK(used <= PROMISED);
    CHECK(used > 0 || check_is_slow());
  }
  return unused;
}

TEST(everything_needs_no_more_than_promised) {
  int dead = peer_open_refusing(AF_INET);
  here.dead = peer_addr(dead);
  on_painted_stack(measure);
  close(dead);
}

CHECK_MAIN()
