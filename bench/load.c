/* load: the load generator. It keeps a fixed number of datagrams in flight between its clients and a server.
 *
 *     load PORT [-a ADDRESS] [-n CLIENTS] [-k WINDOW] [-s SIZE] [-g] [-b] [-A SENDERS] [-P SERVERS]
 *          [-r REPLIES] [-t SECONDS] [-c COUNT]
 *
 *   -a  the server's IPv4 address (127.0.0.1)         -r  replies that the server sends to each datagram (1);
 *   -n  clients, each with a socket of its own (1)        0: none, and the clients send as fast as they can
 *   -k  replies that each client waits for (1)        -t  seconds to run (1); the first tenth is not measured
 *   -s  bytes of a datagram (64), at least 4          -c  run until COUNT replies were received, at most SECONDS
 *   -g  send with GSO, receive with GRO
 *   -b  poll for replies instead of waiting for them, so that round trips do not include the time to wake this program
 *   -A  send in turn from this many addresses, 127.1.0.0 and those after it (not with -g)
 *   -P  send in turn to this many addresses, the server's and those after it (not with -g)
 *
 * At the end it prints "sent N received N lost N seconds N rate N p50_ns N p99_ns N". The percentiles are of round
 * trips, which are measured with one client and one datagram in flight. Each datagram begins with the epoch of its
 * client. A client that has received nothing for 200 ms counts the outstanding replies as lost and begins a new epoch.
 * Replies of earlier epochs are ignored.
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

enum { BATCH = 64, MAX_SEGMENTS = 64, MAX_BYTES = 65507, MAX_ROUND_TRIPS = 1 << 20 };

static const uint64_t SECOND = 1000000000, LOSS_TIMEOUT = 200000000; /* ns */

struct client {
  int      fd;
  uint32_t epoch;
  unsigned outstanding;                 /* replies that it waits for */
  uint64_t received, received_at_check; /* replies, in all and when timeouts were last checked */
  uint64_t sent_at;
};

/* The command line. */
static const char *address = "127.0.0.1";
static unsigned    port, client_count = 1, window = 1, size = 64, replies = 1;
static unsigned    senders, servers; /* 0: the client's socket is connected to the server */
static int         offload, busy;
static double      seconds = 1;
static uint64_t    replies_wanted;

static const uint32_t     FIRST_SENDER = 0x7f010000;
static struct sockaddr_in server;
static struct client     *clients;
static unsigned
    burst; /* the most datagrams that one system call sends; with GSO it sends exactly that many */
static uint64_t sent, received, lost;
static uint64_t round_trips;
static uint32_t round_trip_ns[MAX_ROUND_TRIPS];

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

/* Gives each message the next sender and the next server. */
static void address_messages(struct mmsghdr *messages, unsigned count) {
  static struct sockaddr_in names[BATCH];
  static char     controls[BATCH][CMSG_SPACE(sizeof(struct in_pktinfo))] __attribute__((aligned(8)));
  static unsigned sender, receiver;
  for (unsigned i = 0; i < count; i++) {
    struct msghdr    *message = &messages[i].msg_hdr;
    struct in_pktinfo info = {.ipi_spec_dst.s_addr = htonl(FIRST_SENDER + sender)};
    names[i] = server;
    names[i].sin_addr.s_addr = htonl(ntohl(server.sin_addr.s_addr) + receiver);
    message->msg_name = &names[i], message->msg_namelen = sizeof names[i];
    message->msg_control = controls[i], message->msg_controllen = sizeof controls[i];
    *CMSG_FIRSTHDR(message) = (struct cmsghdr){.cmsg_level = IPPROTO_IP,
                                               .cmsg_type = IP_PKTINFO,
                                               .cmsg_len = CMSG_LEN(sizeof info)};
    memcpy(CMSG_DATA(CMSG_FIRSTHDR(message)), &info, sizeof info);
    sender = (sender + 1) % senders, receiver = (receiver + 1) % servers;
  }
}

/* One datagram in each message. All messages have the same contents. */
static unsigned send_singly(const struct client *client, char *data, unsigned count) {
  struct iovec   iovec = {.iov_base = data, .iov_len = size};
  struct mmsghdr messages[BATCH];
  for (unsigned i = 0; i < count; i++)
    messages[i].msg_hdr = (struct msghdr){.msg_iov = &iovec, .msg_iovlen = 1};
  if (senders > 0) address_messages(messages, count);
  int n = sendmmsg(client->fd, messages, count, 0);
  return n > 0 ? (unsigned)n : 0;
}

