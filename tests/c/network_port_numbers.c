/* Port 0: no two ports get one number, whatever flags they have, whoever holds the other sockets, and however many listen
 * at once. The system has 16 numbers to choose from, so that one which may be had twice is had twice.
 */
#include "network_namespace.h"

#include <fcntl.h>
#include <linux/filter.h>

enum { FIRST = 40000, NUMBERS = 16, FLAGS = 4 };

static const uint32_t sharing[FLAGS] = {UDPR_UDP_REUSE_ADDRESS, UDPR_UDP_REUSE_PORT,
                                        UDPR_UDP_REUSE_ADDRESS | UDPR_UDP_REUSE_PORT,
                                        UDPR_UDP_LISTEN_MULTIPLE};

static const udpr_protocol silent = {.size = sizeof silent};

static void enter_small_network(void) {
  enter_network_namespace();
  int fd = open("/proc/sys/net/ipv4/ip_local_port_range", O_WRONLY);
  if (fd < 0) SKIP("this network's range of numbers cannot be set");
  CHECK(write(fd, "40000 40015", 11) == 11);
  close(fd);
}

static udpr_status listen_to(udpr_reactor *reactor, const char *host, uint32_t flags,
                             udpr_transport **transport) {
  udpr_udp_options options = {.size = sizeof options, .flags = flags};
  return udpr_reactor_listen_udp(reactor, 0, host, &silent, &options, transport);
}

/* The number of a new port, which nobody had. */
static int take(udpr_reactor *reactor, const char *host, uint32_t flags, bool taken[NUMBERS]) {
  udpr_transport *transport;
  OK(listen_to(reactor, host, flags, &transport));
  int number = host_of(transport).port - FIRST;
  CHECK(number >= 0 && number < NUMBERS);
  CHECK(!taken[number]);
  udpr_transport_release(transport);
  return taken[number] = true, number;
}

static void is_full(udpr_reactor *reactor, const char *host) {
  for (int i = 0; i < FLAGS; i++) {
    udpr_transport *transport;
    CHECK_STATUS(UDPR_E_ADDRESS_IN_USE, listen_to(reactor, host, sharing[i], &transport));
  }
}

/* Different flags in turn, so that each of them meets every other one. */
static void all_differ(const char *host, const char *other_host) {
  enter_small_network();
  for (int first = 0; first < FLAGS; first++) {
    udpr_reactor *reactor = new_reactor(0);
    bool          taken[NUMBERS] = {false};
    for (int i = 0; i < NUMBERS; i++)
      take(reactor, i % 2 ? host : other_host, sharing[(first + i / FLAGS) % FLAGS], taken);
    is_full(reactor, host);
    OK(udpr_reactor_free(reactor)); /* closes them */
  }
}

TEST(all_numbers_differ) { all_differ("127.0.0.1", "127.0.0.1"); }
TEST(all_numbers_differ_on_every_address) { all_differ("0.0.0.0", "127.0.0.1"); }
TEST(all_numbers_differ_ipv6) { all_differ("::1", "::1"); }
TEST(all_numbers_differ_dual_stack) { all_differ("::", "0.0.0.0"); }

/* Sockets that share their numbers with anyone, as another process or a library has them. */
static int sharing_socket(int number) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(FIRST + number))};
  int                fd = socket(AF_INET, SOCK_DGRAM, 0), on = 1;
  CHECK_EQ(0, setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
  CHECK_EQ(0, setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on));
  CHECK_EQ(0, bind(fd, (struct sockaddr *)&to, sizeof to));
  return fd;
}

static void others_numbers(bool adopts) {
  enter_small_network();
  udpr_reactor *reactor = new_reactor(0);
  bool          taken[NUMBERS] = {false};
  int           fds[NUMBERS / 2];
  for (int i = 0; i < NUMBERS / 2; i++) {
    fds[i] = sharing_socket(2 * i);
    taken[2 * i] = true;
    if (!adopts) continue;
    udpr_transport *transport;
    OK(udpr_reactor_adopt_datagram_port(reactor, fds[i], 0, &silent, NULL, &transport));
    udpr_transport_release(transport);
    close(fds[i]);
  }
  for (int i = 0; i < NUMBERS / 2; i++) take(reactor, NULL, sharing[i % FLAGS], taken);
  is_full(reactor, NULL);
  OK(udpr_reactor_free(reactor));
  for (int i = 0; !adopts && i < NUMBERS / 2; i++) close(fds[i]);
}

TEST(numbers_of_other_sockets) { others_numbers(false); }
TEST(numbers_of_adopted_sockets) { others_numbers(true); }

