/* Addresses: text, sockaddr, comparison, IPv4-mapped IPv6 addresses, and interfaces. */
#include "check.h"
#include <net/if.h>
#include <sys/un.h>

static const char *format(const udpr_addr *address) {
  static char text[UDPR_ADDR_TEXT_MAX];
  size_t      len = 0;
  OK(udpr_addr_format(address, text, sizeof text, &len));
  CHECK_EQ(strlen(text), len);
  return text;
}

static uint32_t lo(void) { return if_nametoindex(LOOPBACK); }

/* ---- text to address ----------------------------------------------------------------------------------- */

TEST(parse_ipv4) {
  udpr_addr     out = addr("1.2.3.4", 7);
  const uint8_t bytes[16] = {1, 2, 3, 4};
  CHECK_EQ(UDPR_AF_INET, out.family);
  CHECK_EQ(7, out.port);
  CHECK_EQ(0, out.scope_id);
  CHECK_EQ(0, out.flow_info);
  CHECK_EQ(0, out.reserved);
  CHECK(memcmp(bytes, out.bytes, 16) == 0);
  CHECK_EQ(53, addr("1.2.3.4:53", 7).port); /* the port in the text has priority */
  CHECK_EQ(65535, addr("255.255.255.255:65535", 0).port);
  CHECK_EQ(0, addr("0.0.0.0", 0).port);
}

TEST(parse_ipv6) {
  udpr_addr     out = addr("2001:db8::1", 7);
  const uint8_t bytes[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
  CHECK_EQ(UDPR_AF_INET6, out.family);
  CHECK_EQ(7, out.port);
  CHECK_EQ(0, out.scope_id);
  CHECK(memcmp(bytes, out.bytes, 16) == 0);
  CHECK_EQ(53, addr("[2001:db8::1]:53", 7).port);
  CHECK_EQ(7, addr("::1:53", 7).port); /* without brackets, all of it is the address */
  CHECK_EQ(0x53, addr("::1:53", 7).bytes[15]);
  CHECK_STR("::", format(&(udpr_addr){.family = UDPR_AF_INET6}));
  CHECK_STR("::ffff:1.2.3.4",
            format(&(udpr_addr){.family = UDPR_AF_INET6, .bytes = {[10] = 0xff, 0xff, 1, 2, 3, 4}}));
  out = addr("::ffff:1.2.3.4", 0);
  CHECK(out.bytes[10] == 0xff && out.bytes[11] == 0xff && out.bytes[12] == 1 && out.bytes[15] == 4);
}

TEST(parse_zone) {
  CHECK_EQ(2, addr("fe80::1%2", 0).scope_id);
  CHECK_EQ(lo(), addr("fe80::1%" LOOPBACK, 0).scope_id);
  CHECK_EQ(2, addr("[fe80::1%2]:53", 0).scope_id);
  CHECK_EQ(53, addr("[fe80::1%2]:53", 0).port);
  CHECK_EQ(lo(), addr("[fe80::1%" LOOPBACK "]:53", 0).scope_id);
}

TEST(parse_refuses) {
  /* clang-format off */
  const char *texts[] = {
      "", " ", "[", "[]", "[]:1", ":", ":53", "::1]", "[::1", "[::1]x", "[::1]:", "[::1]53", "[::1]:x",
      "[::1]:70000", "1.2.3", "127.1", "1", "0x7f.1", "0x7f.0.0.1", "1.2.3.4.5", "256.1.1.1", "1.2.3.", ".1.2.3",
      "1..2.3", "1.2.3.-4", "1.2.3.4:", "1.2.3.4:x", "1.2.3.4:70000", "1.2.3.4:65536", "1.2.3.4:-1", "1.2.3.4:+1",
      "1.2.3.4: 1", "1.2.3.4:53x", "1.2.3.4:99999999999999999999", " 1.2.3.4", "1.2.3.4 ", "1.2.3.4\n",
      "1.2.3.4%lo", "1.2.3.4/8", "[1.2.3.4]:53", ":::", "::g", "1::2::3", "12345::", "1:2:3:4:5:6:7",
      "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:", ":1:2:3:4:5:6:7", "::1.2.3", "::1.2.3.256", "::1%", "::1%nosuch",
      "fe80::1%", "fe80::1%nosuch", "[fe80::1%]:53", "[fe80::1%nosuch]:53", "localhost", "example.com",
      "example.com:53", "lo", "\xc3\xa9", "1.2.3.4\xff"};
  /* clang-format on */
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    udpr_addr   out, untouched;
    udpr_status status;
    memset(&out, 0x5a, sizeof out);
    untouched = out;
    status = udpr_addr_parse(texts[i], 9, &out);
    if (status != UDPR_E_INVALID_ADDRESS) FAIL("\"%s\" is %s", texts[i], udpr_status_name(status));
    CHECK(memcmp(&out, &untouched, sizeof out) == 0);
    CHECK_STATUS(UDPR_E_INVALID_ADDRESS, udpr_addr_parse_host(texts[i], 9, &out));
  }
}