static unsigned send_gso(const struct client *client, char *data, unsigned count) {
  struct iovec    iovecs[MAX_SEGMENTS];
  char            control[CMSG_SPACE(sizeof(uint16_t))] __attribute__((aligned(8))) = {0};
  struct msghdr   message = {.msg_iov = iovecs,
                             .msg_iovlen = count,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  uint16_t        segment = (uint16_t)size;
  *header =
      (struct cmsghdr){.cmsg_level = SOL_UDP, .cmsg_type = UDP_SEGMENT, .cmsg_len = CMSG_LEN(sizeof segment)};
  memcpy(CMSG_DATA(header), &segment, sizeof segment);
  for (unsigned i = 0; i < count; i++) iovecs[i] = (struct iovec){.iov_base = data, .iov_len = size};
  return sendmsg(client->fd, &message, 0) > 0 ? count : 0;
}

static unsigned send_burst(const struct client *client, unsigned count) {
  static char data[MAX_BYTES];
  memcpy(data, &client->epoch, sizeof client->epoch);
  unsigned n = offload ? send_gso(client, data, count) : send_singly(client, data, count);
  sent += n;
  return n;
}

/* Sends until the window is full. */
static void fill_window(struct client *client) {
  for (;;) {
    unsigned possible = (window - client->outstanding) / replies;
    unsigned count = possible < burst ? possible : burst;
    if (count == 0 || (offload && count < burst)) return;
    if (window == 1) client->sent_at = now();
    unsigned n = send_burst(client, count);
    client->outstanding += n * replies;
    if (n < count) return; /* the send buffer is full; replies or check_timeouts come back here */
  }
}

/* ---- receiving ----------------------------------------------------------------------------------------- */

/* Returns how many datagrams GRO has merged into this message. */
static unsigned datagrams_in(const struct mmsghdr *message) {
  const struct cmsghdr *header = CMSG_FIRSTHDR(&message->msg_hdr);
  unsigned              segment;
  if (header == NULL || header->cmsg_type != UDP_GRO) return 1;
  memcpy(&segment, CMSG_DATA(header), sizeof segment);
  return (message->msg_len + segment - 1) / segment;
}

static int receive_batch(int fd, struct mmsghdr *messages, struct iovec *iovecs) {
  static char data[BATCH][65536 + 64], controls[BATCH][CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
  for (int i = 0; i < BATCH; i++) {
    iovecs[i] = (struct iovec){.iov_base = data[i], .iov_len = sizeof data[i]};
    messages[i].msg_hdr = (struct msghdr){.msg_iov = &iovecs[i],
                                          .msg_iovlen = 1,
                                          .msg_control = offload ? controls[i] : NULL,
                                          .msg_controllen = offload ? sizeof controls[i] : 0};
  }
  return recvmmsg(fd, messages, client_count > 1 && window < BATCH ? window : BATCH, MSG_DONTWAIT, NULL);
}

static void take_answers(struct client *client) {
  struct mmsghdr messages[BATCH];
  struct iovec   iovecs[BATCH];
  int            n = receive_batch(client->fd, messages, iovecs);
  for (int i = 0; i < n; i++) {
    unsigned count = datagrams_in(&messages[i]);
    if (memcmp(iovecs[i].iov_base, &client->epoch, sizeof client->epoch) != 0) continue;
    client->outstanding -= count < client->outstanding ? count : client->outstanding;
    client->received += count;
    received += count;
  }
  if (n > 0 && window == 1 && round_trips < MAX_ROUND_TRIPS)
    round_trip_ns[round_trips++] = (uint32_t)(now() - client->sent_at);
  fill_window(client);
}

static void check_timeouts(void) {
  for (struct client *client = clients; client < clients + client_count; client++) {
    if (client->outstanding > 0 && client->received == client->received_at_check) {
      lost += client->outstanding;
      client->outstanding = 0;
      client->epoch++;
      fill_window(client);
    }
    client->received_at_check = client->received;
  }
}

/* ---- running ------------------------------------------------------------------------------------------- */

static void open_clients(int epoll) {
  server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  require(inet_pton(AF_INET, address, &server.sin_addr) == 1, address);
  clients = calloc(client_count, sizeof *clients);
  for (unsigned i = 0; i < client_count; i++) {
    int                on = 1, room = 4 << 20, fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &clients[i]};
    require(fd >= 0, "socket");
    if (senders == 0) require(connect(fd, (struct sockaddr *)&server, sizeof server) == 0, "connect");
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) != 0)
      setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (offload) require(setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof on) == 0, "UDP_GRO");
    require(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "EPOLL_CTL_ADD");
    clients[i].fd = fd;
  }
}

