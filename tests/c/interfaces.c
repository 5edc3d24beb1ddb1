/* udpr_interfaces: what it lists, how it fills the caller's array, and in which network namespace. */
#include "ipv6_address.h"
#include "network_namespace.h"

enum { MOST = 600 };

static udpr_interface list[MOST];

static size_t list_interfaces(void) {
  size_t count = 99;
  memset(list, 0xff, sizeof list);
  list[0].size = sizeof *list;
  OK(udpr_interfaces(list, MOST, &count));
  CHECK(count <= MOST);
  for (size_t i = 0; i < count; i++) {
    CHECK_EQ(sizeof *list, list[i].size);
    CHECK_EQ(0, list[i].reserved);
    CHECK_EQ(0, list[i].address.port);
    CHECK_EQ(0, list[i].broadcast.port);
    CHECK_EQ(if_nametoindex(list[i].name), list[i].index);
    for (size_t at = strlen(list[i].name); at < sizeof list[i].name; at++) CHECK_EQ(0, list[i].name[at]);
    for (size_t at = list[i].hardware_len; at < sizeof list[i].hardware; at++)
      CHECK_EQ(0, list[i].hardware[at]);
  }
  for (size_t at = 0; count < MOST && at < sizeof *list; at++)
    CHECK_EQ(0xff, ((const uint8_t *)&list[count])[at]); /* nothing behind the last element is written */
  return count;
}

/* The only element with this address. */
static const udpr_interface *find(size_t count, const char *text) {
  const udpr_interface *found = NULL;
  udpr_addr             wanted = addr(text, 0);
  for (size_t i = 0; i < count; i++) {
    if (!udpr_addr_equal(&wanted, &list[i].address)) continue;
    CHECK(found == NULL);
    found = &list[i];
  }
  if (!found) FAIL("%s is not listed", text);
  return found;
}

static void check_element(const udpr_interface *one, const char *name, uint32_t flags, uint32_t mtu,
                          uint32_t prefix_length) {
  CHECK_STR(name, one->name);
  CHECK_EQ(flags, one->flags);
  CHECK_EQ(mtu, one->mtu);
  CHECK_EQ(prefix_length, one->prefix_length);
}

static void check_broadcast(const udpr_interface *one, const char *text) {
  udpr_addr expected = {0};
  if (text) expected = addr(text, 0);
  CHECK(udpr_addr_equal(&expected, &one->broadcast));
}

/* ---- what is listed ------------------------------------------------------------------------------------ */

TEST(an_interface_without_addresses_is_one_element) {
  if (geteuid() != 0) SKIP("needs root for a network namespace");
  if (unshare(CLONE_NEWNET) != 0) SKIP("this kernel or container gives no network namespace");
  size_t count = list_interfaces(), seen = 0;
  for (size_t i = 0; i < count; i++) {
    CHECK_EQ(UDPR_AF_UNSPEC, list[i].address.family);
    CHECK_EQ(0, list[i].prefix_length);
    check_broadcast(&list[i], NULL);
    if (strcmp(list[i].name, "lo") != 0) continue; /* a kernel may add tunnels to every namespace */
    CHECK_EQ(UDPR_INTERFACE_LOOPBACK, list[i].flags);
    seen++;
  }
  CHECK_EQ(1, seen);
}

TEST(the_loopback_interface) {
  enter_network_namespace();
  const udpr_interface *lo = find(list_interfaces(), "127.0.0.1");
  check_element(lo, "lo", UDPR_INTERFACE_UP | UDPR_INTERFACE_LOOPBACK, 65536, 8);
  check_broadcast(lo, NULL);
  CHECK_EQ(6, lo->hardware_len);
}

