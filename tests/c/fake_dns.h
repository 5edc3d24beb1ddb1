/* fake_dns.h: a DNS server of the case's own. The case moves into namespaces where the only network is the
 * loopback, the files of name resolution in /etc are replaced, and a thread answers DNS queries on port 53.
 */
#ifndef UDPR_TESTS_FAKE_DNS_H
#define UDPR_TESTS_FAKE_DNS_H

#include "check.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>

enum { DNS_HELD_MAX = 256 };

/* The first label of the queried name selects the reply. "nx": the name does not exist. "fail": server
 * failure. "hang": the reply waits for dns_answer_held. "ok": 192.0.2.1 and 2001:db8::1. "four", "six": only
 * one of these addresses. Any other name has no address.
 */
typedef struct fake_dns {
  int                fd;
  check_thread       thread;
  atomic_int         queries, held_count;
  int                held_len[DNS_HELD_MAX];
  struct sockaddr_in held_from[DNS_HELD_MAX];
  uint8_t            held_query[DNS_HELD_MAX][512];
} fake_dns;

/* ---- namespaces ---------------------------------------------------------------------------------------- */

static inline void bind_mount_file(const char *dir, const char *target, const char *text) {
  char path[64];
  snprintf(path, sizeof path, "%s/%s", dir, check_basename(target));
  int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
  close(fd);
  if (mount(path, target, "none", MS_BIND, NULL) != 0) SKIP("cannot mount a file over one in /etc");
}

/* After a reply that reports a failure, musl waits until the time is over before it reports that (src/network/res_msend.c). */
#ifdef __GLIBC__
#define DNS_SECONDS "30"
#else
#define DNS_SECONDS "4"
#endif

/* Installs `hosts` as hosts(5), and a resolv.conf(5) whose only server is this process: one attempt, DNS_SECONDS. */
static inline void enter_dns_namespace(const char *hosts) {
  char         dir[] = "/tmp/udpr-etc-XXXXXX";
  struct ifreq up = {.ifr_name = "lo", .ifr_flags = IFF_UP};
  if (geteuid() != 0) SKIP("needs root for namespaces");
  if (unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) SKIP("this kernel or container gives no namespaces");
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  CHECK_EQ(0, ioctl(fd, SIOCSIFFLAGS, &up));
  close(fd);
  CHECK(mkdtemp(dir) != NULL);
  if (mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 || mount("none", dir, "tmpfs", 0, NULL) != 0)
    SKIP("cannot mount in a namespace");
  bind_mount_file(dir, "/etc/hosts", hosts);
  bind_mount_file(dir, "/etc/nsswitch.conf", "hosts: files dns\n");
  bind_mount_file(dir, "/etc/resolv.conf",
                  "nameserver 127.0.0.1\noptions timeout:" DNS_SECONDS " attempts:1\n");
  CHECK_EQ(0, umount2(dir, MNT_DETACH)); /* the bind mounts keep the files */
  CHECK_EQ(0, rmdir(dir));
}

/* ---- the server ---------------------------------------------------------------------------------------- */

static inline bool query_is_for(const uint8_t *query, const char *label) {
  return query[12] == strlen(label) && memcmp(query + 13, label, query[12]) == 0;
}

/* RFC 1035, 4.1: the header, a copy of the question, and one answer whose name is a pointer to the
 * question's.
 */
static inline void dns_answer(fake_dns *server, const struct sockaddr_in *to, const uint8_t *query, int len) {
  static const uint8_t four[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1};
  static const uint8_t six[] = {0xc0, 12,   0, 28, 0, 1, 0, 0, 0, 60, 0, 16, 0x20, 1,
                                0x0d, 0xb8, 0, 0,  0, 0, 0, 0, 0, 0,  0, 0,  0,    1};
  uint8_t              reply[600];
  int                  end = 12;
  while (end < len && query[end]) end += query[end] + 1;
  end += 5;
  CHECK(end <= len);
  memcpy(reply, query, (size_t)end);
  bool a = query[end - 3] == 1, aaaa = query[end - 3] == 28,
       ok = query_is_for(query, "ok") || query_is_for(query, "hang");
  reply[2] = 0x81, reply[3] = 0x80; /* QR, RD and RA: a response; recursion was desired and is available */
  if (query_is_for(query, "nx")) reply[3] |= 3;
  if (query_is_for(query, "fail")) reply[3] |= 2;
  memset(reply + 6, 0, 6);
  if (a && (ok || query_is_for(query, "four"))) {
    memcpy(reply + end, four, sizeof four);
    end += (int)sizeof four, reply[7] = 1;
  } else if (aaaa && (ok || query_is_for(query, "six"))) {
    memcpy(reply + end, six, sizeof six);
    end += (int)sizeof six, reply[7] = 1;
  }
  CHECK_EQ(end, sendto(server->fd, reply, (size_t)end, 0, (const struct sockaddr *)to, sizeof *to));
}

static inline void dns_serve(void *arg) {
  fake_dns *server = arg;
  for (;;) {
    uint8_t            query[512];
    struct sockaddr_in from;
    socklen_t          from_len = sizeof from;
    ssize_t len = recvfrom(server->fd, query, sizeof query, 0, (struct sockaddr *)&from, &from_len);
    if (len < 17) break; /* sent by dns_stop */
    atomic_fetch_add(&server->queries, 1);
    if (query_is_for(query, "hang")) {
      int slot = server->held_count;
      CHECK(slot < DNS_HELD_MAX);
      memcpy(server->held_query[slot], query, (size_t)len);
      server->held_len[slot] = (int)len, server->held_from[slot] = from;
      atomic_store(&server->held_count, slot + 1);
    } else {
      dns_answer(server, &from, query, (int)len);
    }
  }
}

static inline struct sockaddr_in dns_server_address(void) {
  return (struct sockaddr_in){.sin_family = AF_INET,
                              .sin_port = htons(53),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static inline void dns_start(fake_dns *server) {
  struct sockaddr_in local = dns_server_address();
  *server = (fake_dns){.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  CHECK_EQ(0, bind(server->fd, (struct sockaddr *)&local, sizeof local));
  thread_start(&server->thread, dns_serve, server);
}

/* Sends the replies to the queries that wait ("hang"). */
static inline void dns_answer_held(fake_dns *server) {
  for (int i = 0; i < server->held_count; i++)
    dns_answer(server, &server->held_from[i], server->held_query[i], server->held_len[i]);
}

static inline void dns_stop(fake_dns *server) {
  struct sockaddr_in local = dns_server_address();
  CHECK_EQ(0, sendto(server->fd, "", 0, 0, (struct sockaddr *)&local, sizeof local));
  thread_join(&server->thread);
  close(server->fd);
}

#endif
