/* Two Rust libraries in one program, each with its own copy of Rust's standard library. */
#include <stdio.h>
#include <udpr/udpr.h>

uint32_t other_answer(void);

static void count(void *user) { ++*(int *)user; }

int main(void) {
  int           worked = 0;
  udpr_reactor *reactor;
  udpr_status   status = udpr_reactor_new(NULL, &reactor);
  if (status == UDPR_OK) {
    udpr_reactor_call_in_thread(reactor, count, NULL, &worked, NULL);
    status = udpr_reactor_free(reactor);
  }
  printf("%s %s %u\n", udpr_version_string(), udpr_status_name(status), other_answer());
  return worked > 1;
}
