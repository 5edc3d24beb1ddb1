/* Uses a little of each part, and prints the version of the library. */
#include <stdio.h>
#include <udpr/udpr.h>

int main(void) {
  udpr_reactor *reactor;
  udpr_status   status = udpr_reactor_new(NULL, &reactor);
  if (status == UDPR_OK) {
    status = udpr_reactor_iterate(reactor, 0);
    udpr_reactor_free(reactor);
  }
  printf("%s %s\n", udpr_version_string(), udpr_status_name(status));
  return status != UDPR_OK;
}