/* The first write, or the connection, binds them. */
TEST(numbers_of_sockets_that_were_adopted_unbound) {
  enter_small_network();
  udpr_reactor *reactor = new_reactor(0);
  bool          taken[NUMBERS] = {false};
  udpr_addr     to = addr("127.0.0.1", 9);
  for (int i = 0; i < NUMBERS; i++) {
    int             fd = socket(AF_INET, SOCK_DGRAM, 0), on = 1;
    udpr_transport *transport;
    CHECK_EQ(0, setsockopt(fd, SOL_SOCKET, i % 4 < 2 ? SO_REUSEADDR : SO_REUSEPORT, &on, sizeof on));
    OK(udpr_reactor_adopt_datagram_port(reactor, fd, 0, &silent, NULL, &transport));
    if (i % 2) OK(udpr_transport_connect(transport, &to));
    else OK(udpr_transport_write(transport, "x", 1, &to));
    int number = host_of(transport).port - FIRST, is_on = 0;
    CHECK(number >= 0 && number < NUMBERS && !taken[number]);
    taken[number] = true;
    socklen_t len = sizeof is_on;
    CHECK_EQ(0, getsockopt(fd, SOL_SOCKET, i % 4 < 2 ? SO_REUSEADDR : SO_REUSEPORT, &is_on, &len));
    CHECK_EQ(1, is_on);
    close(fd);
    udpr_transport_release(transport);
  }
  is_full(reactor, NULL);
  OK(udpr_reactor_free(reactor));
}

static void is_shared(void *arg) {
  (void)arg;
  udpr_reactor *reactor = new_reactor(0);
  is_full(reactor, NULL);
  OK(udpr_reactor_free(reactor));
}

TEST(numbers_of_another_process) {
  enter_small_network();
  udpr_reactor *reactor = new_reactor(0);
  bool          taken[NUMBERS] = {false};
  for (int i = 0; i < NUMBERS; i++) take(reactor, NULL, UDPR_UDP_LISTEN_MULTIPLE, taken);
  run_in_child(is_shared, NULL);
  OK(udpr_reactor_free(reactor));
}

typedef struct taker {
  check_thread  thread;
  udpr_reactor *reactor;
  int           count, numbers[NUMBERS / 2];
} taker;

static void take_half(void *arg) {
  taker *self = arg;
  for (; self->count < NUMBERS / 2; self->count++) {
    udpr_transport *transport;
    OK(listen_to(self->reactor, NULL, sharing[self->count % FLAGS], &transport));
    self->numbers[self->count] = host_of(transport).port - FIRST;
    udpr_transport_release(transport);
  }
}

TEST(two_threads_listen_at_once) {
  enter_small_network();
  taker takers[2] = {{.reactor = new_reactor(0)}, {.reactor = new_reactor(0)}};
  for (int i = 0; i < 2; i++) thread_start(&takers[i].thread, take_half, &takers[i]);
  for (int i = 0; i < 2; i++) thread_join(&takers[i].thread);
  bool taken[NUMBERS] = {false};
  for (int i = 0; i < NUMBERS; i++) {
    int number = takers[i % 2].numbers[i / 2];
    CHECK(number >= 0 && number < NUMBERS && !taken[number]);
    taken[number] = true;
  }
  for (int i = 0; i < 2; i++) OK(udpr_reactor_free(takers[i].reactor));
}

/* ---- what is shared can be shared -------------------------------------------------------------------------- */

/* A number of the kernel's choice can be asked for by name next, and is the port's own after a connection. */
TEST(a_number_of_the_kernels_choice_is_shared_on_request) {
  enter_small_network();
  udpr_addr peer = addr("127.0.0.1", 9);
  for (int i = 0; i < FLAGS; i++) {
    udpr_reactor    *reactor = new_reactor(0);
    udpr_udp_options options = {.size = sizeof options, .flags = sharing[i]};
    udpr_transport  *first, *second;
    OK(listen_to(reactor, NULL, sharing[i], &first));
    int number = host_of(first).port;
    OK(udpr_reactor_listen_udp(reactor, number, NULL, &silent, &options, &second));
    OK(udpr_transport_connect(first, &peer));
    OK(udpr_transport_disconnect(first));
    CHECK_EQ(number, host_of(first).port);
    udpr_transport_release(first), udpr_transport_release(second);
    OK(udpr_reactor_free(reactor));
  }
}

/* The port is the first one of a group, to which the host may attach a program (socket(7)). */
TEST(a_group_of_one_takes_a_program) {
  struct sock_filter to_the_first[] = {{.code = BPF_RET | BPF_K, .k = 0}};
  struct sock_fprog  program;
  memset(&program, 0, sizeof program); /* its padding goes to the kernel, too */
  program.len = 1, program.filter = to_the_first;
  enter_small_network();
  udpr_reactor   *reactor = new_reactor(0);
  udpr_transport *transport;
  OK(listen_to(reactor, NULL, UDPR_UDP_REUSE_PORT, &transport));
  OK(udpr_transport_set_option(transport, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program));
  udpr_transport_release(transport);
  OK(udpr_reactor_free(reactor));
}

CHECK_MAIN()