TEST(every_address_of_an_interface) {
  enter_network_namespace();
  run_ip("link add near address 02:00:00:00:00:01 mtu 1400 type veth peer name far");
  run_ip("link set near addrgenmode none up");
  run_ip("addr add 10.9.0.1/24 broadcast 10.9.0.255 label near:1 dev near");
  run_ip("addr add 10.10.0.1/16 dev near");
  run_ip("addr add 10.11.0.1 peer 10.11.0.2 dev near");
  add_ipv6_address("near", "fd99::1", 64);
  run_command("ip addr add fe80::9/64 dev near nodad");
  run_command("ip addr add fd98::1 peer fd98::2 dev near nodad");
  const uint8_t hardware[] = {2, 0, 0, 0, 0, 1};
  const char   *link_local = "fe80::9%near";
  const struct {
    const char *address, *broadcast;
    uint32_t    prefix_length;
  } expected[] = {{"10.9.0.1", "10.9.0.255", 24}, {"10.10.0.1", NULL, 16}, {"10.11.0.1", "10.11.0.2", 32},
                  {"fd99::1", NULL, 64},          {link_local, NULL, 64},  {"fd98::1", "fd98::2", 128}};
  enum { EXPECTED = sizeof expected / sizeof *expected };
  uint32_t flags = UDPR_INTERFACE_UP | UDPR_INTERFACE_MULTICAST | UDPR_INTERFACE_BROADCAST;
  size_t   count = list_interfaces(), near = 0, far = 0;
  for (size_t i = 0; i < EXPECTED; i++) {
    const udpr_interface *one = find(count, expected[i].address);
    check_element(one, "near", flags, 1400, expected[i].prefix_length);
    check_broadcast(one, expected[i].broadcast);
    CHECK_EQ(6, one->hardware_len);
    CHECK(memcmp(hardware, one->hardware, 6) == 0);
    CHECK_EQ(expected[i].address == link_local ? one->index : 0, one->address.scope_id);
  }
  for (size_t i = 0; i < count; i++) {
    near += strcmp(list[i].name, "near") == 0;
    if (strcmp(list[i].name, "far") != 0) continue;
    CHECK_EQ(UDPR_AF_UNSPEC, list[i].address.family);
    CHECK_EQ(flags & ~(uint32_t)UDPR_INTERFACE_UP, list[i].flags);
    far++;
  }
  CHECK_EQ(EXPECTED, near);
  CHECK_EQ(1, far);
  for (size_t i = 1; i < count; i++) /* the elements of an interface follow each other */
    for (size_t j = i + 1; j < count; j++)
      CHECK(list[i - 1].index != list[j].index || list[i].index == list[j].index);
}

TEST(a_point_to_point_interface) {
  enter_network_namespace();
  if (access("/dev/net/tun", F_OK) != 0) SKIP("needs /dev/net/tun");
  run_ip("tuntap add dev tunnel mode tun");
  run_ip("addr add 10.12.0.1 peer 10.12.0.2 dev tunnel");
  const udpr_interface *one = find(list_interfaces(), "10.12.0.1");
  CHECK(one->flags & UDPR_INTERFACE_POINT_TO_POINT);
  CHECK(!(one->flags & UDPR_INTERFACE_UP));
  CHECK_EQ(0, one->hardware_len);
  check_broadcast(one, "10.12.0.2");
}

/* More than the kernel puts into one message. */
TEST(many_addresses) {
  enter_network_namespace();
  run_command("for i in $(seq 1 250); do echo addr add 127.9.$i.1/8 dev lo; "
              "echo addr add 127.10.$i.1/8 dev lo; done | ip -batch -");
  size_t count = list_interfaces();
  for (int i = 1; i <= 250; i++) {
    char text[20];
    for (int second = 9; second <= 10; second++) {
      snprintf(text, sizeof text, "127.%d.%d.1", second, i);
      CHECK_STR("lo", find(count, text)->name);
    }
  }
}

TEST(every_listed_address_can_be_listened_on) {
  enter_network_namespace();
  run_ip("link add near type veth peer name far");
  run_ip("link set near addrgenmode none up");
  run_ip("addr add 10.9.0.1/24 dev near");
  add_ipv6_address("near", "fe80::9", 64);
  udpr_reactor *reactor = new_reactor(0);
  udpr_protocol protocol = {.size = sizeof protocol};
  size_t        count = list_interfaces(), listened = 0;
  for (size_t i = 0; i < count; i++) {
    if (list[i].address.family == UDPR_AF_UNSPEC) continue;
    OK(udpr_reactor_listen_addr(reactor, &list[i].address, &protocol, NULL, NULL));
    listened++;
  }
  CHECK(listened >= 3);
  OK(udpr_reactor_free(reactor));
}

