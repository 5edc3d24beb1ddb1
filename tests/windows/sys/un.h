/* sys/un.h: the address that Windows declares in afunix.h. */
#ifndef UDPR_TESTS_WINDOWS_UN_H
#define UDPR_TESTS_WINDOWS_UN_H

#include "socket.h"

#include <afunix.h>

#endif
