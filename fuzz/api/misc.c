/* misc.c: operations on addresses, statuses, interfaces, loggers and statistics. */
#include "fuzz.h"

#include <netinet/in.h>

static void op_library(void) {
  udpr_status status =
      PICK(0, 1, -1, -36, -37, UDPR_E_SYSTEM, SYSTEM(EIO), INT32_MIN, INT32_MAX, (int32_t)random_u64());
  ASSERT(CALL_VALUE(uint32_t, NULL, udpr_version) == UDPR_VERSION);
  ASSERT(strlen(CALL_VALUE(const char *, NULL, udpr_version_string)) >= 5);
  ASSERT(strncmp(CALL_VALUE(const char *, NULL, udpr_status_name, status), "UDPR_", 5) == 0);
  ASSERT(strlen(CALL_VALUE(const char *, NULL, udpr_status_message, status)) > 0);
  int32_t number = CALL_VALUE(int32_t, NULL, udpr_status_errno, status);
  int32_t nearest = CALL_VALUE(int32_t, NULL, udpr_status_nearest_errno, status);
  ASSERT(number >= 0 && (number == 0 || nearest == number) && (nearest == 0) == (status >= 0));
  udpr_bool there =
      CALL_VALUE(udpr_bool, NULL, udpr_has_feature, PICK("gso", "gro", "recvmmsg", "nosuch", "", NULL));
  ASSERT(there == 0 || there == 1);
}

static void op_addr(void) {
  const char *text = PICK("1.2.3.4", "1.2.3.4:5", "::1", "[::1]:5", "fe80::1%lo", "::ffff:1.2.3.4",
                          "localhost", "", "1.2.3", "[::1]");
  udpr_addr   addr, other;
  char        buffer[UDPR_ADDR_TEXT_MAX], sockaddr[32];
  size_t      capacity = below(sizeof buffer + 1), len = 0;
  CALL(NULL, udpr_addr_parse, text, 7, &addr);
  bool parsed = EXPECT(UDPR_OK, UDPR_E_INVALID_ADDRESS);
  CALL(NULL, udpr_addr_parse_host, text, 7, &other);
  bool bare = EXPECT(UDPR_OK, UDPR_E_INVALID_ADDRESS);
  if (bare) ASSERT(parsed && CALL_VALUE(udpr_bool, NULL, udpr_addr_equal, &addr, &other));
  if (!parsed) return;
  uint64_t seed = random_u64();
  if (bare) {
    ASSERT(CALL_VALUE(int32_t, NULL, udpr_addr_compare, &addr, &other) == 0);
    ASSERT(CALL_VALUE(uint64_t, NULL, udpr_addr_hash, &addr, seed) == udpr_addr_hash(&other, seed));
  }
  CALL(NULL, udpr_addr_format, &addr, capacity ? buffer : NULL, capacity, &len);
  if (len < capacity) EXPECT(UDPR_OK);
  else EXPECT(UDPR_E_INVALID_ARGUMENT);
  capacity = below(sizeof sockaddr + 1);
  CALL(NULL, udpr_addr_to_sockaddr, &addr, sockaddr, capacity, &len);
  if (EXPECT(len <= capacity ? UDPR_OK : UDPR_E_INVALID_ARGUMENT)) {
    CALL(NULL, udpr_addr_from_sockaddr, sockaddr, len, &other);
    if (EXPECT(UDPR_OK)) ASSERT(udpr_addr_equal(&addr, &other));
  }
  CALL(NULL, udpr_addr_map_v4, &addr, &other);
  EXPECT(addr.family == UDPR_AF_INET ? UDPR_OK : UDPR_E_ADDRESS_FAMILY);
  CALL(NULL, udpr_addr_unmap_v4, &addr, &other);
  EXPECT(UDPR_E_ADDRESS_FAMILY, addr.family == UDPR_AF_INET6 ? UDPR_OK : UDPR_E_ADDRESS_FAMILY);
}

static void op_interface(void) {
  uint32_t    index = 77;
  const char *name = PICK("lo", "1", "127.0.0.1", "0.0.0.0", "nosuch0", "99", "fe80::1%lo");
  CALL(NULL, udpr_interface_index, name, &index);
  if (EXPECT(UDPR_OK, UDPR_E_NO_INTERFACE)) ASSERT(index <= 1);
  udpr_interface list[3] = {{.size = PICK(sizeof *list, sizeof *list, (size_t)0, sizeof *list - 1)}};
  size_t         capacity = below(4), count = 77;
  bool           valid = capacity == 0 || list[0].size == sizeof *list;
  CALL(NULL, udpr_interfaces, capacity ? list : NULL, capacity, &count);
  if (EXPECT(valid ? UDPR_OK : UDPR_E_INVALID_ARGUMENT, UDPR_E_NO_MEMORY, SYSTEM(EIO)) && valid && capacity)
    ASSERT(count > 0 && list[0].index > 0 && list[0].name[0] != 0);
}

static void op_logger(void) {
  loop *loop = any_loop();
  if (!loop) return;
  registration *reg = new_registration(LOGGER, loop), *former = loop->logger;
  uint32_t      level = one_in(16) ? 5 : one_in(2) ? UDPR_LOG_DEBUG : below(5);
  bool          none = one_in(4), mine = may_enter(loop);
  reg->event = level;
  bool takes = level <= 4 && mine && !loop->closing;
  if (takes) loop->logger = none ? NULL : reg;
  CALL(loop, udpr_reactor_set_logger, loop->reactor, level, none ? NULL : on_log, reg, free_fn(reg));
  EXPECT(level > 4 ? UDPR_E_INVALID_ARGUMENT : UDPR_OK);
  if (call_status() != UDPR_OK || none) check_rejected(reg);
  if (call_status() == UDPR_OK && former && atomic_load(&former->busy) == 0 && takes) must_be_freed(former);
}

static void op_stats(void) {
  loop *loop = any_loop();
  if (!loop) return;
  struct {
    udpr_reactor_stats stats;
    uint64_t           unknown;
  } newer = {.stats.size = one_in(2) ? sizeof newer : sizeof newer.stats, .unknown = 7};
  CALL(loop, udpr_reactor_get_stats, loop->reactor, &newer.stats);
  if (!EXPECT(UDPR_OK)) return;
  ASSERT(newer.unknown == (newer.stats.size == sizeof newer ? 0 : 7));
  uint64_t ports = 0;
  for (int i = 0; i < PORTS; i++) {
    const port *port = &model.ports[i];
    ports += port->loop == loop && port->state != ABSENT && port->state != GONE && port->state != STARTING;
  }
  if (newer.stats.transports != ports && !loop->closing)
    FAIL("%d ports, not %d", (int)newer.stats.transports, (int)ports);
}

const operation misc_operations[] = {{op_library, 1}, {op_addr, 1},  {op_interface, 1},
                                     {op_logger, 3},  {op_stats, 2}, {NULL, 0}};
