/* load: asks a server and waits for its answers, so that so many datagrams are always under way.
 *
 *     load PORT [-a ADDRESS] [-n CLIENTS] [-k IN_FLIGHT] [-s SIZE] [-g] [-r ANSWERS] [-t SECONDS] [-c COUNT]
 *
 *   -a  the server's IPv4 address (127.0.0.1)         -r  answers the server gives to each datagram (1);
 *   -n  clients, each on a socket of its own (1)          0: it is a sink, and is sent all that goes
 *   -k  answers each client waits for (1)             -t  seconds to run (1); the first tenth is not measured
 *   -s  bytes a datagram (64), 4 at least             -c  answers to wait for instead, for SECONDS at most
 *   -g  send with GSO, receive with GRO
 *
 * At the end it prints "sent N received N lost N seconds N rate N p50_ns N p99_ns N". The percentiles are of round
 * trips, which are timed with one client and one datagram under way. Each datagram begins with the epoch of its
 * client. A client that has heard nothing for 200 ms counts what it waits for as lost and begins a new epoch, in
 * which answers of the former one do not count.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, SEGMENTS_MOST = 64, BYTES_MOST = 65507, ROUND_TRIPS_MOST = 1 << 20 };

static const uint64_t SECOND = 1000000000, PATIENCE = 200000000; /* ns */

typedef struct client {
  int      fd;
  uint32_t epoch;
  unsigned due;            /* answers it waits for */
  uint64_t received, seen; /* answers it got, and had got when patience was last tried */
  uint64_t asked_at;
} client;

/* What the command line says. */
static const char *address = "127.0.0.1";
static unsigned    port, clients_count = 1, in_flight = 1, size = 64, answers = 1;
static int         offload;
static double      seconds = 1;
static uint64_t    count_wanted;

static client  *clients;
static unsigned burst; /* datagrams a system call sends at most; with GSO that many or none */
static uint64_t sent, received, lost;
static uint64_t trips;
static uint32_t trip_ns[ROUND_TRIPS_MOST];

static void require(int holds, const char *what) {
  if (holds) return;
  perror(what);
  exit(EXIT_FAILURE);
}

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

/* ---- sending ------------------------------------------------------------------------------------------- */

/* One datagram a message. All messages are the same one. */
static unsigned send_singly(const client *asker, char *data, unsigned count) {
  struct iovec   piece = {.iov_base = data, .iov_len = size};
  struct mmsghdr messages[BATCH];
  for (unsigned i = 0; i < count; i++)
    messages[i].msg_hdr = (struct msghdr){.msg_iov = &piece, .msg_iovlen = 1};
  int n = sendmmsg(asker->fd, messages, count, 0);
  return n > 0 ? (unsigned)n : 0;
}

static unsigned send_gso(const client *asker, char *data, unsigned count) {
  struct iovec    pieces[SEGMENTS_MOST];
  char            control[CMSG_SPACE(sizeof(uint16_t))] __attribute__((aligned(8))) = {0};
  struct msghdr   message = {.msg_iov = pieces,
                             .msg_iovlen = count,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  uint16_t        segment = (uint16_t)size;
  *header =
      (struct cmsghdr){.cmsg_level = SOL_UDP, .cmsg_type = UDP_SEGMENT, .cmsg_len = CMSG_LEN(sizeof segment)};
  memcpy(CMSG_DATA(header), &segment, sizeof segment);
  for (unsigned i = 0; i < count; i++) pieces[i] = (struct iovec){.iov_base = data, .iov_len = size};
  return sendmsg(asker->fd, &message, 0) > 0 ? count : 0;
}

static unsigned send_burst(const client *asker, unsigned count) {
  static char data[BYTES_MOST];
  memcpy(data, &asker->epoch, sizeof asker->epoch);
  unsigned n = offload ? send_gso(asker, data, count) : send_singly(asker, data, count);
  sent += n;
  return n;
}

/* Asks until as many answers are due as may be. */
static void ask(client *asker) {
  for (;;) {
    unsigned wanted = (in_flight - asker->due) / answers;
    unsigned count = wanted < burst ? wanted : burst;
    if (count == 0 || (offload && count < burst)) return;
    if (in_flight == 1) asker->asked_at = now();
    unsigned n = send_burst(asker, count);
    asker->due += n * answers;
    if (n < count) return; /* patience will run out, and it asks again */
  }
}

/* ---- receiving ----------------------------------------------------------------------------------------- */

/* How many datagrams GRO has merged into this message. */
static unsigned datagrams_in(const struct mmsghdr *message) {
  const struct cmsghdr *header = CMSG_FIRSTHDR(&message->msg_hdr);
  unsigned              segment;
  if (header == NULL || header->cmsg_type != UDP_GRO) return 1;
  memcpy(&segment, CMSG_DATA(header), sizeof segment);
  return (message->msg_len + segment - 1) / segment;
}

static int receive_batch(int fd, struct mmsghdr *messages, struct iovec *pieces) {
  static char data[BATCH][65536 + 64], controls[BATCH][CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
  for (int i = 0; i < BATCH; i++) {
    pieces[i] = (struct iovec){.iov_base = data[i], .iov_len = sizeof data[i]};
    messages[i].msg_hdr = (struct msghdr){.msg_iov = &pieces[i],
                                          .msg_iovlen = 1,
                                          .msg_control = offload ? controls[i] : NULL,
                                          .msg_controllen = offload ? sizeof controls[i] : 0};
  }
  return recvmmsg(fd, messages, clients_count > 1 && in_flight < BATCH ? in_flight : BATCH, MSG_DONTWAIT,
                  NULL);
}

static void take_answers(client *asker) {
  struct mmsghdr messages[BATCH];
  struct iovec   pieces[BATCH];
  int            n = receive_batch(asker->fd, messages, pieces);
  for (int i = 0; i < n; i++) {
    unsigned count = datagrams_in(&messages[i]);
    if (memcmp(pieces[i].iov_base, &asker->epoch, sizeof asker->epoch) != 0) continue;
    asker->due -= count < asker->due ? count : asker->due;
    asker->received += count;
    received += count;
  }
  if (n > 0 && in_flight == 1 && trips < ROUND_TRIPS_MOST)
    trip_ns[trips++] = (uint32_t)(now() - asker->asked_at);
  ask(asker);
}

static void try_patience(void) {
  for (client *asker = clients; asker < clients + clients_count; asker++) {
    if (asker->due > 0 && asker->received == asker->seen) {
      lost += asker->due;
      asker->due = 0;
      asker->epoch++;
      ask(asker);
    }
    asker->seen = asker->received;
  }
}

/* ---- running ------------------------------------------------------------------------------------------- */

static void open_clients(int epoll) {
  struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  require(inet_pton(AF_INET, address, &server.sin_addr) == 1, address);
  clients = calloc(clients_count, sizeof *clients);
  for (unsigned i = 0; i < clients_count; i++) {
    int                on = 1, room = 4 << 20, fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &clients[i]};
    require(fd >= 0, "socket");
    require(connect(fd, (struct sockaddr *)&server, sizeof server) == 0, "connect");
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) != 0)
      setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (offload) require(setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof on) == 0, "UDP_GRO");
    require(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "EPOLL_CTL_ADD");
    clients[i].fd = fd;
  }
}

