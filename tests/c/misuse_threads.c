/* Functions for any thread, and functions of the reactor that are called inside work on the thread pool. */
#include "every_call.h"
#include "fork_and_wait.h"
#include "pool.h"
#include "probe.h"

/* ---- functions for any thread -------------------------------------------------------------------------- */

static void call_functions_without_reactor(void *arg) {
  udpr_reactor           *reactor = NULL;
  struct sockaddr_storage storage;
  udpr_addr               v4, v6, back;
  char                    text[UDPR_ADDR_TEXT_MAX];
  uint32_t                index;
  size_t                  len;
  (void)arg;
  CHECK(udpr_version() != 0 && udpr_version_string() != NULL);
  CHECK(udpr_has_feature("no such feature") == 0);
  CHECK_STR("UDPR_E_CLOSED", udpr_status_name(UDPR_E_CLOSED));
  CHECK(udpr_status_message(UDPR_E_CLOSED) != NULL);
  CHECK_EQ(ECONNREFUSED, udpr_status_errno(UDPR_E_CONNECTION_REFUSED));
  CHECK_EQ(EISCONN, udpr_status_nearest_errno(UDPR_E_WRONG_PEER));
  OK(udpr_addr_parse("127.0.0.1:5", 0, &v4));
  OK(udpr_addr_parse_host("::ffff:127.0.0.1", 5, &v6));
  OK(udpr_addr_format(&v4, text, sizeof text, &len));
  OK(udpr_addr_to_sockaddr(&v4, &storage, sizeof storage, &len));
  OK(udpr_addr_from_sockaddr(&storage, len, &back));
  CHECK(udpr_addr_equal(&v4, &back));
  CHECK_EQ(udpr_addr_hash(&v4, 1), udpr_addr_hash(&back, 1));
  CHECK_EQ(0, udpr_addr_compare(&v4, &back));
  OK(udpr_addr_map_v4(&v4, &back));
  CHECK(udpr_addr_equal(&v6, &back));
  OK(udpr_addr_unmap_v4(&v6, &back));
  CHECK(udpr_addr_equal(&v4, &back));
  OK(udpr_interface_index(LOOPBACK, &index));
  udpr_interface interface = {.size = sizeof interface};
  OK(udpr_interfaces(&interface, 1, &len));
  CHECK(len > 0);
  OK(udpr_reactor_new(NULL, &reactor));
  OK(udpr_reactor_free(reactor));
}

static void ran(udpr_reactor *reactor, void *user) { (void)reactor, (void)user; }

static void call_functions_with_reactor(void *arg) {
  handles     *with = arg;
  udpr_remote *remote = NULL;
  CHECK(udpr_reactor_now(with->reactor) > 0 && udpr_reactor_is_running(with->reactor));
  OK(udpr_reactor_remote(with->reactor, &remote));
  CHECK(remote == with->remote);
  udpr_remote_release(remote);
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_remote(with->reactor, NULL));
  OK(udpr_reactor_call_from_thread(with->reactor, ran, with, count_freed));
  OK(udpr_remote_call(with->remote, ran, with, count_freed));
  OK(udpr_remote_wake(with->remote));
  OK(udpr_transport_post(with->transport, "p", 1, &with->to));
  udpr_message message = {.size = sizeof message, .data = "m", .len = 1, .to = &with->to};
  OK(udpr_transport_post_message(with->transport, &message));
  CHECK(udpr_remote_retain(with->remote) == with->remote);
  udpr_remote_release(with->remote);
  CHECK(udpr_transport_retain(with->transport) == with->transport);
  udpr_transport_release(with->transport);
  OK(udpr_remote_stop(with->remote));
}

TEST(any_thread_functions_while_run_waits) {
  udpr_reactor  *reactor = new_reactor(0);
  int            peer = peer_open(AF_INET);
  handles        with = {.reactor = reactor, .to = peer_addr(peer)};
  reactor_thread there;
  OK(udpr_reactor_remote(reactor, &with.remote));
  reactor_thread_start(&there, reactor);
  with.transport = there.quit.transport;
  run_in_thread(call_functions_without_reactor, NULL);
  run_in_thread(call_functions_with_reactor, &with);
  reactor_thread_join(&there);
  PEER_RECEIVES(peer, "p");
  PEER_RECEIVES(peer, "m");
  CHECK_EQ(2, atomic_load(&with.freed));
  udpr_remote_release(with.remote);
  OK(udpr_reactor_free(reactor));
  close(peer);
}

