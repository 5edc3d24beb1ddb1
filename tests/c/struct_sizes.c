/* The rules of every struct with a `size`, which allow a program and a library of different versions to work
 * together.
 */
#include "check.h"

#include <sys/mman.h>

enum { LARGEST = 4096 };

/* A function that takes one struct. `bytes` is a valid one, in a block of LARGEST + 8 zero bytes. */
typedef udpr_status (*call_fn)(void *bytes, void *arg);

typedef struct layout {
  size_t known;    /* the library's size */
  size_t first;    /* the size of the first release; 0: the same */
  size_t flags_at; /* the offset of the flags; 0 if it has none */
  size_t reserved_at;
} layout;

static void set_size(void *bytes, size_t size) { memcpy(bytes, &size, sizeof size); }

static void set_word(void *bytes, size_t at, uint32_t value) {
  memcpy((char *)bytes + at, &value, sizeof value);
}

static void check_rules(const layout *layout, call_fn call, void *arg) {
  static _Alignas(max_align_t) char bytes[LARGEST + 8];
  size_t                            first = layout->first ? layout->first : layout->known;
  size_t                            refused[] = {0, 4, first - 1, LARGEST + 1, SIZE_MAX},
         taken[] = {first, layout->known, layout->known + 8, LARGEST};
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    set_size(bytes, refused[i]);
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, call(bytes, arg));
  }
  for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
    set_size(bytes, taken[i]);
    CHECK_STATUS(UDPR_OK, call(bytes, arg));
  }
  size_t larger[] = {layout->known + 1, layout->known + 8, LARGEST};
  for (size_t i = 0; i < sizeof larger / sizeof *larger; i++) {
    set_size(bytes, larger[i]);
    bytes[larger[i] - 1] = 1;
    CHECK_STATUS(UDPR_E_VERSION, call(bytes, arg));
    bytes[larger[i] - 1] = 0;
  }
  set_size(bytes, layout->known);
  bytes[layout->known] = 1; /* bytes behind `size` must not be read */
  CHECK_STATUS(UDPR_OK, call(bytes, arg));
  bytes[layout->known] = 0;
  if (layout->flags_at) {
    set_word(bytes, layout->flags_at, 0x80000000);
    CHECK_STATUS(UDPR_E_VERSION, call(bytes, arg));
    set_word(bytes, layout->flags_at, 0);
  }
  if (layout->reserved_at) {
    set_word(bytes, layout->reserved_at, 1);
    CHECK_STATUS(UDPR_E_VERSION, call(bytes, arg));
    set_word(bytes, layout->reserved_at, 0);
  }
  memset(bytes, 0, sizeof bytes);
}

static udpr_status new_with(void *options, void *arg) {
  udpr_reactor *reactor = NULL;
  udpr_status   status = udpr_reactor_new(options, &reactor);
  (void)arg;
  CHECK((status == UDPR_OK) == (reactor != NULL));
  OK(udpr_reactor_free(reactor));
  return status;
}

static udpr_status listen_with(udpr_reactor *reactor, const udpr_protocol *protocol,
                               const udpr_udp_options *options) {
  udpr_transport *transport = NULL;
  udpr_status     status = udpr_reactor_listen_udp(reactor, 0, "127.0.0.1", protocol, options, &transport);
  CHECK((status == UDPR_OK) == (transport != NULL));
  if (transport) OK(udpr_transport_close(transport));
  udpr_transport_release(transport);
  return status;
}

static udpr_status listen_with_options(void *options, void *reactor) {
  udpr_protocol protocol = {.size = sizeof protocol};
  return listen_with(reactor, &protocol, options);
}

static udpr_status listen_with_protocol(void *protocol, void *reactor) {
  return listen_with(reactor, protocol, NULL);
}

TEST(reactor_options) {
  layout layout = {.known = sizeof(udpr_reactor_options),
                   .first = offsetof(udpr_reactor_options, reserved),
                   .flags_at = offsetof(udpr_reactor_options, flags),
                   .reserved_at = offsetof(udpr_reactor_options, reserved)};
  check_rules(&layout, new_with, NULL);
}

TEST(udp_options) {
  udpr_reactor *reactor = new_reactor(0);
  layout        layout = {.known = sizeof(udpr_udp_options),
                          .first = offsetof(udpr_udp_options, write_ready_bytes),
                          .flags_at = offsetof(udpr_udp_options, flags),
                          .reserved_at = offsetof(udpr_udp_options, reserved)};
  check_rules(&layout, listen_with_options, reactor);
  layout.reserved_at = offsetof(udpr_udp_options, reserved_2);
  check_rules(&layout, listen_with_options, reactor);
  OK(udpr_reactor_free(reactor));
}

TEST(protocol) {
  udpr_reactor *reactor = new_reactor(0);
  layout        layout = {.known = sizeof(udpr_protocol), .first = offsetof(udpr_protocol, configure_socket)};
  check_rules(&layout, listen_with_protocol, reactor);
  OK(udpr_reactor_free(reactor));
}

static udpr_status write_with(void *message, void *transport) {
  size_t      taken = 9;
  udpr_status status = udpr_transport_write_messages(transport, message, 1, &taken);
  CHECK_EQ(status == UDPR_OK, taken);
  return status;
}