/* Runs until `end`, or until `wanted` answers have come. */
static void converse(int epoll, uint64_t end, uint64_t wanted) {
  struct epoll_event events[256];
  for (uint64_t patience_ends = now() + PATIENCE;;) {
    int      n = epoll_wait(epoll, events, 256, 10);
    uint64_t time = now();
    for (int i = 0; i < n; i++) take_answers(events[i].data.ptr);
    if (time >= patience_ends) try_patience(), patience_ends = time + PATIENCE;
    if (time >= end || received >= wanted) return;
  }
}

static void flood(uint64_t end) {
  while (now() < end)
    for (unsigned i = 0; i < clients_count; i++) send_burst(&clients[i], burst);
}

static int by_size(const void *a, const void *b) {
  uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
  return (left > right) - (left < right);
}

static unsigned long long percentile(unsigned percent) {
  return trips == 0 ? 0 : trip_ns[(trips - 1) * percent / 100];
}

static void report(uint64_t start, uint64_t measured_from, uint64_t received_before) {
  double whole = (double)(now() - start) / 1e9, measured = (double)(now() - measured_from) / 1e9;
  qsort(trip_ns, trips, sizeof *trip_ns, by_size);
  printf("sent %llu received %llu lost %llu seconds %.6f rate %.0f p50_ns %llu p99_ns %llu\n",
         (unsigned long long)sent, (unsigned long long)received, (unsigned long long)lost, whole,
         (double)(received - received_before) / measured, percentile(50), percentile(99));
}

static void read_command_line(int argc, char **argv) {
  int option;
  while ((option = getopt(argc, argv, "a:n:k:s:gr:t:c:")) != -1) {
    switch (option) {
    case 'a': address = optarg; break;
    case 'n': clients_count = (unsigned)atoi(optarg); break;
    case 'k': in_flight = (unsigned)atoi(optarg); break;
    case 's': size = (unsigned)atoi(optarg); break;
    case 'g': offload = 1; break;
    case 'r': answers = (unsigned)atoi(optarg); break;
    case 't': seconds = atof(optarg); break;
    case 'c': count_wanted = (uint64_t)atoll(optarg); break;
    default: exit(2);
    }
  }
  if (optind + 1 != argc || clients_count == 0 || in_flight < answers || in_flight == 0 || size < 4 ||
      size > BYTES_MOST)
    fprintf(stderr, "usage: load PORT [OPTION...], see load.c\n"), exit(2);
  port = (unsigned)atoi(argv[optind]);
  burst = answers == 0 ? BATCH : in_flight / answers < BATCH ? in_flight / answers : BATCH;
  if (offload && burst > BYTES_MOST / size) burst = BYTES_MOST / size;
}

int main(int argc, char **argv) {
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);

  read_command_line(argc, argv);
  int epoll = epoll_create1(0);
  open_clients(epoll);
  uint64_t start = now(), end = start + (uint64_t)(seconds * 1e9), measured_from = start, before = 0;
  if (answers == 0) return flood(end), report(start, start, 0), EXIT_SUCCESS;

  for (unsigned i = 0; i < clients_count; i++) ask(&clients[i]);
  if (count_wanted == 0) {
    converse(epoll, start + (end - start) / 10, UINT64_MAX);
    measured_from = now(), before = received, trips = 0;
    converse(epoll, end, UINT64_MAX);
  } else {
    converse(epoll, end, count_wanted);
  }
  report(start, measured_from, before);
  return received >= count_wanted ? EXIT_SUCCESS : EXIT_FAILURE;
}