/* ---- inside work ----------------------------------------------------------------------------------------- */

static void check_run_iterate_advance_and_free_return(udpr_status expected, udpr_reactor *reactor) {
  CHECK_STATUS(expected, udpr_reactor_run(reactor));
  CHECK_STATUS(expected, udpr_reactor_iterate(reactor, 0));
  CHECK_STATUS(expected, udpr_reactor_advance(reactor, 1));
  CHECK_STATUS(expected, udpr_reactor_free(reactor));
}

/* No thread is inside the reactor, so this one could enter it. But udpr_reactor_free would wait for this
 * work.
 */
static void check_reentrant_in_work(void *user) {
  job *self = user;
  CHECK_EQ(0, sem_wait(self->may_finish));
  check_run_iterate_advance_and_free_return(UDPR_E_REENTRANT, self->reactor);
  atomic_store(&self->ended, 1);
}

TEST(run_iterate_advance_and_free_inside_work) {
  udpr_reactor *reactor = new_reactor(0);
  sem_t         outside; /* posted by the main thread when it has left the reactor */
  job           one = {.reactor = reactor, .loop_thread = pthread_self(), .may_finish = &outside};
  CHECK_EQ(0, sem_init(&outside, 0, 0));
  OK(udpr_reactor_call_in_thread(reactor, check_reentrant_in_work, job_done, &one, job_free));
  CHECK_EQ(0, sem_post(&outside));
  WAIT_UNTIL(one.ended);
  RUN_UNTIL(reactor, one.done);
  OK(udpr_reactor_free(reactor));
}

static void check_wrong_thread_in_work(void *user) {
  handles *with = user;
  check_run_iterate_advance_and_free_return(UDPR_E_WRONG_THREAD, with->reactor);
  check_reactor_calls_return(UDPR_E_WRONG_THREAD, with);
  check_transport_calls_return(UDPR_E_WRONG_THREAD, with);
  OK(udpr_reactor_call_from_thread(with->reactor, stop_call, NULL, NULL));
}

static void submit_check_wrong_thread(udpr_reactor *reactor, void *with) {
  OK(udpr_reactor_call_in_thread(reactor, check_wrong_thread_in_work, NULL, with, NULL));
}

TEST(every_call_inside_work_while_run_waits) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0};
  handles       with = {.reactor = reactor, .call = 1};
  probe_listen(&port, reactor);
  with.transport = port.transport, with.to = port.host;
  OK(udpr_reactor_call_later(reactor, 0, submit_check_wrong_thread, &with, NULL, NULL));
  run_with_timeout(reactor);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
}

/* A reactor's work may run turns of another reactor. */
static void iterate_other_reactor(void *other) { run_turns(other, 2); }

TEST(work_may_iterate_another_reactor) {
  udpr_reactor *reactor = new_reactor(0), *other = new_reactor(0);
  job           one = {0};
  job_submit(other, &one);
  RUN_UNTIL(other, one.done);
  OK(udpr_reactor_call_in_thread(reactor, iterate_other_reactor, NULL, other, NULL));
  OK(udpr_reactor_free(reactor)); /* waits for the work */
  OK(udpr_reactor_free(other));
}

static void fork_in_work(void *user) {
  handles *with = user;
  fork_and_wait();
  if (is_child) {
    check_reactor_calls_return(UDPR_E_CLOSED, with);
    OK(udpr_reactor_free(with->reactor));
    kill_self();
  }
}

TEST(a_fork_inside_work) {
  udpr_reactor *reactor = new_reactor(0);
  handles       with = {.reactor = reactor, .call = 1};
  job           one = {0};
  OK(udpr_reactor_call_in_thread(reactor, fork_in_work, NULL, &with, NULL));
  job_submit(reactor, &one);
  RUN_UNTIL(reactor, one.done);
  OK(udpr_reactor_free(reactor));
}

CHECK_MAIN()