/* An empty datagram, which the port sends to itself. */
TEST(message) {
  udpr_reactor   *reactor = new_reactor(0);
  udpr_protocol   protocol = {.size = sizeof protocol};
  udpr_transport *transport = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  udpr_addr       host = host_of(transport);
  layout          layout = {.known = sizeof(udpr_message),
                            .first = offsetof(udpr_message, pieces),
                            .flags_at = offsetof(udpr_message, flags),
                            .reserved_at = offsetof(udpr_message, reserved_2)};
  OK(udpr_transport_connect(transport, &host));
  check_rules(&layout, write_with, transport);
  udpr_transport_release(transport);
  OK(udpr_reactor_free(reactor));
}

/* If the protocol's size is refused, its user is freed if free_user lies within that size. */
TEST(a_protocol_of_a_newer_header_frees_its_user) {
  struct {
    udpr_protocol now;
    uint64_t      later;
  } protocol = {.later = 1};
  atomic_int    freed = 0;
  udpr_reactor *reactor = new_reactor(0);
  protocol.now = (udpr_protocol){.size = sizeof protocol, .user = &freed, .free_user = count_free};
  CHECK_STATUS(UDPR_E_VERSION, udpr_reactor_listen_udp(reactor, 0, "127.0.0.1", &protocol.now, NULL, NULL));
  CHECK_EQ(1, freed);
  OK(udpr_reactor_free(reactor));
}

/* Structs that the library fills: the part behind the fields that the library knows is set to zero. */
TEST(stats_of_a_newer_header) {
  struct {
    udpr_reactor_stats now;
    uint64_t           later;
  } reactor_stats;
  struct {
    udpr_transport_stats now;
    uint64_t             later;
  } transport_stats;
  udpr_reactor   *reactor = new_reactor(0);
  udpr_protocol   protocol = {.size = sizeof protocol};
  udpr_transport *transport = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  memset(&reactor_stats, 0xff, sizeof reactor_stats);
  memset(&transport_stats, 0xff, sizeof transport_stats);
  reactor_stats.now.size = sizeof reactor_stats;
  transport_stats.now.size = sizeof transport_stats;
  OK(udpr_reactor_get_stats(reactor, &reactor_stats.now));
  OK(udpr_transport_get_stats(transport, &transport_stats.now));
  CHECK_EQ(0, reactor_stats.later);
  CHECK_EQ(1, reactor_stats.now.transports);
  CHECK_EQ(0, transport_stats.later);
  CHECK_EQ(0, transport_stats.now.kept_datagrams);
  /* If size_t has 32 bits, `size` may be followed by padding. */
  const uint8_t *all[] = {(uint8_t *)&reactor_stats.now, (uint8_t *)&transport_stats.now};
  const size_t   first[] = {offsetof(udpr_reactor_stats, iterations),
                            offsetof(udpr_transport_stats, datagrams_in)};
  for (int i = 0; i < 2; i++)
    for (size_t at = sizeof(size_t); at < first[i]; at++) CHECK_EQ(0, all[i][at]);

  size_t refused[] = {0, 4, LARGEST + 1, SIZE_MAX};
  for (size_t i = 0; i < 4; i++) {
    reactor_stats.now.size = refused[i];
    transport_stats.now.size = refused[i];
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_get_stats(reactor, &reactor_stats.now));
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_transport_get_stats(transport, &transport_stats.now));
  }
  OK(udpr_transport_close(transport));
  udpr_transport_release(transport);
  OK(udpr_reactor_free(reactor));
}

/* tests/c/interfaces.c has arrays of it. */
TEST(an_interface_of_a_newer_header) {
  struct {
    udpr_interface now;
    uint64_t       later;
  } one;
  size_t count;
  memset(&one, 0xff, sizeof one);
  one.now.size = sizeof one;
  OK(udpr_interfaces(&one.now, 1, &count));
  CHECK_EQ(sizeof one, one.now.size);
  CHECK_EQ(0, one.later);
  one.now.size = sizeof one.now - 1;
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_interfaces(&one.now, 1, &count));
}

/* A message whose size differs from the first one's is refused. Nothing is read behind the end of the array.
 */
TEST(messages_of_different_sizes) {
  udpr_reactor   *reactor = new_reactor(0);
  udpr_protocol   protocol = {.size = sizeof protocol};
  udpr_transport *transport = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  udpr_addr       to = host_of(transport);
  size_t          page = (size_t)sysconf(_SC_PAGESIZE), taken = 0;
  char           *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(pages != MAP_FAILED);
  CHECK_EQ(0, mprotect(pages + page, page, PROT_NONE));
  udpr_message *messages = (udpr_message *)(pages + page) - 2;
  size_t        others[] = {0, offsetof(udpr_message, pieces), sizeof *messages + 8, LARGEST, SIZE_MAX};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    messages[0] = (udpr_message){.size = sizeof *messages, .to = &to};
    messages[1] = (udpr_message){.size = others[i], .to = &to};
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_transport_write_messages(transport, messages, 2, &taken));
    CHECK_EQ(1, taken);
  }
  CHECK_EQ(0, munmap(pages, 2 * page));
  OK(udpr_transport_close(transport));
  udpr_transport_release(transport);
  OK(udpr_reactor_free(reactor));
}

CHECK_MAIN()
