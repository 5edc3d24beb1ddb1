/* getting_ip [NAME]: prints the first IPv4 address of a name, by default of localhost.
 *
 *     $ getting_ip
 *     IP of 'localhost' is 127.0.0.1
 */
#include <stdio.h>
#include <stdlib.h>

#include <udpr/udpr.h>

typedef struct lookup {
  const char *name;
  udpr_status status;
} lookup;

/* Called once, in a turn of the reactor. `addrs` has all addresses, in the order that the system prefers. */
static void resolved(udpr_reactor *reactor, udpr_id id, udpr_status status, const udpr_addr *addrs,
                     size_t count, void *user) {
  lookup *self = user;
  char    text[UDPR_ADDR_TEXT_MAX];
  (void)id, (void)count;
  if (status == UDPR_OK) status = udpr_addr_format(&addrs[0], text, sizeof text, NULL);
  if (status == UDPR_OK) printf("IP of '%s' is %s\n", self->name, text);
  self->status = status;
  udpr_reactor_stop(reactor);
}

static udpr_status look_up(udpr_reactor *reactor, lookup *self) {
  const udpr_ns timeout = UDPR_S(10); /* even if the system's own timeout is longer */
  udpr_status   status =
      udpr_reactor_resolve(reactor, self->name, 0, UDPR_AF_INET, timeout, resolved, self, NULL, NULL);
  if (status == UDPR_OK) status = udpr_reactor_run(reactor);
  return status == UDPR_OK ? self->status : status;
}

int main(int argc, char **argv) {
  if (argc > 2) return fprintf(stderr, "usage: getting_ip [NAME]\n"), 2;
  lookup        self = {.name = argc > 1 ? argv[1] : "localhost"};
  udpr_reactor *reactor = NULL;
  udpr_status   status = udpr_reactor_new(NULL, &reactor);
  if (status == UDPR_OK) status = look_up(reactor, &self);
  if (status != UDPR_OK) {
    const char *name = udpr_status_name(status), *message = udpr_status_message(status);
    fprintf(stderr, "getting_ip: no IP of '%s': %s: %s\n", self.name, name, message);
  }
  udpr_reactor_free(reactor);
  return status == UDPR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
