/* Each code that getaddrinfo(3) can answer, and what a look-up is told then: the table of docs/errors.md. */
#include "lookup.h"

#include <netdb.h>

enum { NO_CODE = -77 };

static int code, code_errno;

/* The program's own comes before the C library's, for udpr, too (ld.so(8)). */
int getaddrinfo(const char *restrict node, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict out) {
  (void)service, (void)hints, (void)out;
  CHECK_STR("host.test", node);
  errno = code_errno;
  return code;
}

static void is_told(int with, int with_errno, udpr_status expected) {
  lookup        one;
  udpr_reactor *reactor = new_lookup_reactor(1);
  code = with, code_errno = with_errno;
  lookup_run(expected, reactor, "host.test", UDPR_AF_UNSPEC, &one);
  free_lookup_reactor(reactor);
}

TEST(no_such_name) {
  is_told(EAI_NONAME, 0, UDPR_E_NAME_NOT_FOUND);
  is_told(EAI_NODATA, 0, UDPR_E_NAME_NOT_FOUND);
  is_told(EAI_ADDRFAMILY, 0, UDPR_E_NAME_NOT_FOUND);
}

TEST(nobody_could_say) {
  is_told(EAI_AGAIN, 0, UDPR_E_NAME_TRY_AGAIN);
  is_told(EAI_FAIL, 0, UDPR_E_NAME_TRY_AGAIN);
}

TEST(no_memory) { is_told(EAI_MEMORY, 0, UDPR_E_NO_MEMORY); }

TEST(no_such_family) { is_told(EAI_FAMILY, 0, UDPR_E_ADDRESS_FAMILY); }

TEST(a_name_that_the_system_cannot_take) {
  is_told(EAI_OVERFLOW, 0, UDPR_E_INVALID_ARGUMENT);
  is_told(EAI_IDN_ENCODE, 0, UDPR_E_INVALID_ARGUMENT);
}

TEST(what_this_system_cannot_do) {
  is_told(EAI_BADFLAGS, 0, UDPR_E_NOT_SUPPORTED);
  is_told(EAI_SOCKTYPE, 0, UDPR_E_NOT_SUPPORTED);
  is_told(EAI_SERVICE, 0, UDPR_E_NOT_SUPPORTED);
}

TEST(errno_says_it) {
  is_told(EAI_SYSTEM, EMFILE, UDPR_E_NO_FILES);
  is_told(EAI_SYSTEM, ENOMEM, UDPR_E_NO_MEMORY);
  is_told(EAI_SYSTEM, EIO, UDPR_E_SYSTEM - EIO);
  is_told(EAI_SYSTEM, 0, UDPR_E_SYSTEM);
}

/* errno counts with EAI_SYSTEM alone. */
TEST(a_code_that_nobody_knows) {
  is_told(NO_CODE, EMFILE, UDPR_E_SYSTEM);
  is_told(EAI_NONAME, EMFILE, UDPR_E_NAME_NOT_FOUND);
}

CHECK_MAIN()