/* ---- the caller's array -------------------------------------------------------------------------------- */

TEST(at_most_the_capacity_is_stored) {
  size_t all = list_interfaces(), count = 99;
  CHECK(all > 0);
  OK(udpr_interfaces(NULL, 0, &count));
  CHECK_EQ(all, count);
  count = 99;
  OK(udpr_interfaces(&(udpr_interface){.size = 0}, 0, &count)); /* the size is not read */
  CHECK_EQ(all, count);
  for (size_t capacity = 1; capacity <= all + 1; capacity++) {
    udpr_interface *some = calloc(capacity, sizeof *some);
    some[0].size = sizeof *some;
    count = 99;
    OK(udpr_interfaces(some, capacity, &count));
    CHECK_EQ(all, count);
    CHECK(memcmp(some, list, (capacity < all ? capacity : all) * sizeof *some) == 0);
    free(some);
  }
}

TEST(the_stride_is_the_first_size) {
  size_t         all = list_interfaces(), count = 99;
  const size_t   sizes[] = {sizeof *list, sizeof *list + 1, sizeof *list + 8, 4096};
  const uint8_t *expected = (const uint8_t *)list;
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    uint8_t *bytes = malloc(all * sizes[i]);
    memset(bytes, 0xff, all * sizes[i]);
    memcpy(bytes, &sizes[i], sizeof sizes[i]);
    OK(udpr_interfaces((udpr_interface *)(void *)bytes, all, &count));
    CHECK_EQ(all, count);
    for (size_t n = 0; n < all; n++) {
      const uint8_t *one = bytes + n * sizes[i];
      CHECK(memcmp(one, &sizes[i], sizeof(size_t)) == 0);
      CHECK(memcmp(one + sizeof(size_t), expected + n * sizeof *list + sizeof(size_t),
                   sizeof *list - sizeof(size_t)) == 0);
      for (size_t at = sizeof *list; at < sizes[i]; at++) CHECK_EQ(0, one[at]);
    }
    free(bytes);
  }
}

TEST(wrong_arguments_still_give_the_count) {
  const size_t refused[] = {0, 4, sizeof(udpr_interface) - 1, 4097, SIZE_MAX};
  size_t       all = list_interfaces(), count;
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    udpr_interface one, untouched;
    memset(&one, 0x5a, sizeof one);
    one.size = refused[i];
    untouched = one;
    count = 99;
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_interfaces(&one, 1, &count));
    CHECK_EQ(all, count);
    CHECK(memcmp(&one, &untouched, sizeof one) == 0);
  }
  count = 99;
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_interfaces(NULL, 1, &count));
  CHECK_EQ(all, count);
  udpr_interface one = {.size = sizeof one};
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_interfaces(&one, 1, NULL));
  CHECK_EQ(0, one.index);
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_interfaces(NULL, 0, NULL));
}

TEST(no_descriptor_stays_open) {
  list_interfaces();
  int before = check_count_descriptors();
  for (int i = 0; i < 10; i++) list_interfaces();
  CHECK_EQ(before, check_count_descriptors());
}

/* ---- namespaces ---------------------------------------------------------------------------------------- */

static void *list_in_a_new_namespace(void *arg) {
  (void)arg;
  enter_network_namespace();
  run_ip("addr add 127.99.0.1/8 dev lo");
  CHECK_STR("lo", find(list_interfaces(), "127.99.0.1")->name);
  return NULL;
}

TEST(the_namespace_is_that_of_the_calling_thread) {
  pthread_t thread;
  if (geteuid() != 0) SKIP("needs root for a network namespace");
  CHECK_EQ(0, pthread_create(&thread, NULL, list_in_a_new_namespace, NULL));
  CHECK_EQ(0, pthread_join(thread, NULL));
  udpr_addr other = addr("127.99.0.1", 0);
  size_t    count = list_interfaces();
  for (size_t i = 0; i < count; i++) CHECK(!udpr_addr_equal(&other, &list[i].address));
}

CHECK_MAIN()