/* Runs until `end`, or until `wanted` replies were received. */
static void run_echo(int epoll, uint64_t end, uint64_t wanted) {
  struct epoll_event events[256];
  for (uint64_t next_check = now() + LOSS_TIMEOUT;;) {
    int      n = epoll_wait(epoll, events, 256, busy ? 0 : 10);
    uint64_t time = now();
    for (int i = 0; i < n; i++) take_answers(events[i].data.ptr);
    if (time >= next_check) check_timeouts(), next_check = time + LOSS_TIMEOUT;
    if (time >= end || received >= wanted) return;
  }
}

static void flood(uint64_t end) {
  while (now() < end)
    for (unsigned i = 0; i < client_count; i++) send_burst(&clients[i], burst);
}

static int compare_u32(const void *a, const void *b) {
  uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
  return (left > right) - (left < right);
}

static unsigned long long percentile(unsigned percent) {
  return round_trips == 0 ? 0 : round_trip_ns[(round_trips - 1) * percent / 100];
}

static void report(uint64_t start, uint64_t measured_from, uint64_t received_before) {
  double whole = (double)(now() - start) / 1e9, measured = (double)(now() - measured_from) / 1e9;
  qsort(round_trip_ns, round_trips, sizeof *round_trip_ns, compare_u32);
  printf("sent %llu received %llu lost %llu seconds %.6f rate %.0f p50_ns %llu p99_ns %llu\n",
         (unsigned long long)sent, (unsigned long long)received, (unsigned long long)lost, whole,
         (double)(received - received_before) / measured, percentile(50), percentile(99));
}

static void parse_arguments(int argc, char **argv) {
  int option;
  while ((option = getopt(argc, argv, "a:n:k:s:gbA:P:r:t:c:")) != -1) {
    switch (option) {
    case 'a': address = optarg; break;
    case 'n': client_count = (unsigned)atoi(optarg); break;
    case 'k': window = (unsigned)atoi(optarg); break;
    case 's': size = (unsigned)atoi(optarg); break;
    case 'g': offload = 1; break;
    case 'b': busy = 1; break;
    case 'A': senders = (unsigned)atoi(optarg); break;
    case 'P': servers = (unsigned)atoi(optarg); break;
    case 'r': replies = (unsigned)atoi(optarg); break;
    case 't': seconds = atof(optarg); break;
    case 'c': replies_wanted = (uint64_t)atoll(optarg); break;
    default: exit(2);
    }
  }
  if (optind + 1 != argc || client_count == 0 || window < replies || window == 0 || size < 4 ||
      size > MAX_BYTES || (offload && senders > 0))
    fprintf(stderr, "usage: load PORT [OPTION...], see load.c\n"), exit(2);
  if (senders > 0 && servers == 0) servers = 1;
  if (servers > 0 && senders == 0) senders = 1;
  port = (unsigned)atoi(argv[optind]);
  burst = replies == 0 ? BATCH : window / replies < BATCH ? window / replies : BATCH;
  if (offload && burst > MAX_BYTES / size) burst = MAX_BYTES / size;
}

int main(int argc, char **argv) {
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);

  parse_arguments(argc, argv);
  int epoll = epoll_create1(0);
  open_clients(epoll);
  uint64_t start = now(), end = start + (uint64_t)(seconds * 1e9), measured_from = start, before = 0;
  if (replies == 0) return flood(end), report(start, start, 0), EXIT_SUCCESS;

  for (unsigned i = 0; i < client_count; i++) fill_window(&clients[i]);
  if (replies_wanted == 0) {
    run_echo(epoll, start + (end - start) / 10, UINT64_MAX);
    measured_from = now(), before = received, round_trips = 0;
    run_echo(epoll, end, UINT64_MAX);
  } else {
    run_echo(epoll, end, replies_wanted);
  }
  report(start, measured_from, before);
  return received >= replies_wanted ? EXIT_SUCCESS : EXIT_FAILURE;
}
