#include <udpr/udpr.h>

uint32_t version_in_two(void);
uint32_t version_in_two(void) { return UDPR_VERSION; }
