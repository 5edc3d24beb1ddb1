#include <udpr/udpr.h>

uint32_t version_in_second_file(void);
uint32_t version_in_second_file(void) { return UDPR_VERSION; }
