#include <udpr/udpr.h>

uint32_t version_in_two(void);
uint32_t version_in_two(void) {
  return UDPR_VERSION_MAJOR << 16 | UDPR_VERSION_MINOR << 8 | UDPR_VERSION_PATCH;
}
