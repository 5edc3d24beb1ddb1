/* embed_glib [PORT]: udpr inside a GLib main loop, as in a desktop program. GLib waits for the reactor's
 * descriptor, and runs a turn when it is readable. The periodic output is a GLib timeout, the echo is udpr's.
 *
 *     $ embed_glib &
 *     listening on 0.0.0.0:9999
 *     $ echo "Hello World!" | nc -4u -w1 localhost 9999
 *     Hello World!
 *     datagrams so far: 1
 */
#include <glib-unix.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>

#include <udpr/udpr.h>

typedef struct server {
  GMainLoop    *loop;
  udpr_reactor *reactor;
  unsigned      datagrams, printed;
  udpr_status   status; /* the first error */
} server;

/* Prints what has failed, if it has, and keeps the first error. */
static void check(server *self, const char *what, udpr_status status) {
  if (status != UDPR_OK)
    fprintf(stderr, "embed_glib: %s: %s: %s\n", what, udpr_status_name(status), udpr_status_message(status));
  if (self->status == UDPR_OK) self->status = status;
}

static void datagram_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  server *self = user;
  self->datagrams++;
  check(self, "cannot send it back",
        udpr_transport_write(transport, datagram->data, datagram->len, &datagram->sender));
}

/* Runs a turn that does not wait, each time that the descriptor is readable. */
static gboolean iterate(gint fd, GIOCondition condition, gpointer user) {
  server *self = user;
  (void)fd, (void)condition;
  check(self, "cannot run", udpr_reactor_iterate(self->reactor, 0));
  if (self->status != UDPR_OK || !udpr_reactor_is_running(self->reactor)) g_main_loop_quit(self->loop);
  return G_SOURCE_CONTINUE;
}

static gboolean print_count(gpointer user) {
  server *self = user;
  if (self->printed != self->datagrams) printf("datagrams so far: %u\n", self->datagrams);
  self->printed = self->datagrams;
  return G_SOURCE_CONTINUE;
}

/* GLib handles the signals, so the reactor is made without UDPR_REACTOR_SIGNALS. */
static gboolean stop(gpointer user) {
  udpr_reactor_stop(((server *)user)->reactor);
  return G_SOURCE_CONTINUE;
}

static udpr_status listen_on(server *self, uint16_t port) {
  const udpr_protocol protocol = {.size = sizeof protocol,
                                  .user = self,
                                  .datagram_received = datagram_received};
  udpr_transport     *transport = NULL;
  udpr_addr           host;
  char                text[UDPR_ADDR_TEXT_MAX];
  udpr_status status = udpr_reactor_listen_udp(self->reactor, port, NULL, &protocol, NULL, &transport);
  if (status == UDPR_OK) status = udpr_transport_get_host(transport, &host);
  if (status == UDPR_OK) status = udpr_addr_format(&host, text, sizeof text, NULL);
  if (status == UDPR_OK) printf("listening on %s\n", text);
  udpr_transport_release(transport);
  return status;
}

static void serve(server *self, uint16_t port) {
  int32_t fd;
  check(self, "no descriptor", udpr_reactor_backend_fd(self->reactor, &fd));
  check(self, "cannot start", udpr_reactor_start(self->reactor));
  if (self->status != UDPR_OK) return;

  self->loop = g_main_loop_new(NULL, FALSE);
  guint sources[] = {g_unix_fd_add(fd, G_IO_IN, iterate, self), g_timeout_add(200, print_count, self),
                     g_unix_signal_add(SIGINT, stop, self), g_unix_signal_add(SIGTERM, stop, self)};
  check(self, "cannot listen", listen_on(self, port));
  if (self->status == UDPR_OK) g_main_loop_run(self->loop);
  for (size_t i = 0; i < G_N_ELEMENTS(sources); i++) g_source_remove(sources[i]);
  g_main_loop_unref(self->loop);
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0); /* line by line, also into a pipe */
  char         *end = NULL;
  unsigned long port = argc > 1 ? strtoul(argv[1], &end, 10) : 9999;
  if (argc > 2 || port > 65535 || (end && (*end || end == argv[1])))
    return fprintf(stderr, "usage: embed_glib [PORT]   (0 to 65535)\n"), 2;

  server self = {.status = UDPR_OK};
  check(&self, "cannot make a reactor", udpr_reactor_new(NULL, &self.reactor));
  if (self.status == UDPR_OK) serve(&self, (uint16_t)port);
  udpr_reactor_free(self.reactor);
  return self.status == UDPR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
