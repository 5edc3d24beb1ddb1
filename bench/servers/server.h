/* server.h: the common part of the servers, which differ only in how they receive and send.
 *
 *     SERVER PORT [REPLIES]
 *
 * Each datagram is sent back REPLIES times: 1 (the default) is an echo, 0 a sink, more a source. With PORT 0 the
 * kernel chooses the port. The first line of output is "listening on 0.0.0.0:PORT". SIGTERM makes the server print
 * "served N cpu_ns N" and end: the number of datagrams received, and the CPU time, user and system, since the first
 * line.
 */
#ifndef UDPR_BENCH_SERVER_H
#define UDPR_BENCH_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static volatile uint64_t served;
static unsigned          replies = 1;
static long long         cpu_when_ready;

static inline void require(int holds, const char *what) {
  if (holds) return;
  perror(what);
  exit(EXIT_FAILURE);
}

static inline long long cpu_ns(void) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000000LL +
         (used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1000LL;
}

/* Parses the command line and returns the port. */
static inline uint16_t server_arguments(int argc, char **argv) {
  if (argc < 2 || argc > 3) fprintf(stderr, "usage: %s PORT [REPLIES]\n", argv[0]), exit(2);
  if (argc == 3) replies = (unsigned)strtoul(argv[2], NULL, 10);
  return (uint16_t)strtoul(argv[1], NULL, 10);
}

static inline struct sockaddr_in any_address(uint16_t port) {
  struct sockaddr_in address;
  memset(&address, 0, sizeof address);
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  return address;
}

static inline int bound_socket(uint16_t port) {
  struct sockaddr_in address = any_address(port);
  int                fd = socket(AF_INET, SOCK_DGRAM, 0);
  require(fd >= 0, "socket");
  require(bind(fd, (struct sockaddr *)&address, sizeof address) == 0, "bind");
  return fd;
}

/* Runs in the signal handler, so that every event loop stops in the same way and at no cost. */
static inline void server_report(int number) {
  (void)number;
  char line[96];
  int  len = snprintf(line, sizeof line, "served %llu cpu_ns %lld\n", (unsigned long long)served,
                      cpu_ns() - cpu_when_ready);
  _exit(write(STDOUT_FILENO, line, (size_t)len) == len ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* Makes the receive buffer as large as the system allows, so that no datagram in flight is dropped. */
static inline void set_receive_buffer(int fd) {
  int bytes = 4 << 20;
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0)
    require(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes) == 0, "SO_RCVBUF");
}

static inline void raise_file_limit(void) {
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

static inline void server_ready(int fd) {
  struct sockaddr_in address;
  socklen_t          len = sizeof address;
  set_receive_buffer(fd);
  require(getsockname(fd, (struct sockaddr *)&address, &len) == 0, "getsockname");
  signal(SIGTERM, server_report);
  printf("listening on 0.0.0.0:%d\n", ntohs(address.sin_port));
  fflush(stdout);
  cpu_when_ready = cpu_ns();
}

#endif
