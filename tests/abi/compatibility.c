/* A program that passes every struct with a size to the library, or receives it. It is compiled with the present header and,
 * with LATER, with one in which each of these structs has one more field at its end, `later`. A library that knows the field
 * sets it to 7 in structs that it fills, and accepts any value in structs that are passed. The program prints what it received.
 */
#include <stdio.h>
#include <string.h>
#include <udpr/udpr.h>

enum { WANTED = 3 };

static udpr_reactor   *reactor;
static udpr_transport *transport, *refusing;
static int             received, reported, logged;
static unsigned        later_seen;

#ifdef LATER
#define COUNT_LATER(filled) \
  if ((filled)->size >= sizeof *(filled)) later_seen += (filled)->later == 7
#else
#define COUNT_LATER(filled) (void)(filled)
#endif

static int fail(const char *what, udpr_status status) {
  fprintf(stderr, "%s: %s\n", what, udpr_status_name(status));
  return 1;
}

static size_t datagrams(udpr_transport *from, const udpr_datagram *const *all, size_t count, void *user) {
  for (size_t i = 0; i < count; i++) {
    udpr_addr host;
    if (udpr_transport_get_host(from, &host) != UDPR_OK || !udpr_addr_equal(&host, &all[i]->sender))
      return count;
    if (all[i]->len == 5 && !memcmp(all[i]->data, user, 5) && all[i]->tos >= 0 && all[i]->ttl > 0) received++;
    if (received == 1) COUNT_LATER(all[i]);
  }
  return count;
}

static void error_received(udpr_transport *from, const udpr_error_report *report, void *user) {
  (void)from, (void)user;
  if (!reported++) COUNT_LATER(report);
}

static void log_received(const udpr_log_record *record, void *user) {
  (void)user;
  if (!logged++ && record->message[0]) COUNT_LATER(record);
}

static udpr_status send_three(void) {
  udpr_addr    host;
  udpr_message messages[WANTED];
  size_t       sent;
  udpr_status  status = udpr_transport_get_host(transport, &host);
  memset(messages, 0, sizeof messages);
  for (int i = 0; i < WANTED; i++) {
    messages[i].size = sizeof *messages;
    messages[i].data = "hello";
    messages[i].len = 5;
    messages[i].to = &host;
  }
  if (status == UDPR_OK) status = udpr_transport_write_messages(transport, messages, WANTED, &sent);
  return status;
}

/* Writes to a port that has just been closed, which causes an error report. */
static udpr_status write_to_closed_port(void) {
  udpr_addr     closed;
  udpr_protocol none = {.size = sizeof none};
  udpr_status   status = udpr_reactor_listen_udp(reactor, 0, "127.0.0.1", &none, NULL, &refusing);
  if (status == UDPR_OK) status = udpr_transport_get_host(refusing, &closed);
  if (status == UDPR_OK) status = udpr_transport_close(refusing);
  udpr_transport_release(refusing);
  if (status == UDPR_OK) status = udpr_transport_write(transport, "x", 1, &closed);
  return status;
}

static int print_stats(void) {
  udpr_reactor_stats   whole;
  udpr_transport_stats port;
  memset(&whole, 0xff, sizeof whole);
  memset(&port, 0xff, sizeof port);
  whole.size = sizeof whole;
  port.size = sizeof port;
  udpr_status status = udpr_reactor_get_stats(reactor, &whole);
  if (status == UDPR_OK) status = udpr_transport_get_stats(transport, &port);
  if (status != UDPR_OK) return fail("stats", status);
#ifdef LATER
  printf("stats later %d %d\n", (int)whole.later, (int)port.later);
#endif
  printf("transports %d datagrams_in %d kept %d\n", (int)whole.transports, (int)port.datagrams_in,
         (int)port.kept_datagrams);
  return 0;
}

/* Requests something by a field that the library may not know. */
static void ask_for_later(void) {
#ifdef LATER
  udpr_reactor_options options = {.size = sizeof options, .later = 1};
  udpr_protocol        protocol = {.size = sizeof protocol, .later = 1}, none = {.size = sizeof none};
  udpr_udp_options     udp = {.size = sizeof udp, .later = 1};
  udpr_reactor        *other = NULL;
  printf("asked: %s", udpr_status_name(udpr_reactor_new(&options, &other)));
  udpr_reactor_free(other);
  printf(" %s", udpr_status_name(udpr_reactor_listen_udp(reactor, 0, "127.0.0.1", &protocol, NULL, NULL)));
  printf(" %s\n", udpr_status_name(udpr_reactor_listen_udp(reactor, 0, "127.0.0.1", &none, &udp, NULL)));
#endif
}

int main(void) {
  char                 text[] = "hello";
  udpr_reactor_options options = {.size = sizeof options, .thread_pool_size = 2};
  udpr_udp_options udp = {.size = sizeof udp, .flags = UDPR_UDP_ERROR_REPORTS | UDPR_UDP_TOS | UDPR_UDP_TTL};
  udpr_protocol    protocol = {.size = sizeof protocol,
                               .user = text,
                               .datagrams_received = datagrams,
                               .error_received = error_received};
  udpr_status      status = udpr_reactor_new(&options, &reactor);
  if (status != UDPR_OK) return fail("new", status);
  status = udpr_reactor_set_logger(reactor, UDPR_LOG_DEBUG, log_received, NULL, NULL);
  if (status == UDPR_OK)
    status = udpr_reactor_listen_udp(reactor, 0, "127.0.0.1", &protocol, &udp, &transport);
  if (status == UDPR_OK) status = send_three();
  if (status == UDPR_OK) status = write_to_closed_port();
  if (status == UDPR_OK) ask_for_later();
  if (status == UDPR_OK) status = udpr_reactor_start(reactor);
  while (status == UDPR_OK && (received < WANTED || !reported)) status = udpr_reactor_iterate(reactor, -1);
  if (status != UDPR_OK || print_stats()) return fail("run", status);
  printf("received %d reported %d logged %d later %u\n", received, reported, logged > 0, later_seen);
  udpr_transport_release(transport);
  return udpr_reactor_free(reactor) != UDPR_OK;
}
