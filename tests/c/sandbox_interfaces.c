/* If the system's interfaces cannot be queried, the status is that of the failed system call, and not "no
 * such interface" or "invalid address".
 */
#include "refuse_syscalls.h"

#include <fcntl.h>
#include <sys/resource.h>

static void check_index_status(udpr_status expected, const char *name) {
  uint32_t    index;
  udpr_status status = udpr_interface_index(name, &index);
  if (status != expected)
    FAIL("%s is %s, not %s", name, udpr_status_name(status), udpr_status_name(expected));
}

static void check_parse_status(udpr_status expected, const char *text) {
  udpr_addr   parsed;
  udpr_status status = udpr_addr_parse(text, 9, &parsed);
  if (status != expected)
    FAIL("%s is %s, not %s", text, udpr_status_name(status), udpr_status_name(expected));
}

/* These calls need no socket. */
static void check_calls_that_need_no_socket(void) {
  check_index_status(UDPR_E_INVALID_ARGUMENT, "");
  check_index_status(UDPR_OK, "0.0.0.0");
  check_index_status(UDPR_OK, "::");
  check_index_status(UDPR_E_NO_INTERFACE, "99999999999999999999");
  check_parse_status(UDPR_OK, "fe80::1%1");
  check_parse_status(UDPR_OK, "127.0.0.1");
  check_parse_status(UDPR_E_INVALID_ADDRESS, "fe80:::1%lo");
}

static void check_list_status(udpr_status expected) {
  udpr_interface one = {.size = sizeof one};
  size_t         count = 99;
  CHECK_STATUS(expected, udpr_interfaces(&one, 1, &count));
  CHECK_EQ(0, count);
  CHECK_EQ(0, one.index);
}

static void check_all_statuses(udpr_status expected) {
  check_list_status(expected);
  static const char *const names[] = {"lo",        "nosuch", "1",          "127.0.0.1",
                                      "192.0.2.1", "::1",    "fe80::1%lo", "fe80::1%1"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) check_index_status(expected, names[i]);
  check_parse_status(expected, "fe80::1%lo");
  check_parse_status(expected, "[fe80::1%lo]:53");
  check_parse_status(expected, "fe80::1%nosuch");
  check_calls_that_need_no_socket();
}

TEST(without_a_free_descriptor) {
  struct rlimit some, none;
  CHECK_EQ(0, getrlimit(RLIMIT_NOFILE, &some));
  none = (struct rlimit){0, some.rlim_max};
  CHECK_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
  check_all_statuses(UDPR_E_NO_FILES);
  CHECK_EQ(0, setrlimit(RLIMIT_NOFILE, &some));
}

TEST(sockets_refused_with_eafnosupport) {
  int calls[] = {SYS_socket};
  refuse_syscalls(calls, 1, EAFNOSUPPORT);
  check_all_statuses(UDPR_E_NOT_SUPPORTED);
}

TEST(sockets_refused_with_eperm) {
  int calls[] = {SYS_socket};
  refuse_syscalls(calls, 1, EPERM);
  check_all_statuses(UDPR_E_PERMISSION);
}

TEST(sockets_refused_with_eacces) {
  int calls[] = {SYS_socket};
  refuse_syscalls(calls, 1, EACCES);
  check_all_statuses(UDPR_E_PERMISSION);
}

/* As with RestrictAddressFamilies= of systemd: names can be looked up, addresses cannot. A filter cannot see
 * the family in the arguments of socketcall(2).
 */
#ifndef SYS_socketcall
TEST(netlink_refused) {
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
               offsetof(struct seccomp_data, args) + (__BYTE_ORDER == __BIG_ENDIAN ? 4 : 0)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
  CHECK_EQ(0, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) SKIP("needs seccomp filters");
  check_list_status(UDPR_E_NOT_SUPPORTED);
  check_index_status(UDPR_E_NOT_SUPPORTED, "127.0.0.1");
  check_index_status(UDPR_E_NOT_SUPPORTED, "::1");
  check_index_status(UDPR_OK, "lo");
  check_index_status(UDPR_E_NO_INTERFACE, "nosuch");
  check_index_status(UDPR_OK, "fe80::1%lo");
  check_parse_status(UDPR_OK, "fe80::1%lo");
  check_parse_status(UDPR_E_INVALID_ADDRESS, "fe80::1%nosuch");
  check_calls_that_need_no_socket();
}
#endif

CHECK_MAIN()
