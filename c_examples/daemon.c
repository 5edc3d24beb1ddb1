/* daemon FILE [PORT [THREADS]]: a daemon that sends the contents of FILE to each client that sends a datagram,
 * as a quote of the day (RFC 865). It has a reactor for each core.
 *
 *     $ echo "Hello World!" >/tmp/quote; daemon /tmp/quote 1717
 *     listening on 0.0.0.0:1717 as process 4711
 *     $ echo | nc -4u -w1 127.0.0.1 1717
 *     Hello World!
 *     $ echo "Good bye!" >/tmp/quote; kill -HUP 4711     (it reads FILE again)
 *     $ kill 4711                                        (it sends what still waits, and ends)
 *
 * The ports are opened before it becomes a daemon, so that the shell gets the errors. Those that occur later
 * are in the system's log.
 */
#define _XOPEN_SOURCE 700
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>
#include <unistd.h>

#include <udpr/udpr.h>

enum { MOST_THREADS = 256 };

/* Each thread has its own, with its own copy of the quote, so no lock is needed. */
typedef struct worker {
  pthread_t       thread;
  udpr_reactor   *reactor;
  udpr_transport *transport; /* retained */
  const char     *path;
  char            quote[512];
  size_t          len;
} worker;

/* Logs what has failed, if it has. Returns `status`. */
static udpr_status check(const char *what, udpr_status status) {
  if (status != UDPR_OK)
    syslog(LOG_ERR, "%s: %s: %s", what, udpr_status_name(status), udpr_status_message(status));
  return status;
}

static udpr_status read_quote(worker *self) {
  FILE *file = fopen(self->path, "r");
  if (!file) return check(self->path, UDPR_E_SYSTEM - errno);
  self->len = fread(self->quote, 1, sizeof self->quote, file);
  fclose(file);
  return UDPR_OK;
}

/* SIGHUP. If the file cannot be read, the former quote stays. */
static void read_again(udpr_reactor *reactor, udpr_id id, int32_t signal_number, void *user) {
  (void)reactor, (void)id, (void)signal_number;
  read_quote(user);
}

/* SIGTERM. What was accepted for sending is sent first, but for 5 seconds at most. */
static void drain(udpr_reactor *reactor, udpr_id id, int32_t signal_number, void *user) {
  const worker *self = user;
  (void)reactor, (void)id, (void)signal_number;
  check("cannot stop", udpr_transport_stop_when_sent(self->transport, UDPR_S(5)));
}

static void stop_protocol(udpr_transport *transport, udpr_status reason, void *user) {
  const worker *self = user;
  (void)transport;
  check("stopped", reason);
  udpr_reactor_stop(self->reactor);
}

static void datagram_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  const worker *self = user;
  check("cannot reply", udpr_transport_reply(transport, datagram, self->quote, self->len));
}

/* Makes a reactor and its port. If the port in `local` is 0, it is set to the one that was chosen. */
static udpr_status prepare(worker *self, udpr_addr *local) {
  const udpr_protocol    protocol = {.size = sizeof protocol,
                                     .user = self,
                                     .datagram_received = datagram_received,
                                     .stop_protocol = stop_protocol};
  const udpr_udp_options options = {.size = sizeof options,
                                    .flags = UDPR_UDP_REUSE_PORT | UDPR_UDP_PACKET_INFO};
  udpr_reactor          *reactor = NULL;
  udpr_status            status = read_quote(self);
  if (status == UDPR_OK) status = check("cannot make a reactor", udpr_reactor_new(NULL, &reactor));
  self->reactor = reactor;
  if (status == UDPR_OK)
    status = check("cannot listen",
                   udpr_reactor_listen_addr(reactor, local, &protocol, &options, &self->transport));
  if (status == UDPR_OK) status = check("no address", udpr_transport_get_host(self->transport, local));
  if (status == UDPR_OK)
    status = check("cannot watch SIGHUP",
                   udpr_reactor_watch_signal(reactor, SIGHUP, read_again, self, NULL, NULL));
  if (status == UDPR_OK)
    status =
        check("cannot watch SIGTERM", udpr_reactor_watch_signal(reactor, SIGTERM, drain, self, NULL, NULL));
  return status;
}

/* Forks, and leaves the terminal and the directory. Returns as fork(2). */
static pid_t become_daemon(void) {
  pid_t pid = fork();
  if (pid != 0) return pid;
  int null = open("/dev/null", O_RDWR);
  for (int fd = 0; fd < 3; fd++) dup2(null, fd);
  if (null > 2) close(null);
  if (setsid() < 0 || chdir("/") != 0) check("cannot leave the terminal", UDPR_E_SYSTEM - errno);
  return 0;
}

static void *run(void *user) {
  const worker *self = user;
  check("cannot run", udpr_reactor_run(self->reactor));
  udpr_transport_release(self->transport);
  udpr_reactor_free(self->reactor);
  return NULL;
}

/* The daemon. It ends when all threads have ended. */
static int serve(worker *workers, long count) {
  for (long i = 0; i < count; i++) {
    if (check("cannot go on after fork", udpr_reactor_after_fork(workers[i].reactor)) != UDPR_OK)
      return EXIT_FAILURE;
    int error = pthread_create(&workers[i].thread, NULL, run, &workers[i]);
    if (error != 0) return check("cannot make a thread", UDPR_E_SYSTEM - error), EXIT_FAILURE;
  }
  for (long i = 0; i < count; i++) pthread_join(workers[i].thread, NULL);
  return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
  static worker workers[MOST_THREADS];
  char         *end = NULL;
  unsigned long port = argc > 2 ? strtoul(argv[2], &end, 10) : 1717;
  if (argc < 2 || argc > 3 || port > 65535 || (end && (*end || end == argv[2])))
    return fputs("usage: daemon FILE [PORT]   (0 to 65535)\n", stderr), 2;

  openlog("daemon", LOG_PERROR, LOG_DAEMON); /* PERROR: to the standard error, too */
  char *path = realpath(argv[1], NULL);      /* since the daemon changes its directory */
  if (!path) return check(argv[1], UDPR_E_SYSTEM - errno), EXIT_FAILURE;
  long      cores = sysconf(_SC_NPROCESSORS_ONLN), count = cores < MOST_THREADS ? cores : MOST_THREADS;
  udpr_addr local = {.family = UDPR_AF_INET, .port = (uint16_t)port};
  for (long i = 0; i < count; i++) {
    workers[i].path = path;
    if (prepare(&workers[i], &local) != UDPR_OK) return EXIT_FAILURE;
  }
  pid_t pid = become_daemon();
  if (pid == 0) return serve(workers, count);
  if (pid < 0) return check("cannot fork", UDPR_E_SYSTEM - errno), EXIT_FAILURE;
  char text[UDPR_ADDR_TEXT_MAX] = "";
  udpr_addr_format(&local, text, sizeof text, NULL);
  printf("listening on %s as process %ld\n", text, (long)pid);
  return EXIT_SUCCESS;
}
