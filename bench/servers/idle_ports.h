/* idle_ports.h: opens 10,000 ports that receive nothing, and measures the memory that they use. */
#include "server.h"

enum { IDLE_PORTS = 10000 };

static void open_idle_port(void); /* defined by the program */

static long resident_bytes(void) {
  long  pages = 0;
  FILE *statm = fopen("/proc/self/statm", "r");
  require(statm != NULL && fscanf(statm, "%*s %ld", &pages) == 1, "/proc/self/statm");
  fclose(statm);
  return pages * sysconf(_SC_PAGESIZE);
}

/* Opens the ports and prints "bytes_per_port N": by how much the resident set has grown. */
static void open_idle_ports(void) {
  raise_file_limit();
  long before = resident_bytes();
  for (int i = 0; i < IDLE_PORTS; i++) open_idle_port();
  printf("bytes_per_port %ld\n", (resident_bytes() - before) / IDLE_PORTS);
}
