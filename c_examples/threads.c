/* threads [PORT]: counts the primes below the number in each datagram. That takes time, so it is done on the
 * thread pool, and the port still serves others.
 *
 *     $ threads &
 *     listening on 0.0.0.0:9999
 *     $ echo 1000000 | nc -4u -w1 localhost 9999
 *     78498 primes below 1000000
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <udpr/udpr.h>

enum { MOST = 10000000 };

/* Prints what has failed, if it has. Returns `status`. */
static udpr_status check(const char *what, udpr_status status) {
  if (status != UDPR_OK)
    fprintf(stderr, "threads: %s: %s: %s\n", what, udpr_status_name(status), udpr_status_message(status));
  return status;
}

/* The input and the result of the work. The pool's thread uses nothing else. */
typedef struct job {
  udpr_transport *transport; /* retained, since the port may stop before the work is done */
  udpr_addr       sender;
  unsigned        below, primes;
} job;

static void free_job(void *user) {
  job *self = user;
  udpr_transport_release(self->transport);
  free(self);
}

static int is_prime(unsigned n) {
  for (unsigned divisor = 2; divisor <= n / divisor; divisor++)
    if (n % divisor == 0) return 0;
  return 1;
}

/* Called on a thread of the pool. */
static void count_primes(void *user) {
  job *self = user;
  for (unsigned n = 2; n < self->below; n++) self->primes += (unsigned)is_prime(n);
}

/* Called on the reactor's thread. */
static void send_result(udpr_reactor *reactor, void *user) {
  job *self = user;
  char text[64];
  (void)reactor;
  int len = snprintf(text, sizeof text, "%u primes below %u\n", self->primes, self->below);
  check("cannot reply", udpr_transport_write(self->transport, text, (size_t)len, &self->sender));
}

static void datagram_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  char text[16] = "", *end;
  (void)user;
  if (datagram->len >= sizeof text) return;
  memcpy(text, datagram->data, datagram->len); /* the data of a datagram has no terminating NUL */
  unsigned long below = strtoul(text, &end, 10);
  if (end == text || *text == '-' || strspn(end, "\r\n") != strlen(end) || below > MOST) return;

  job *one = malloc(sizeof *one);
  if (!one) return;
  *one = (job){.sender = datagram->sender, .below = (unsigned)below};
  one->transport = udpr_transport_retain(transport);
  udpr_reactor *reactor = udpr_transport_reactor(transport);
  /* If this fails, `one` has been freed. */
  check("cannot work", udpr_reactor_call_in_thread(reactor, count_primes, send_result, one, free_job));
}

static udpr_status start_protocol(udpr_transport *transport, void *user) {
  udpr_addr   host;
  char        text[UDPR_ADDR_TEXT_MAX];
  udpr_status status = udpr_transport_get_host(transport, &host);
  (void)user;
  if (status == UDPR_OK) status = udpr_addr_format(&host, text, sizeof text, NULL);
  if (status == UDPR_OK) printf("listening on %s\n", text);
  return status;
}

static udpr_status serve(udpr_reactor *reactor, uint16_t port) {
  const udpr_protocol protocol = {.size = sizeof protocol,
                                  .start_protocol = start_protocol,
                                  .datagram_received = datagram_received};
  udpr_status         status =
      check("cannot listen", udpr_reactor_listen_udp(reactor, port, NULL, &protocol, NULL, NULL));
  return status == UDPR_OK ? check("cannot run", udpr_reactor_run(reactor)) : status;
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0); /* line by line, also into a pipe */
  char         *end = NULL;
  unsigned long port = argc > 1 ? strtoul(argv[1], &end, 10) : 9999;
  if (argc > 2 || port > 65535 || (end && (*end || end == argv[1])))
    return fprintf(stderr, "usage: threads [PORT]   (0 to 65535)\n"), 2;

  /* The pool has up to 10 threads, which are created when there is work. */
  const udpr_reactor_options options = {.size = sizeof options, .flags = UDPR_REACTOR_SIGNALS};
  udpr_reactor              *reactor = NULL;
  udpr_status                status = check("cannot make a reactor", udpr_reactor_new(&options, &reactor));
  if (status == UDPR_OK) status = serve(reactor, (uint16_t)port);
  udpr_reactor_free(reactor); /* waits for work that is running */
  return status == UDPR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