TEST(parse_refuses_300_characters) {
  char      text[301];
  udpr_addr out;
  for (const char *fill = "1:.a%[f]"; *fill; fill++) {
    memset(text, *fill, 300);
    text[300] = 0;
    CHECK_STATUS(UDPR_E_INVALID_ADDRESS, udpr_addr_parse(text, 0, &out));
    memcpy(text, "fe80::1%", 8); /* an endless zone */
    CHECK_STATUS(UDPR_E_INVALID_ADDRESS, udpr_addr_parse(text, 0, &out));
  }
}

TEST(parse_host_accepts_bare_addresses_only) {
  const char *bare[] = {"1.2.3.4", "::1", "::", "fe80::1%2"},
             *more[] = {"1.2.3.4:53", "[::1]", "[::1]:53", "[fe80::1%2]:53"};
  for (size_t i = 0; i < 4; i++) {
    udpr_addr host, parsed = addr(bare[i], 7);
    OK(udpr_addr_parse_host(bare[i], 7, &host));
    CHECK(memcmp(&parsed, &host, sizeof host) == 0);
    CHECK_STATUS(UDPR_E_INVALID_ADDRESS, udpr_addr_parse_host(more[i], 7, &host));
  }
}

/* ---- address to text ----------------------------------------------------------------------------------- */

TEST(format_with_and_without_port) {
  const char *texts[] = {"1.2.3.4",     "1.2.3.4:53",          "::1",     "[::1]:53",
                         "2001:db8::1", "[2001:db8::1]:65535", "0.0.0.0", "::"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    udpr_addr address = addr(texts[i], 0);
    CHECK_STR(texts[i], format(&address));
  }
}

TEST(format_of_a_zone_is_parsed_back) {
  const char *texts[] = {"fe80::1%" LOOPBACK, "[fe80::1%" LOOPBACK "]:53", "fe80::1%4000000000",
                         "[fe80::1%4000000000]:53"};
  for (size_t i = 0; i < 4; i++) {
    udpr_addr address = addr(texts[i], 0), back = addr(format(&address), 0);
    CHECK(memcmp(&address, &back, sizeof back) == 0);
  }
}

/* IPv6 addresses are formatted as RFC 5952 requires, which inet_ntop does, too. Parsing the text gives the
 * same address.
 */
TEST(format_agrees_with_the_c_library) {
  uint64_t seed = 88172645463325252;
  for (unsigned i = check_rounds(2000, 20000); i > 0; i--) {
    udpr_addr address = {.family = UDPR_AF_INET6};
    char      text[INET6_ADDRSTRLEN];
    for (int j = 0; j < 16; j += 2) {
      seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
      if (j && seed % 3 == 0) continue; /* runs of zeros */
      address.bytes[j] = seed % 5 ? 0 : (uint8_t)(seed >> 8);
      address.bytes[j + 1] = (uint8_t)(seed >> 16);
    }
    address.bytes[0] |= 0x20; /* not in ::/96, which inet_ntop formats as ::1.2.3.4 */
    CHECK(inet_ntop(AF_INET6, address.bytes, text, sizeof text) != NULL);
    CHECK_STR(text, format(&address));
    udpr_addr back = addr(text, 0);
    CHECK(memcmp(&address, &back, sizeof back) == 0);
  }
}

