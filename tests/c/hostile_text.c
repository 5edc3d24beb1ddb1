/* Texts from strangers: names and addresses of every length, and every byte. Each ends where its page does, so that reading
 * or writing one byte too many is a fault of the processor.
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

/* `len` bytes, all of them `fill`, but for `start` before them and `end` behind. */
static const char *text_of(size_t len, const char *start, char fill, const char *end) {
  size_t ahead = strlen(start), behind = strlen(end), whole = ahead + len + behind;
  char  *text = page_end - whole - 1;
  memcpy(text, start, ahead);
  memset(text + ahead, fill, len);
  memcpy(text + ahead + len, end, behind + 1);
  return text;
}

/* ---- addresses ----------------------------------------------------------------------------------------- */

static void refused_address(const char *text) {
  udpr_addr *out = (udpr_addr *)page_end; /* nothing can be written there */
  CHECK_STATUS(UDPR_E_INVALID_ADDRESS, udpr_addr_parse(text, 9, out));
  CHECK_STATUS(UDPR_E_INVALID_ADDRESS, udpr_addr_parse_host(text, 9, out));
}

/* CVE-2016-10196: "[" and what follows it was copied into 128 bytes. */
TEST(brackets_and_repeated_bytes_of_every_length) {
  make_page();
  for (const char *fill = "[]:.%1f0/ \xff"; *fill; fill++) {
    for (size_t len = 0; len <= LONGEST; len++) {
      if (len > 5) refused_address(text_of(len, "", *fill, "")); /* less may be ":1" and the like */
      refused_address(text_of(len, "[", *fill, ""));
      refused_address(text_of(len, "[", *fill, "]x"));
      if (len > 39) refused_address(text_of(len, "[::", *fill, "]:53"));
    }
  }
}

/* libuv took 40 bytes for an address whose zone may be longer; an interface's name has 15 bytes at most. */
TEST(zones_of_every_length) {
  make_page();
  for (size_t len = 0; len <= LONGEST; len++) {
    refused_address(text_of(len, "fe80::1%", 'z', ""));
    refused_address(text_of(len, "[fe80::1%", 'z', "]:53"));
    refused_address(text_of(len, "fe80::1%", '%', ""));
    refused_address(text_of(len, "fe80::1%", '0', "")); /* 0 is no interface */
    if (len > 10) refused_address(text_of(len, "fe80::1%", '9', ""));
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

TEST(an_address_is_written_up_to_its_capacity) {
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

static void refused_name(udpr_reactor *reactor, const char *name) {
  lookup user = {0};
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_resolve(reactor, name, 0, UDPR_AF_UNSPEC, 0,
                                                             lookup_resolved, &user, count_free, NULL));
  CHECK(user.freed == 1 && user.calls == 0);
}

/* CVE-2024-24806: at 256 bytes libuv cut a name without its end, and "0x..7f000001" was an address then. */
TEST(names_of_254_bytes_and_more_are_refused) {
  udpr_reactor *reactor = new_lookup_reactor(0);
  make_page();
  for (size_t len = 254; len <= LONGEST; len++) {
    char *name = (char *)text_of(len, "", 'a', "");
    refused_name(reactor, name);
    for (size_t i = 63; i + 1 < len; i += 64) name[i] = '.'; /* labels that fit */
    refused_name(reactor, name);
    memset(name, '0', len);
    memcpy(name, "0x", 2);
    memcpy(name + 248, "7f000001", len < 256 ? len - 248 : 8);
    refused_name(reactor, name);
  }
  free_lookup_reactor(reactor);
}

static bool may_be_in_a_name(int byte) {
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
         byte == '-' || byte == '_' || byte == '.';
}

/* CVE-2021-22918: libuv turned what is not ASCII into Punycode, and read too far. Here nobody turns it into anything: who
 * has such a name gives it as xn--..., which is asked for as it is.
 */
TEST(a_name_is_ascii_and_is_asked_for_as_it_is) {
  static fake_dns server;
  lookup          one;
  enter_dns_namespace("127.0.0.1 localhost\n");
  dns_start(&server);
  udpr_reactor *reactor = new_lookup_reactor(0);
  make_page();
  for (int byte = 1; byte < 256; byte++) {
    if (!may_be_in_a_name(byte)) refused_name(reactor, text_of(1, "a", (char)byte, "b.test"));
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
