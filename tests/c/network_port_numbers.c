/* Port 0: no two ports get the same number, whatever flags they have, whoever owns the other sockets, and
 * however many threads listen at once. The system has only 16 numbers, so a number that could be given twice
 * would be.
 */
#include "network_namespace.h"

#include <fcntl.h>
#include <linux/filter.h>

enum { FIRST_NUMBER = 40000, NUMBERS = 16, FLAGS = 4 };

static const uint32_t sharing_flags[FLAGS] = {UDPR_UDP_REUSE_ADDRESS, UDPR_UDP_REUSE_PORT,
                                              UDPR_UDP_REUSE_ADDRESS | UDPR_UDP_REUSE_PORT,
                                              UDPR_UDP_LISTEN_MULTIPLE};

static const udpr_protocol no_callbacks = {.size = sizeof no_callbacks};

static void enter_network_with_few_numbers(void) {
  enter_network_namespace();
  int fd = open("/proc/sys/net/ipv4/ip_local_port_range", O_WRONLY);
  if (fd < 0) SKIP("this network's range of numbers cannot be set");
  CHECK(write(fd, "40000 40015", 11) == 11);
  close(fd);
}

static udpr_status listen_with(udpr_reactor *reactor, const char *host, uint32_t flags,
                               udpr_transport **transport) {
  udpr_udp_options options = {.size = sizeof options, .flags = flags};
  return udpr_reactor_listen_udp(reactor, 0, host, &no_callbacks, &options, transport);
}

/* Listens on port 0 and returns its number, which must be new. */
static int listen_on_new_number(udpr_reactor *reactor, const char *host, uint32_t flags,
                                bool taken[NUMBERS]) {
  udpr_transport *transport;
  OK(listen_with(reactor, host, flags, &transport));
  int number = host_of(transport).port - FIRST_NUMBER;
  CHECK(number >= 0 && number < NUMBERS);
  CHECK(!taken[number]);
  udpr_transport_release(transport);
  return taken[number] = true, number;
}

static void check_no_number_left(udpr_reactor *reactor, const char *host) {
  for (int i = 0; i < FLAGS; i++) {
    udpr_transport *transport;
    CHECK_STATUS(UDPR_E_ADDRESS_IN_USE, listen_with(reactor, host, sharing_flags[i], &transport));
  }
}

/* The flags alternate, so that each of them meets each other. */
static void check_all_differ(const char *host, const char *other_host) {
  enter_network_with_few_numbers();
  for (int first = 0; first < FLAGS; first++) {
    udpr_reactor *reactor = new_reactor(0);
    bool          taken[NUMBERS] = {false};
    for (int i = 0; i < NUMBERS; i++)
      listen_on_new_number(reactor, i % 2 ? host : other_host, sharing_flags[(first + i / FLAGS) % FLAGS],
                           taken);
    check_no_number_left(reactor, host);
    OK(udpr_reactor_free(reactor)); /* closes the ports */
  }
}

TEST(all_numbers_differ) { check_all_differ("127.0.0.1", "127.0.0.1"); }
TEST(all_numbers_differ_on_every_address) { check_all_differ("0.0.0.0", "127.0.0.1"); }
TEST(all_numbers_differ_ipv6) { check_all_differ("::1", "::1"); }
TEST(all_numbers_differ_dual_stack) { check_all_differ("::", "0.0.0.0"); }

/* A socket that shares its number with everybody, as other processes or libraries have them. */
static int open_sharing_socket(int number) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(FIRST_NUMBER + number))};
  int                fd = socket(AF_INET, SOCK_DGRAM, 0), on = 1;
  CHECK_EQ(0, setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
  CHECK_EQ(0, setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on));
  CHECK_EQ(0, bind(fd, (struct sockaddr *)&to, sizeof to));
  return fd;
}

static void check_numbers_of_others(bool adopts) {
  enter_network_with_few_numbers();
  udpr_reactor *reactor = new_reactor(0);
  bool          taken[NUMBERS] = {false};
  int           fds[NUMBERS / 2];
  for (int i = 0; i < NUMBERS / 2; i++) {
    fds[i] = open_sharing_socket(2 * i);
    taken[2 * i] = true;
    if (!adopts) continue;
    udpr_transport *transport;
    OK(udpr_reactor_adopt_datagram_port(reactor, fds[i], 0, &no_callbacks, NULL, &transport));
    udpr_transport_release(transport);
    close(fds[i]);
  }
  for (int i = 0; i < NUMBERS / 2; i++) listen_on_new_number(reactor, NULL, sharing_flags[i % FLAGS], taken);
  check_no_number_left(reactor, NULL);
  OK(udpr_reactor_free(reactor));
  for (int i = 0; !adopts && i < NUMBERS / 2; i++) close(fds[i]);
}

TEST(numbers_of_other_sockets) { check_numbers_of_others(false); }
TEST(numbers_of_adopted_sockets) { check_numbers_of_others(true); }