TEST(format_returns_the_needed_length) {
  udpr_addr address = addr("[2001:db8::1]:53", 0);
  size_t    whole = strlen("[2001:db8::1]:53");
  for (size_t capacity = 0; capacity <= whole; capacity++) {
    char   text[32];
    size_t len = 0;
    memset(text, '#', sizeof text);
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_addr_format(&address, text, capacity, &len));
    CHECK_EQ(whole, len);
    for (size_t i = capacity; i < sizeof text; i++) CHECK_EQ('#', text[i]);
  }
  char text[32];
  OK(udpr_addr_format(&address, text, whole + 1, NULL)); /* out_len may be NULL */
  CHECK_STR("[2001:db8::1]:53", text);
}

TEST(the_longest_text_fits) {
  udpr_addr address = {.family = UDPR_AF_INET6, .port = 65535, .scope_id = UINT32_MAX};
  memset(address.bytes, 0xff, 16);
  CHECK(strlen(format(&address)) < UDPR_ADDR_TEXT_MAX);
}

TEST(format_refuses_invalid_addresses) {
  udpr_addr unspec = {0}, wrong = {.family = 99};
  char      text[UDPR_ADDR_TEXT_MAX];
  CHECK(udpr_addr_format(&unspec, text, sizeof text, NULL) < 0);
  CHECK(udpr_addr_format(&wrong, text, sizeof text, NULL) < 0);
}

/* ---- sockaddr ------------------------------------------------------------------------------------------ */

TEST(sockaddr_in_both_ways) {
  struct sockaddr_in in = {.sin_family = AF_INET,
                           .sin_port = htons(53),
                           .sin_addr.s_addr = htonl(0x01020304)},
                     back;
  udpr_addr expected = addr("1.2.3.4:53", 0), out;
  size_t    len = 0;
  OK(udpr_addr_from_sockaddr(&in, sizeof in, &out));
  CHECK(memcmp(&expected, &out, sizeof out) == 0);
  OK(udpr_addr_to_sockaddr(&out, &back, sizeof back, &len));
  CHECK_EQ(sizeof in, len);
  CHECK(memcmp(&in, &back, sizeof in) == 0);
}

TEST(sockaddr_in6_both_ways) {
  struct sockaddr_in6 in = {.sin6_family = AF_INET6,
                            .sin6_port = htons(53),
                            .sin6_scope_id = 2,
                            .sin6_flowinfo = htonl(0x12345)},
                      back;
  udpr_addr expected = addr("[fe80::1%2]:53", 0), out;
  size_t    len = 0;
  CHECK_EQ(1, inet_pton(AF_INET6, "fe80::1", &in.sin6_addr));
  OK(udpr_addr_from_sockaddr(&in, sizeof in, &out));
  CHECK_ADDR(&expected, &out);
  CHECK(out.flow_info != 0);
  OK(udpr_addr_to_sockaddr(&out, &back, sizeof back, &len));
  CHECK_EQ(sizeof in, len);
  CHECK(memcmp(&in, &back, sizeof in) == 0);
}

/* sockaddrs inside messages may have any alignment. */
TEST(sockaddr_in_place) {
  union {
    udpr_addr           address;
    struct sockaddr_in6 sockaddr;
  } both = {.address = addr("[2001:db8::1]:53", 0)};
  const udpr_addr expected = both.address;
  OK(udpr_addr_to_sockaddr(&both.address, &both, sizeof both, NULL));
  CHECK(both.sockaddr.sin6_family == AF_INET6 && both.sockaddr.sin6_port == htons(53));
  OK(udpr_addr_from_sockaddr(&both, sizeof both.sockaddr, &both.address));
  CHECK_ADDR(&expected, &both.address);
}

TEST(sockaddr_at_unaligned_places) {
  char      bytes[sizeof(struct sockaddr_in6) + 1];
  udpr_addr address = addr("[2001:db8::1]:53", 0), back;
  size_t    len = 0;
  OK(udpr_addr_to_sockaddr(&address, bytes + 1, sizeof bytes - 1, &len));
  OK(udpr_addr_from_sockaddr(bytes + 1, len, &back));
  CHECK_ADDR(&address, &back);
}

