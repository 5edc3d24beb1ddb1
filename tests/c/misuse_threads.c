/* Threads: what is for any thread works from any, and inside work on the pool nothing waits for itself. */
#include "every_call.h"
#include "fork_and_wait.h"
#include "pool.h"
#include "probe.h"

/* ---- [any thread] ---------------------------------------------------------------------------------------- */

static void needs_no_reactor(void *arg) {
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
  OK(udpr_addr_parse("127.0.0.1:5", 0, &v4));
  OK(udpr_addr_parse_host("::ffff:127.0.0.1", 5, &v6));
  OK(udpr_addr_format(&v4, text, sizeof text, &len));
  OK(udpr_addr_to_sockaddr(&v4, &storage, sizeof storage, &len));
  OK(udpr_addr_from_sockaddr(&storage, len, &back));
  CHECK(udpr_addr_equal(&v4, &back));
  OK(udpr_addr_map_v4(&v4, &back));
  CHECK(udpr_addr_equal(&v6, &back));
  OK(udpr_addr_unmap_v4(&v6, &back));
  CHECK(udpr_addr_equal(&v4, &back));
  OK(udpr_interface_index("lo", &index));
  OK(udpr_reactor_new(NULL, &reactor));
  OK(udpr_reactor_free(reactor));
}

static void ran(udpr_reactor *reactor, void *user) { (void)reactor, (void)user; }

static void asks_a_reactor(void *arg) {
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
  CHECK(udpr_remote_retain(with->remote) == with->remote);
  udpr_remote_release(with->remote);
  CHECK(udpr_transport_retain(with->transport) == with->transport);
  udpr_transport_release(with->transport);
  OK(udpr_remote_stop(with->remote));
}

TEST(any_thread_means_any_while_run_waits) {
  udpr_reactor  *reactor = new_reactor(0);
  int            peer = peer_open(AF_INET);
  handles        with = {.reactor = reactor, .to = peer_addr(peer)};
  reactor_thread there;
  OK(udpr_reactor_remote(reactor, &with.remote));
  reactor_thread_start(&there, reactor);
  with.transport = there.quit.transport;
  run_in_thread(needs_no_reactor, NULL);
  run_in_thread(asks_a_reactor, &with);
  reactor_thread_join(&there);
  PEER_RECEIVES(peer, "p");
  CHECK_EQ(2, atomic_load(&with.freed));
  udpr_remote_release(with.remote);
  OK(udpr_reactor_free(reactor));
  close(peer);
}

/* ---- inside work ----------------------------------------------------------------------------------------- */

static void turns_and_free_say(udpr_status expected, udpr_reactor *reactor) {
  CHECK_STATUS(expected, udpr_reactor_run(reactor));
  CHECK_STATUS(expected, udpr_reactor_iterate(reactor, 0));
  CHECK_STATUS(expected, udpr_reactor_advance(reactor, 1));
  CHECK_STATUS(expected, udpr_reactor_free(reactor));
}

/* Nobody is in the reactor, so that the thread would be let in; but free waits for work, and so for itself. */
static void reentrant_in_work(void *user) {
  job *self = user;
  CHECK_EQ(0, sem_wait(self->may_finish));
  turns_and_free_say(UDPR_E_REENTRANT, self->reactor);
  atomic_store(&self->ended, 1);
}

TEST(turns_and_free_inside_work) {
  udpr_reactor *reactor = new_reactor(0);
  sem_t         outside; /* this thread is */
  job           one = {.reactor = reactor, .loop_thread = pthread_self(), .may_finish = &outside};
  CHECK_EQ(0, sem_init(&outside, 0, 0));
  OK(udpr_reactor_call_in_thread(reactor, reentrant_in_work, job_done, &one, job_free));
  CHECK_EQ(0, sem_post(&outside));
  WAIT_UNTIL(one.ended);
  RUN_UNTIL(reactor, one.done);
  OK(udpr_reactor_free(reactor));
}

static void wrong_in_work(void *user) {
  handles *with = user;
  turns_and_free_say(UDPR_E_WRONG_THREAD, with->reactor);
  check_reactor_calls_return(UDPR_E_WRONG_THREAD, with);
  check_transport_calls_return(UDPR_E_WRONG_THREAD, with);
  OK(udpr_reactor_call_from_thread(with->reactor, stop_call, NULL, NULL));
}

static void put_wrong(udpr_reactor *reactor, void *with) {
  OK(udpr_reactor_call_in_thread(reactor, wrong_in_work, NULL, with, NULL));
}

TEST(every_call_inside_work_while_run_waits) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0};
  handles       with = {.reactor = reactor, .call = 1};
  probe_listen(&port, reactor);
  with.transport = port.transport, with.to = port.host;
  OK(udpr_reactor_call_later(reactor, 0, put_wrong, &with, NULL, NULL));
  run_with_timeout(reactor);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
}

/* Another reactor's pool is no callback of this one. */
static void turn_another(void *other) { run_turns(other, 2); }

TEST(work_may_turn_another_reactor) {
  udpr_reactor *reactor = new_reactor(0), *other = new_reactor(0);
  job           one = {0};
  job_submit(other, &one);
  RUN_UNTIL(other, one.done);
  OK(udpr_reactor_call_in_thread(reactor, turn_another, NULL, other, NULL));
  OK(udpr_reactor_free(reactor)); /* waits for it */
  OK(udpr_reactor_free(other));
}

static void fork_in_work(void *user) {
  handles *with = user;
  fork_and_wait();
  if (is_child) {
    check_reactor_calls_return(UDPR_E_CLOSED, with);
    OK(udpr_reactor_free(with->reactor));
    kill_child();
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