/* The first write, or the connection, binds the socket. */
TEST(numbers_of_sockets_that_were_adopted_unbound) {
  enter_network_with_few_numbers();
  udpr_reactor *reactor = new_reactor(0);
  bool          taken[NUMBERS] = {false};
  udpr_addr     to = addr("127.0.0.1", 9);
  for (int i = 0; i < NUMBERS; i++) {
    int             fd = socket(AF_INET, SOCK_DGRAM, 0), on = 1;
    udpr_transport *transport;
    CHECK_EQ(0, setsockopt(fd, SOL_SOCKET, i % 4 < 2 ? SO_REUSEADDR : SO_REUSEPORT, &on, sizeof on));
    OK(udpr_reactor_adopt_datagram_port(reactor, fd, 0, &no_callbacks, NULL, &transport));
    if (i % 2) OK(udpr_transport_connect(transport, &to));
    else OK(udpr_transport_write(transport, "x", 1, &to));
    int number = host_of(transport).port - FIRST_NUMBER, is_on = 0;
    CHECK(number >= 0 && number < NUMBERS && !taken[number]);
    taken[number] = true;
    socklen_t len = sizeof is_on;
    CHECK_EQ(0, getsockopt(fd, SOL_SOCKET, i % 4 < 2 ? SO_REUSEADDR : SO_REUSEPORT, &is_on, &len));
    CHECK_EQ(1, is_on);
    close(fd);
    udpr_transport_release(transport);
  }
  check_no_number_left(reactor, NULL);
  OK(udpr_reactor_free(reactor));
}

static void check_in_child(void *arg) {
  (void)arg;
  udpr_reactor *reactor = new_reactor(0);
  check_no_number_left(reactor, NULL);
  OK(udpr_reactor_free(reactor));
}

TEST(numbers_of_another_process) {
  enter_network_with_few_numbers();
  udpr_reactor *reactor = new_reactor(0);
  bool          taken[NUMBERS] = {false};
  for (int i = 0; i < NUMBERS; i++) listen_on_new_number(reactor, NULL, UDPR_UDP_LISTEN_MULTIPLE, taken);
  run_in_child(check_in_child, NULL);
  OK(udpr_reactor_free(reactor));
}

typedef struct listener {
  check_thread  thread;
  udpr_reactor *reactor;
  int           count, numbers[NUMBERS / 2];
} listener;

static void listen_on_half(void *arg) {
  listener *self = arg;
  for (; self->count < NUMBERS / 2; self->count++) {
    udpr_transport *transport;
    OK(listen_with(self->reactor, NULL, sharing_flags[self->count % FLAGS], &transport));
    self->numbers[self->count] = host_of(transport).port - FIRST_NUMBER;
    udpr_transport_release(transport);
  }
}

TEST(two_threads_listen_at_once) {
  enter_network_with_few_numbers();
  listener listeners[2] = {{.reactor = new_reactor(0)}, {.reactor = new_reactor(0)}};
  for (int i = 0; i < 2; i++) thread_start(&listeners[i].thread, listen_on_half, &listeners[i]);
  for (int i = 0; i < 2; i++) thread_join(&listeners[i].thread);
  bool taken[NUMBERS] = {false};
  for (int i = 0; i < NUMBERS; i++) {
    int number = listeners[i % 2].numbers[i / 2];
    CHECK(number >= 0 && number < NUMBERS && !taken[number]);
    taken[number] = true;
  }
  for (int i = 0; i < 2; i++) OK(udpr_reactor_free(listeners[i].reactor));
}

/* ---- numbers that can be shared ------------------------------------------------------------------------ */

/* A number that the kernel chose can be shared by a second port that names it, also after a connection. */
TEST(a_chosen_number_can_be_shared_by_naming_it) {
  enter_network_with_few_numbers();
  udpr_addr peer = addr("127.0.0.1", 9);
  for (int i = 0; i < FLAGS; i++) {
    udpr_reactor    *reactor = new_reactor(0);
    udpr_udp_options options = {.size = sizeof options, .flags = sharing_flags[i]};
    udpr_transport  *first, *second;
    OK(listen_with(reactor, NULL, sharing_flags[i], &first));
    int number = host_of(first).port;
    OK(udpr_reactor_listen_udp(reactor, number, NULL, &no_callbacks, &options, &second));
    OK(udpr_transport_connect(first, &peer));
    OK(udpr_transport_disconnect(first));
    CHECK_EQ(number, host_of(first).port);
    udpr_transport_release(first), udpr_transport_release(second);
    OK(udpr_reactor_free(reactor));
  }
}

/* The port is the first of a group, to which a program may be attached (socket(7)). */
TEST(a_single_reuse_port_port_accepts_a_bpf_program) {
  struct sock_filter to_the_first[] = {{.code = BPF_RET | BPF_K, .k = 0}};
  struct sock_fprog  program;
  memset(&program, 0, sizeof program); /* the kernel also gets the padding */
  program.len = 1, program.filter = to_the_first;
  enter_network_with_few_numbers();
  udpr_reactor   *reactor = new_reactor(0);
  udpr_transport *transport;
  OK(listen_with(reactor, NULL, UDPR_UDP_REUSE_PORT, &transport));
  OK(udpr_transport_set_option(transport, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program));
  udpr_transport_release(transport);
  OK(udpr_reactor_free(reactor));
}

CHECK_MAIN()