TEST(sockaddr_refuses) {
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
  struct sockaddr_in  v4 = {.sin_family = AF_INET};
  struct sockaddr_un  local = {.sun_family = AF_UNIX};
  udpr_addr           out, address = addr("1.2.3.4", 0), unspec = {0};
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_addr_from_sockaddr(&v4, sizeof v4 - 1, &out));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_addr_from_sockaddr(&v6, sizeof v4, &out));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_addr_from_sockaddr(&v4, 0, &out));
  CHECK(udpr_addr_from_sockaddr(&local, sizeof local, &out) < 0);
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_addr_to_sockaddr(&address, &v4, sizeof v4 - 1, NULL));
  CHECK(udpr_addr_to_sockaddr(&unspec, &v6, sizeof v6, NULL) < 0);
}

/* ---- comparing and mapping ----------------------------------------------------------------------------- */

TEST(equal_compares_family_port_address_and_scope) {
  udpr_addr one = addr("[fe80::1%2]:53", 0), flow = one;
  flow.flow_info = 5;
  CHECK(udpr_addr_equal(&one, &flow));
  const char *others[] = {"[fe80::1%2]:54", "[fe80::2%2]:53", "[fe80::1%3]:53", "1.2.3.4:53"};
  for (size_t i = 0; i < 4; i++) {
    udpr_addr other = addr(others[i], 0);
    CHECK(!udpr_addr_equal(&one, &other));
  }
  udpr_addr v4 = addr("1.2.3.4", 0), mapped = addr("::ffff:1.2.3.4", 0), any4 = addr("0.0.0.0", 0),
            any6 = addr("::", 0);
  CHECK(!udpr_addr_equal(&v4, &mapped));
  CHECK(!udpr_addr_equal(&any4, &any6));
}

/* Addresses that differ, in the order of udpr_addr_compare: by family, address, scope and port. */
static const char *const ordered[] = {"1.2.3.4",
                                      "1.2.3.4:53",
                                      "1.2.3.5",
                                      "1.2.4.4",
                                      "::",
                                      "::1",
                                      "[::1]:53",
                                      "::1%1",
                                      "::ffff:1.2.3.4",
                                      "[fe80::1%2]:53",
                                      "[fe80::1%2]:54",
                                      "[fe80::1%258]:53",
                                      "[fe80::2%2]:53"};
#define ORDERED_COUNT (sizeof ordered / sizeof *ordered)

TEST(compare_is_an_order_that_agrees_with_equal) {
  for (size_t i = 0; i < ORDERED_COUNT; i++) {
    for (size_t j = 0; j < ORDERED_COUNT; j++) {
      udpr_addr one = addr(ordered[i], 0), other = addr(ordered[j], 0);
      int32_t   order = udpr_addr_compare(&one, &other);
      CHECK_EQ((i > j) - (i < j), (order > 0) - (order < 0));
      CHECK_EQ(udpr_addr_equal(&one, &other), order == 0);
    }
  }
  udpr_addr one = addr("[fe80::1%2]:53", 0), flow = one, none = {0};
  flow.flow_info = 5;
  CHECK_EQ(0, udpr_addr_compare(&one, &flow));
  CHECK(udpr_addr_compare(&none, &one) < 0);
  CHECK(udpr_addr_compare(NULL, &none) < 0);
  CHECK(udpr_addr_compare(&none, NULL) > 0);
  CHECK_EQ(0, udpr_addr_compare(NULL, NULL));
}

TEST(hash_agrees_with_equal) {
  for (uint64_t seed = 0; seed < 3; seed++) {
    for (size_t i = 0; i < ORDERED_COUNT; i++) {
      for (size_t j = 0; j < ORDERED_COUNT; j++) {
        udpr_addr one = addr(ordered[i], 0), other = addr(ordered[j], 0);
        CHECK_EQ(udpr_addr_equal(&one, &other), udpr_addr_hash(&one, seed) == udpr_addr_hash(&other, seed));
      }
    }
  }
  udpr_addr one = addr("1.2.3.4:53", 0), same = one;
  same.flow_info = 5;
  memset(same.bytes + 4, 9, 12); /* no part of an IPv4 address */
  CHECK(udpr_addr_equal(&one, &same));
  CHECK_EQ(udpr_addr_hash(&one, 1), udpr_addr_hash(&same, 1));
  CHECK_EQ(0, udpr_addr_compare(&one, &same));
  CHECK_EQ(0, udpr_addr_hash(NULL, 0));
  CHECK_EQ(0, udpr_addr_hash(NULL, 1));
}

