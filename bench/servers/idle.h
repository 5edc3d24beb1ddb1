/* idle.h: 10,000 ports that nobody writes to, and what memory they take. */
#include "../server.h"

enum { IDLE_PORTS = 10000 };

static void idle_listen(void); /* opens one */

static long resident_bytes(void) {
  long  pages = 0;
  FILE *statm = fopen("/proc/self/statm", "r");
  require(statm != NULL && fscanf(statm, "%*s %ld", &pages) == 1, "/proc/self/statm");
  fclose(statm);
  return pages * sysconf(_SC_PAGESIZE);
}

/* Opens them and says how much the process has grown: "bytes_per_port N". */
static void open_idle_ports(void) {
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  long before = resident_bytes();
  for (int i = 0; i < IDLE_PORTS; i++) idle_listen();
  printf("bytes_per_port %ld\n", (resident_bytes() - before) / IDLE_PORTS);
}
