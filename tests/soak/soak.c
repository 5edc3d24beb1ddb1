/* The soak test: every kind of load at the same time on one reactor, in rounds. After each round, all counts have to add up,
 * every `user` was freed once, the reactor is empty, and descriptors and memory are as after the first round. See
 * scripts/soak.
 */
#include "../c/fake_dns.h"

#include <dlfcn.h>
#include <malloc.h>

#include "connected.h"
#include "disturbances.h"
#include "echo.h"
#include "groups.h"
#include "lookups.h"
#include "notices.h"
#include "ports.h"
#include "threads.h"
#include "timers.h"

static const load *const loads[] = {&echo_load,    &connected_load, &reports_load, &groups_load,
                                    &timers_load,  &threads_load,   &lookups_load, &ports_load,
                                    &watches_load, &notices_load,   &signals_load, &firewall_load};
enum { LOADS = sizeof loads / sizeof *loads };

/* In bytes. A reactor's lists grow with the largest turn, which differs between rounds. After all reactors are freed, only
 * memory of the C library is left: a leak of 16 bytes per port exceeds that in ten seconds. malloc's caches for each thread
 * count as in use and are turned off (GLIBC_TUNABLES=glibc.malloc.tcache_count=0).
 */
enum { MAX_GROWTH = 512 * 1024, MAX_LEFT = 128 * 1024, MAX_RESIDENT_GROWTH = 8 * 1024 * 1024 };

typedef struct usage {
  long   descriptors;
  size_t heap, rss; /* bytes */
} usage;

static usage usage_now(void) {
  struct mallinfo2 info = mallinfo2();
  unsigned long    pages = 0;
  FILE            *file = fopen("/proc/self/statm", "re");
  CHECK(file && fscanf(file, "%*u %lu", &pages) == 1);
  fclose(file);
  return (usage){check_count_descriptors(), info.uordblks + info.hblkhd,
                 pages * (size_t)sysconf(_SC_PAGESIZE)};
}

static unsigned long long (*count_faults)(void); /* NULL without fault injection */

static void show(const char *what, udpr_ns began) {
  usage now = usage_now();
  printf("# %5.0f s  %s:", (double)(monotonic_ns() - began) / 1e9, what);
  for (int i = 0; i < LOADS; i++) printf(" %llu %s,", (unsigned long long)*loads[i]->done, loads[i]->unit);
  printf(" %llu faults; %ld descriptors, %zu KiB in use, %zu KiB resident\n",
         soak.faults ? count_faults() : 0, now.descriptors, now.heap / 1024, now.rss / 1024);
  fflush(stdout);
}

/* ---- a round ------------------------------------------------------------------------------------------- */

static void tick(udpr_reactor *reactor, void *user) {
  soak.ticks++;
  for (int i = 0; i < LOADS; i++) loads[i]->tick();
  OK(udpr_reactor_call_later(reactor, MS(1), tick, user, NULL, (udpr_id *)user));
}

static void settle(const load *one) {
  udpr_ns end = monotonic_ns() + CHECK_TIMEOUT;
  while (!one->settled()) {
    if (monotonic_ns() > end) FAIL("the counts of \"%s\" do not add up", one->unit);
    OK_OR_INJECTED(udpr_reactor_iterate(soak.reactor, (int64_t)MS(5)));
  }
}

static void round_run(udpr_ns began, udpr_ns end, udpr_ns show_every) {
  udpr_id ticker = 0;
  udpr_ns next = monotonic_ns() + show_every;
  soak.ending = false, soak.ticks = 0;
  for (int i = 0; i < LOADS; i++) loads[i]->begin();
  tick(soak.reactor, &ticker);
  for (udpr_ns now; (now = monotonic_ns()) < end;) {
    echo_gather();
    OK_OR_INJECTED(udpr_reactor_iterate(soak.reactor, (int64_t)MS(20)));
    if (now >= next) show("at work", began), next = now + show_every;
  }
  soak.ending = true;
  for (int i = 0; i < LOADS; i++) settle(loads[i]);
  OK(udpr_reactor_cancel_call(soak.reactor, ticker));
  for (int i = 0; i < LOADS; i++) loads[i]->end();
}

/* Nothing of the round is left in the reactor. */
static void check_empty(void) {
  udpr_reactor_stats stats = {.size = sizeof stats};
  run_turns(soak.reactor, 2);
  OK(udpr_reactor_get_stats(soak.reactor, &stats));
  CHECK_EQ(0, stats.transports);
  CHECK_EQ(0, stats.timers_pending);
  CHECK_EQ(registrations_made, registrations_freed);
  malloc_trim(0);
}

static void check_same(const usage *before, size_t bound) {
  usage now = usage_now();
  CHECK_EQ(before->descriptors, now.descriptors);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* whose own memory would count */
  if (now.heap > before->heap + bound) FAIL("%zu bytes of memory in use, before %zu", now.heap, before->heap);
  if (now.rss > before->rss + MAX_RESIDENT_GROWTH)
    FAIL("%zu bytes resident, before %zu", now.rss, before->rss);
#endif
}

static unsigned number_of(const char *name, unsigned otherwise) {
  const char *text = getenv(name);
  return text && *text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static void rounds_run(udpr_ns began, unsigned seconds, unsigned rounds) {
  udpr_ns show_every = seconds < 120 ? SECONDS(3) : SECONDS(10);
  usage   first = {0};
  for (unsigned i = 1; i <= rounds; i++) {
    char what[64];
    round_run(began, began + SECONDS(seconds) / rounds * i, show_every);
    check_empty();
    snprintf(what, sizeof what, "after round %u of %u", i, rounds);
    show(what, began);
    if (i == 1) first = usage_now();
    check_same(&first, MAX_GROWTH);
  }
}

TEST(everything_at_once) {
  static fake_dns dns;
  unsigned        seconds = number_of("UDPR_SOAK_SECONDS", 12);
  unsigned        seed = number_of("UDPR_SOAK_SEED", (unsigned)time(NULL));
  void           *symbol = dlsym(RTLD_DEFAULT, "soak_faults");
  udpr_ns         began = monotonic_ns();
  memcpy(&count_faults, &symbol, sizeof symbol);
  soak.random = seed + UINT64_C(0x9e3779b97f4a7c15);
  printf("# %u s, seed %u%s\n", seconds, seed, count_faults ? ", with faults" : "");
  fflush(stdout);
  enter_dns_namespace(HOSTS);
  dns_start(&dns);
  usage before = usage_now();
  show("before there is a reactor", began);

  servers_start();
  soak.reactor = reactor_with_buffers(0);
  soak.faults = count_faults && count_faults() == 0; /* the first call begins the injection */
  if (soak.faults) firewall_start();
  rounds_run(began, seconds, seconds < 120 ? 4 : seconds / 30);
  OK(udpr_reactor_free(soak.reactor));
  servers_stop();

  malloc_trim(0);
  show("when all reactors are free", began);
  check_same(&before, MAX_LEFT);
  dns_stop(&dns);
  close(dns.fd);
}

CHECK_MAIN()