static int compare_numbers(const void *a, const void *b) {
  uint32_t one = *(const uint32_t *)a, other = *(const uint32_t *)b;
  return (one > other) - (one < other);
}

/* Addresses that collide in a table with one seed do not collide in a table with another one, in whichever
 * bits of the hash the table uses.
 */
TEST(addresses_that_collide_do_not_with_another_seed) {
  enum { COUNT = 1 << 14, CHOSEN = 256 };
  for (int shift = 0; shift <= 48; shift += 16) {
    udpr_addr chosen[CHOSEN];
    uint32_t  hashes[CHOSEN];
    int       count = 0, distinct = 1;
    for (uint32_t i = 0; count < CHOSEN && i < 64 * COUNT; i++) {
      udpr_addr one = addr("10.0.0.0", (uint16_t)i);
      one.bytes[3] = (uint8_t)(i >> 16);
      if ((udpr_addr_hash(&one, 1) >> shift) % 1024 == 0) chosen[count++] = one;
    }
    CHECK_EQ(CHOSEN, count);
    for (int i = 0; i < CHOSEN; i++) hashes[i] = (uint32_t)((udpr_addr_hash(&chosen[i], 2) >> shift) % 1024);
    qsort(hashes, CHOSEN, sizeof *hashes, compare_numbers);
    for (int i = 1; i < CHOSEN; i++) distinct += hashes[i] != hashes[i - 1];
    /* 256 in 1024 places: about 226 distinct ones, with a standard deviation of about 5. */
    if (distinct < 190) FAIL("%d places for %d addresses, shift %d", distinct, CHOSEN, shift);
  }
}

TEST(map_and_unmap) {
  udpr_addr v4 = addr("1.2.3.4:53", 0), mapped, back, expected = addr("[::ffff:1.2.3.4]:53", 0);
  OK(udpr_addr_map_v4(&v4, &mapped));
  CHECK_ADDR(&expected, &mapped);
  OK(udpr_addr_unmap_v4(&mapped, &back));
  CHECK(memcmp(&v4, &back, sizeof back) == 0);
  OK(udpr_addr_unmap_v4(&mapped, &mapped)); /* the output may be the input */
  CHECK_ADDR(&v4, &mapped);
  OK(udpr_addr_map_v4(&mapped, &mapped));
  CHECK_ADDR(&expected, &mapped);

  udpr_addr v6 = addr("2001:db8::1", 0), compatible = addr("::1.2.3.4", 0);
  CHECK(udpr_addr_map_v4(&v6, &back) < 0);
  CHECK(udpr_addr_unmap_v4(&v6, &back) < 0);
  CHECK(udpr_addr_unmap_v4(&compatible, &back) < 0);
}

/* ---- interfaces ---------------------------------------------------------------------------------------- */

TEST(interface_by_name_address_and_number) {
  char        number[16];
  const char *texts[] = {LOOPBACK, "127.0.0.1", number, "fe80::1%" LOOPBACK};
  uint32_t    index;
  snprintf(number, sizeof number, "%u", lo());
  for (size_t i = 0; i < 4; i++) {
    index = 0;
    OK(udpr_interface_index(texts[i], &index));
    CHECK_EQ(lo(), index);
  }
  index = 99;
  OK(udpr_interface_index("0.0.0.0", &index));
  CHECK_EQ(0, index);
  index = 99;
  OK(udpr_interface_index("::", &index));
  CHECK_EQ(0, index);
}

TEST(no_such_interface) {
  const char *texts[] = {"nosuch0", "192.0.2.1", "2001:db8::1",
                         "a name that is far too long for an interface"};
  for (size_t i = 0; i < 4; i++) {
    uint32_t index = 99;
    CHECK_STATUS(UDPR_E_NO_INTERFACE, udpr_interface_index(texts[i], &index));
    CHECK_EQ(99, index);
  }
}

CHECK_MAIN()
