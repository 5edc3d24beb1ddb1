/* getting_ip [NAME]: the first IPv4 address that the system knows for a name, localhost unless given.
 *
 *     $ getting_ip
 *     IP of 'localhost' is 127.0.0.1
 */
#include <stdio.h>
#include <stdlib.h>

#include <udpr/udpr.h>

typedef struct question {
  const char *name;
  udpr_status answer;
} question;

/* In a turn of the reactor, once; `addrs` holds all of them, in the order that the system prefers. */
static void resolved(udpr_reactor *reactor, udpr_id id, udpr_status status, const udpr_addr *addrs,
                     size_t count, void *user) {
  question *asked = user;
  char      text[UDPR_ADDR_TEXT_MAX];
  (void)id, (void)count;
  if (status == UDPR_OK) status = udpr_addr_format(&addrs[0], text, sizeof text, NULL);
  if (status == UDPR_OK) printf("IP of '%s' is %s\n", asked->name, text);
  asked->answer = status;
  udpr_reactor_stop(reactor);
}

static udpr_status ask(udpr_reactor *reactor, question *asked) {
  const udpr_ns timeout = 10000000000; /* 10 s, however long the system would take */
  udpr_status   status =
      udpr_reactor_resolve(reactor, asked->name, 0, UDPR_AF_INET, timeout, resolved, asked, NULL, NULL);
  if (status == UDPR_OK) status = udpr_reactor_run(reactor);
  return status == UDPR_OK ? asked->answer : status;
}

int main(int argc, char **argv) {
  if (argc > 2) return fprintf(stderr, "usage: getting_ip [NAME]\n"), 2;
  question      asked = {.name = argc > 1 ? argv[1] : "localhost"};
  udpr_reactor *reactor = NULL;
  udpr_status   status = udpr_reactor_new(NULL, &reactor);
  if (status == UDPR_OK) status = ask(reactor, &asked);
  if (status != UDPR_OK) {
    const char *name = udpr_status_name(status), *message = udpr_status_message(status);
    fprintf(stderr, "getting_ip: no IP of '%s': %s: %s\n", asked.name, name, message);
  }
  udpr_reactor_free(reactor);
  return status == UDPR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
