/* errors ADDRESS:PORT...: sends "hello" to each address, IPv4 and IPv6, from one port, and prints the result:
 * a reply, or what the network and the kernel report. Until Ctrl-C.
 *
 *     $ errors 127.0.0.1:1234 "[::1]:1234"
 *     127.0.0.1:1234: UDPR_E_CONNECTION_REFUSED, reported by 127.0.0.1 (ICMP type 3 code 3) for "hello"
 *     [::1]:1234: UDPR_E_CONNECTION_REFUSED, reported by ::1 (ICMPv6 type 1 code 4) for "hello"
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include <udpr/udpr.h>

typedef struct greeting {
  char **addresses;
} greeting;

/* Prints what has failed, if it has. Returns `status`. */
static udpr_status check(const char *what, udpr_status status) {
  if (status != UDPR_OK)
    fprintf(stderr, "errors: %s: %s: %s\n", what, udpr_status_name(status), udpr_status_message(status));
  return status;
}

/* On a dual-stack port, IPv4 addresses are ::ffff:a.b.c.d. */
static const char *address_text(udpr_addr addr, char text[UDPR_ADDR_TEXT_MAX]) {
  (void)udpr_addr_unmap_v4(&addr, &addr);
  udpr_status status = udpr_addr_format(&addr, text, UDPR_ADDR_TEXT_MAX, NULL);
  return status == UDPR_OK ? text : udpr_status_name(status);
}

static void print_quoted(const uint8_t *data, size_t len) {
  putchar('"');
  for (size_t i = 0; i < len; i++) putchar(isprint(data[i]) ? data[i] : '.');
  puts("\"");
}

static udpr_status start_protocol(udpr_transport *transport, void *user) {
  for (char **address = ((greeting *)user)->addresses; *address; address++) {
    udpr_addr   to;
    udpr_status status = udpr_addr_parse(*address, 0, &to);
    if (status == UDPR_OK && to.family == UDPR_AF_INET) status = udpr_addr_map_v4(&to, &to);
    if (status == UDPR_OK) status = udpr_transport_write(transport, "hello", 5, &to);
    check(*address, status); /* errors that are known at once are returned by the write */
  }
  return UDPR_OK;
}

static void datagram_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)transport, (void)user;
  char text[UDPR_ADDR_TEXT_MAX];
  printf("%s: replied ", address_text(datagram->sender, text));
  print_quoted(datagram->data, datagram->len);
}

static void error_received(udpr_transport *transport, const udpr_error_report *report, void *user) {
  (void)transport, (void)user;
  char to[UDPR_ADDR_TEXT_MAX], reporter[UDPR_ADDR_TEXT_MAX];
  printf("%s: %s", address_text(report->to, to), udpr_status_name(report->status));
  if (report->mtu) printf(" (%u bytes would do)", report->mtu);
  if (report->origin == UDPR_ORIGIN_LOCAL) fputs(", reported by the local kernel", stdout);
  else
    printf(", reported by %s (%s type %u code %u)", address_text(report->reporter, reporter),
           report->origin == UDPR_ORIGIN_ICMP ? "ICMP" : "ICMPv6", report->icmp_type, report->icmp_code);
  fputs(" for ", stdout);
  print_quoted(report->data, report->len);
}

static udpr_status greet(udpr_reactor *reactor, char **addresses) {
  greeting            all = {addresses};
  const udpr_protocol greeter = {
      .size = sizeof greeter,
      .user = &all,
      .start_protocol = start_protocol,
      .datagram_received = datagram_received,
      .error_received = error_received,
  };
  const udpr_udp_options options = {.size = sizeof options, .flags = UDPR_UDP_ERROR_REPORTS};
  udpr_status            status =
      check("cannot listen", udpr_reactor_listen_udp(reactor, 0, "::", &greeter, &options, NULL));
  return status == UDPR_OK ? check("cannot run", udpr_reactor_run(reactor)) : status;
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0); /* line by line, also into a pipe */
  if (argc < 2) return fputs("usage: errors ADDRESS:PORT...   ([ADDRESS]:PORT for IPv6)\n", stderr), 2;

  /* SIGNALS: Ctrl-C ends udpr_reactor_run, after every port has stopped. */
  const udpr_reactor_options options = {.size = sizeof options, .flags = UDPR_REACTOR_SIGNALS};
  udpr_reactor              *reactor = NULL;
  udpr_status                status = check("cannot make a reactor", udpr_reactor_new(&options, &reactor));
  if (status == UDPR_OK) status = greet(reactor, argv + 1);
  udpr_reactor_free(reactor);
  return status == UDPR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
