/* The status that a look-up reports for each error code of getaddrinfo(3): the table of docs/errors.md. */
#include "lookup.h"

#include <netdb.h>

enum { UNKNOWN_CODE = -77 };

static int code, code_errno;

/* The program's function precedes that of the C library (ld.so(8)), also for calls from udpr. */
int getaddrinfo(const char *restrict node, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict out) {
  (void)service, (void)hints, (void)out;
  CHECK_STR("host.test", node);
  errno = code_errno;
  return code;
}

static void check_status(int with, int with_errno, udpr_status expected) {
  lookup        one;
  udpr_reactor *reactor = new_lookup_reactor(1);
  code = with, code_errno = with_errno;
  lookup_run(expected, reactor, "host.test", UDPR_AF_UNSPEC, &one);
  free_lookup_reactor(reactor);
}

TEST(no_such_name) {
  check_status(EAI_NONAME, 0, UDPR_E_NAME_NOT_FOUND);
  check_status(EAI_NODATA, 0, UDPR_E_NAME_NOT_FOUND);
  check_status(EAI_ADDRFAMILY, 0, UDPR_E_NAME_NOT_FOUND);
}

TEST(server_failures) {
  check_status(EAI_AGAIN, 0, UDPR_E_NAME_TRY_AGAIN);
  check_status(EAI_FAIL, 0, UDPR_E_NAME_TRY_AGAIN);
}

TEST(no_memory) { check_status(EAI_MEMORY, 0, UDPR_E_NO_MEMORY); }

TEST(family_not_supported) { check_status(EAI_FAMILY, 0, UDPR_E_ADDRESS_FAMILY); }

TEST(a_name_that_the_system_refuses) {
  check_status(EAI_OVERFLOW, 0, UDPR_E_INVALID_ARGUMENT);
  check_status(EAI_IDN_ENCODE, 0, UDPR_E_INVALID_ARGUMENT);
}

TEST(flags_not_supported) {
  check_status(EAI_BADFLAGS, 0, UDPR_E_NOT_SUPPORTED);
  check_status(EAI_SOCKTYPE, 0, UDPR_E_NOT_SUPPORTED);
  check_status(EAI_SERVICE, 0, UDPR_E_NOT_SUPPORTED);
}

TEST(system_errors) {
  check_status(EAI_SYSTEM, EMFILE, UDPR_E_NO_FILES);
  check_status(EAI_SYSTEM, ENOMEM, UDPR_E_NO_MEMORY);
  check_status(EAI_SYSTEM, EIO, UDPR_E_SYSTEM - EIO);
  check_status(EAI_SYSTEM, 0, UDPR_E_SYSTEM);
}

/* errno is used only with EAI_SYSTEM. */
TEST(unknown_codes) {
  check_status(UNKNOWN_CODE, EMFILE, UDPR_E_SYSTEM);
  check_status(EAI_NONAME, EMFILE, UDPR_E_NAME_NOT_FOUND);
}

CHECK_MAIN()
