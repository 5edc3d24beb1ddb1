/* In a forked child everything is CLOSED; free and release close descriptors; the parent notices nothing. */
#include "every_call.h"
#include "probe.h"

#include <fcntl.h>

typedef struct family {
  udpr_reactor *reactor;
  probe         port;
  handles       with;
  int           descriptors; /* before the reactor was made */
  int           calls, freed;
} family;

static void called(udpr_reactor *reactor, void *user) {
  (void)reactor;
  ((family *)user)->calls++;
}

static void freed(void *user) { ((family *)user)->freed++; }

static void found(family *all) {
  *all = (family){.descriptors = check_count_descriptors()};
  all->reactor = new_reactor(0);
  probe_listen(&all->port, all->reactor);
  all->with = (handles){.reactor = all->reactor, .transport = all->port.transport, .to = all->port.host};
  OK(udpr_reactor_set_user(all->reactor, all));
  OK(udpr_reactor_call_later(all->reactor, MS(1), called, all, freed, &all->with.call));
}

/* What the child must not have harmed: the port receives, the call comes, each user is freed once. */
static void parent_lives_on(family *all) {
  CHECK(udpr_reactor_user(all->reactor) == all);
  send_letters(&all->port.host, "ab");
  RUN_UNTIL(all->reactor, strlen(all->port.received) == 2 && all->freed == 1);
  CHECK_EQ(1, all->calls);
  OK(udpr_transport_write(all->port.transport, "c", 1, &all->port.host));
  RUN_UNTIL(all->reactor, strlen(all->port.received) == 3);
  CHECK_STR("abc", all->port.received);
  OK(udpr_reactor_free(all->reactor));
  probe_check_ended(&all->port);
}

/* ---- what the child may not do ------------------------------------------------------------------------- */

static int freed_there;

static void freed_in_child(void *user) {
  (void)user;
  freed_there++;
}

static void all_is_closed(void *arg) {
  family *all = arg;
  check_reactor_calls_return(UDPR_E_CLOSED, &all->with);
  check_transport_calls_return(UDPR_E_CLOSED, &all->with);
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_post(all->with.transport, "x", 1, &all->with.to));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_call_from_thread(all->reactor, called, all, freed_in_child));
  CHECK_EQ(1, freed_there);
  CHECK(!udpr_reactor_is_running(all->reactor));
  CHECK(all->port.stops == 0 && all->port.freed == 0 && all->calls == 0 && all->freed == 0);
}

TEST(a_child_is_told_closed) {
  family all;
  found(&all);
  run_in_child(all_is_closed, &all);
  parent_lives_on(&all);
}

static void ask_a_child(probe *port, udpr_transport *transport) {
  (void)transport;
  run_in_child(all_is_closed, port->arg);
}

TEST(a_child_made_in_a_callback_is_told_closed) {
  family all;
  found(&all);
  OK(udpr_reactor_reset_call(all.reactor, all.with.call, SECONDS(100))); /* not before the datagram */
  all.port.on_datagram = ask_a_child, all.port.arg = &all;
  send_letters(&all.port.host, "z");
  RUN_UNTIL(all.reactor, *all.port.received);
  all.port.on_datagram = NULL, *all.port.received = '\0';
  OK(udpr_reactor_reset_call(all.reactor, all.with.call, 0));
  parent_lives_on(&all);
}

static void fork_here(probe *port, udpr_transport *transport) {
  (void)transport;
  port->on_datagram = NULL;
  *(pid_t *)port->arg = check_fork();
}

/* A turn that finds itself in a child ends there: nothing else is called. */
TEST(a_child_that_returns_from_its_callback_goes_no_further) {
  family      all;
  pid_t       child = -1;
  udpr_status status = UDPR_OK;
  found(&all);
  OK(udpr_reactor_reset_call(all.reactor, all.with.call, 0));
  all.port.on_datagram = fork_here, all.port.arg = &child;
  send_letters(&all.port.host, "ab");
  while (child < 0) status = udpr_reactor_iterate(all.reactor, (int64_t)MS(20));
  if (child == 0) {
    CHECK_STATUS(UDPR_E_CLOSED, status);
    CHECK_STR("a", all.port.received);
    CHECK(all.calls == 0 && all.freed == 0 && all.port.stops == 0 && all.port.freed == 0);
    exit(0);
  }
  CHECK_EQ(0, check_wait(child));
  OK(status);
  CHECK_STR("ab", all.port.received);
  OK(udpr_reactor_free(all.reactor));
  probe_check_ended(&all.port);
}

TEST(a_child_made_while_another_thread_runs_is_told_closed) {
  family         all;
  reactor_thread there;
  found(&all);
  OK(udpr_reactor_reset_call(all.reactor, all.with.call, SECONDS(100)));
  reactor_thread_start(&there, all.reactor);
  run_in_killed_child(all_is_closed, &all); /* what the other thread held is lost there */
  CHECK(udpr_reactor_is_running(all.reactor));
  reactor_thread_stop(&there);
  probe_check_ended(&all.port);
  OK(udpr_reactor_free(all.reactor));
  CHECK(all.calls == 0 && all.freed == 1);
}

/* ---- free and release there ---------------------------------------------------------------------------- */

static void free_then_release(void *arg) {
  family *all = arg;
  udpr_reactor_free(all->reactor);
  udpr_transport_release(all->port.transport);
  CHECK_EQ(all->descriptors, check_count_descriptors());
  CHECK(all->port.stops == 0 && all->port.freed == 0 && all->calls == 0 && all->freed == 0);
}

static void release_then_free(void *arg) {
  family *all = arg;
  udpr_transport_release(all->port.transport);
  udpr_reactor_free(all->reactor);
  CHECK_EQ(all->descriptors, check_count_descriptors());
  CHECK(all->port.stops == 0 && all->port.freed == 0 && all->calls == 0 && all->freed == 0);
}

TEST(free_in_a_child_calls_nothing_back) {
  family all;
  found(&all);
  run_in_child(free_then_release, &all);
  run_in_child(release_then_free, &all);
  parent_lives_on(&all);
}

/* ---- the child's own, and the parent's end ------------------------------------------------------------- */

static void own_reactor(void *arg) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {.on_datagram = stop_reactor};
  (void)arg;
  probe_listen(&port, reactor);
  send_letters(&port.host, "a");
  run_with_timeout(reactor);
  probe_check_ended(&port);
  OK(udpr_reactor_free(reactor));
}

TEST(a_child_may_have_a_reactor_of_its_own) {
  family all;
  found(&all);
  run_in_child(own_reactor, NULL);
  parent_lives_on(&all);
}

/* The child's copy keeps the socket alive and receiving: the parent's epoll must have forgotten it. */
TEST(a_port_closes_though_a_child_has_its_socket) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0};
  int           hold[2];
  char          byte;
  CHECK_EQ(0, pipe2(hold, O_CLOEXEC));
  probe_listen(&port, reactor);
  pid_t child = check_fork();
  if (child == 0) {
    close(hold[1]);
    _exit(read(hold[0], &byte, 1) == 0 ? 0 : 1); /* until the parent closes its end */
  }
  OK(udpr_transport_close(port.transport));
  send_letters(&port.host, "a");
  udpr_ns begin = monotonic_ns();
  OK(udpr_reactor_iterate(reactor, (int64_t)MS(20)));
  CHECK(monotonic_ns() - begin >= MS(20));
  close(hold[0]);
  close(hold[1]);
  CHECK_EQ(0, check_wait(child));
  CHECK_STR("", port.received);
  probe_check_ended(&port);
  OK(udpr_reactor_free(reactor));
}

CHECK_MAIN()
