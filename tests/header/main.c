/* A file that includes only this header, as any number of files may. This code is valid C and C++. */
#include <udpr/udpr.h>

uint32_t version_in_second_file(void);

int main(void) {
  udpr_protocol    protocol = {sizeof protocol, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  udpr_status_code code = UDPR_E_SYSTEM;
  udpr_reactor    *reactor;
  udpr_status      status = udpr_reactor_new(0, &reactor);
  if (status == UDPR_OK) status = udpr_reactor_listen_udp(reactor, 0, "127.0.0.1", &protocol, 0, 0);
  if (status == UDPR_OK) status = udpr_reactor_free(reactor);
  return status != UDPR_OK || udpr_version() != version_in_second_file() || code != -65536;
}
