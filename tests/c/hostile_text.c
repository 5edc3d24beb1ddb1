/* Names and addresses of every length and with every byte. Each text ends at the end of a page before an
 * inaccessible one, so that an access beyond it is a fault.
 */
#include "fake_dns.h"
#include "lookup.h"

enum { LONGEST = 1025 };

/* ---- the end of a page --------------------------------------------------------------------------------- */

static char *page_end;

static void make_page(void) {
  size_t size = (size_t)sysconf(_SC_PAGESIZE);
  char  *pages = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(pages != MAP_FAILED && size > LONGEST);
  CHECK_EQ(0, mprotect(pages + size, size, PROT_NONE));
  page_end = pages + size;
}

/* Returns `start`, `len` bytes `fill`, and `end`. */
static const char *text_of(size_t len, const char *start, char fill, const char *end) {
  size_t ahead = strlen(start), behind = strlen(end), whole = ahead + len + behind;
  char  *text = page_end - whole - 1;
  memcpy(text, start, ahead);
  memset(text + ahead, fill, len);
  memcpy(text + ahead + len, end, behind + 1);
  return text;
}

/* ---- addresses ----------------------------------------------------------------------------------------- */

static void check_address_refused(const char *text) {
  udpr_addr *out = (udpr_addr *)page_end; /* cannot be written to */
  CHECK_STATUS(UDPR_E_INVALID_ADDRESS, udpr_addr_parse(text, 9, out));
  CHECK_STATUS(UDPR_E_INVALID_ADDRESS, udpr_addr_parse_host(text, 9, out));
}

/* CVE-2016-10196: "[" and what followed it was copied into 128 bytes. */
TEST(brackets_and_repeated_bytes_of_every_length) {
  make_page();
  for (const char *fill = "[]:.%1f0/ \xff"; *fill; fill++) {
    for (size_t len = 0; len <= LONGEST; len++) {
      /* shorter texts may be valid, such as ":1" */
      if (len > 5) check_address_refused(text_of(len, "", *fill, ""));
      check_address_refused(text_of(len, "[", *fill, ""));
      check_address_refused(text_of(len, "[", *fill, "]x"));
      if (len > 39) check_address_refused(text_of(len, "[::", *fill, "]:53"));
    }
  }
}

/* libuv reserved 40 bytes for an address whose zone may be longer. The name of an interface has at most 15
 * bytes.
 */
TEST(zones_of_every_length) {
  make_page();
  for (size_t len = 0; len <= LONGEST; len++) {
    check_address_refused(text_of(len, "fe80::1%", 'z', ""));
    check_address_refused(text_of(len, "[fe80::1%", 'z', "]:53"));
    check_address_refused(text_of(len, "fe80::1%", '%', ""));
    check_address_refused(text_of(len, "fe80::1%", '0', "")); /* 0 is not an interface */
    if (len > 10) check_address_refused(text_of(len, "fe80::1%", '9', ""));
    uint32_t index = 99;
    CHECK_STATUS(UDPR_E_NO_INTERFACE, udpr_interface_index(text_of(len, "z", 'z', ""), &index));
    CHECK_EQ(99, index);
  }
  udpr_addr one = addr(text_of(9, "fe80::1%", '4', ""), 0);
  CHECK_EQ(444444444, one.scope_id);
}

TEST(local_addresses_of_every_length) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_protocol protocol = {.size = sizeof protocol};
  make_page();
  for (size_t len = 1; len <= LONGEST; len++) {
    const char *texts[] = {text_of(len, "", 'a', ""), text_of(len, "127.0.0.1", '1', ".1")};
    for (int i = 0; i < 2; i++)
      CHECK_STATUS(UDPR_E_INVALID_ADDRESS,
                   udpr_reactor_listen_udp(reactor, 0, texts[i], &protocol, NULL, NULL));
  }
  OK(udpr_reactor_free(reactor));
}

TEST(format_writes_up_to_the_capacity) {
  udpr_addr longest = {.family = UDPR_AF_INET6, .port = 65535, .scope_id = UINT32_MAX};
  memset(longest.bytes, 0xff, 16);
  make_page();
  for (size_t capacity = 0; capacity <= UDPR_ADDR_TEXT_MAX; capacity++) {
    size_t      len = 0;
    udpr_status status = udpr_addr_format(&longest, page_end - capacity, capacity, &len);
    CHECK_STATUS(len < capacity ? UDPR_OK : UDPR_E_INVALID_ARGUMENT, status);
    if (capacity) CHECK_EQ(len < capacity ? len : capacity - 1, strlen(page_end - capacity));
  }
}

/* ---- names --------------------------------------------------------------------------------------------- */

static void check_name_refused(udpr_reactor *reactor, const char *name) {
  lookup user = {0};
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_resolve(reactor, name, 0, UDPR_AF_UNSPEC, 0,
                                                             lookup_resolved, &user, count_free, NULL));
  CHECK(user.freed == 1 && user.calls == 0);
}

/* CVE-2024-24806: libuv cut a name at 256 bytes without terminating it, and the rest, "0x..7f000001", became
 * an address.
 */
TEST(names_of_254_bytes_and_more_are_refused) {
  udpr_reactor *reactor = new_lookup_reactor(0);
  make_page();
  for (size_t len = 254; len <= LONGEST; len++) {
    char *name = (char *)text_of(len, "", 'a', "");
    check_name_refused(reactor, name);
    for (size_t i = 63; i + 1 < len; i += 64) name[i] = '.'; /* labels of valid length */
    check_name_refused(reactor, name);
    memset(name, '0', len);
    memcpy(name, "0x", 2);
    memcpy(name + 248, "7f000001", len < 256 ? len - 248 : 8);
    check_name_refused(reactor, name);
  }
  free_lookup_reactor(reactor);
}

static bool is_allowed_in_name(int byte) {
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
         byte == '-' || byte == '_' || byte == '.';
}

/* CVE-2021-22918: libuv read too far when it converted non-ASCII names to Punycode. udpr converts nothing:
 * such a name must be given as xn--..., and is queried as it is.
 */
TEST(names_are_ascii_and_not_converted) {
  static fake_dns server;
  lookup          one;
  enter_dns_namespace("127.0.0.1 localhost\n");
  dns_start(&server);
  udpr_reactor *reactor = new_lookup_reactor(0);
  make_page();
  for (int byte = 1; byte < 256; byte++) {
    if (!is_allowed_in_name(byte)) check_name_refused(reactor, text_of(1, "a", (char)byte, "b.test"));
  }
  CHECK_EQ(0, server.queries);
  lookup_run(UDPR_E_NAME_NOT_FOUND, reactor, "nx.xn--bcher-kva.test", UDPR_AF_INET, &one);
  lookup_run(UDPR_OK, reactor, "ok.xn--bcher-kva.test", UDPR_AF_INET, &one);
  CHECK_EQ(2, server.queries);
  free_lookup_reactor(reactor);
  dns_stop(&server);
  close(server.fd);
}

CHECK_MAIN()
