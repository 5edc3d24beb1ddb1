/* faults.c: simulated failures of system calls, and a simulated resolver. These functions replace those of the C library in
 * the whole program, and call them if nothing is simulated. The seed decides about each call, on the threads in lockstep only.
 */
#include "fuzz.h"

#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/syscall.h>

unsigned fault_count;

static bool     faulty;
static uint64_t fault_state;

/* Whether this call fails: one in 16, in sequences with faults. */
static bool inject_fault(void) {
  if (!faulty || thread_number > 1 || current_function() == FUNCTIONS) return false;
  fault_state = fault_state * 6364136223846793005u + 1442695040888963407u;
  if (fault_state >> 60) return false;
  fault_count++;
  return true;
}

static uint32_t fault_choice(uint32_t bound) { return (uint32_t)(fault_state >> 32) % bound; }

#define NEXT(name)               \
  static __typeof__(name) *next; \
  if (!next) next = (__typeof__(name) *)(uintptr_t)dlsym(RTLD_NEXT, #name);

int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags) {
  static const int errors[] = {EAGAIN,   ENOBUFS,     EPERM, EINVAL, EIO,
                               EMSGSIZE, ENETUNREACH, EINTR, ENOMEM, ECONNREFUSED};
  NEXT(sendmmsg)
  if (inject_fault()) {
    if (count > 1 && fault_choice(2)) return next(fd, messages, 1 + fault_choice(count - 1), flags);
    errno = errors[fault_choice(sizeof errors / sizeof *errors)];
    return -1;
  }
  return next(fd, messages, count, flags);
}

int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout) {
  static const int errors[] = {EAGAIN, EINTR, ENOMEM, ECONNREFUSED, EHOSTUNREACH, EIO};
  NEXT(recvmmsg)
  if (inject_fault()) {
    if (count > 1 && fault_choice(2)) return next(fd, messages, 1, flags, timeout);
    errno = errors[fault_choice(sizeof errors / sizeof *errors)];
    return -1;
  }
  return next(fd, messages, count, flags, timeout);
}

/* The library makes this system call by its number, since the C library may not know it. If the caller passes fewer than six
 * arguments, the values read for the others are not used. */
__attribute__((no_sanitize_address)) long syscall(long number, ...) {
  NEXT(syscall)
  va_list list;
  long    args[6];
  va_start(list, number);
  for (int i = 0; i < 6; i++) args[i] = va_arg(list, long);
  va_end(list);
  if (number == SYS_epoll_pwait2 && inject_fault()) {
    if (fault_choice(2)) return errno = EINTR, -1;
    args[2] = 1; /* events */
  }
  return next(number, args[0], args[1], args[2], args[3], args[4], args[5]);
}

int socket(int domain, int type, int protocol) {
  static const int errors[] = {EMFILE, ENFILE, ENOMEM, EACCES};
  NEXT(socket)
  if (inject_fault()) {
    errno = errors[fault_choice(4)];
    return -1;
  }
  return next(domain, type, protocol);
}

/* ---- names --------------------------------------------------------------------------------------------------- */

static pthread_mutex_t names_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t  names_change = PTHREAD_COND_INITIALIZER;
static bool            slow_may_end;

/* The look-up of slow.test ends at the end of the sequence, when its reactor may be gone. */
static void wait_for_end_of_sequence(void) {
  pthread_mutex_lock(&names_lock);
  while (!slow_may_end) pthread_cond_wait(&names_change, &names_lock);
  pthread_mutex_unlock(&names_lock);
}

static void set_slow_lookups(bool may_end) {
  pthread_mutex_lock(&names_lock);
  slow_may_end = may_end;
  pthread_cond_broadcast(&names_change);
  pthread_mutex_unlock(&names_lock);
}

/* Also ends look-ups that begin later, on a thread that the end of the reactor did not wait for. */
void end_slow_lookups(void) { set_slow_lookups(true); }

void begin_faults(bool on, uint64_t seed) {
  faulty = on, fault_state = seed;
  set_slow_lookups(false);
}

typedef struct entry {
  struct addrinfo     info;
  struct sockaddr_in6 addr;
} entry;

static struct addrinfo *make_addrinfo(int count, int family) {
  struct addrinfo *list = NULL;
  for (int i = 0; i < count; i++) {
    bool   v6 = family == AF_INET6 || (family == AF_UNSPEC && i % 2);
    entry *entry = calloc(1, sizeof *entry);
    ASSERT(entry != NULL);
    if (v6) entry->addr = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    else
      *(struct sockaddr_in *)&entry->addr =
          (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
    entry->info =
        (struct addrinfo){.ai_family = v6 ? AF_INET6 : AF_INET,
                          .ai_socktype = SOCK_DGRAM,
                          .ai_addrlen = v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in),
                          .ai_addr = (struct sockaddr *)&entry->addr,
                          .ai_next = list};
    list = &entry->info;
  }
  return list;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **out) {
  int count = 1, family = hints->ai_family;
  ASSERT(node != NULL && service == NULL);
  if (strcmp(node, "none.test") == 0) return EAI_NONAME;
  if (strcmp(node, "again.test") == 0) return EAI_AGAIN;
  if (strcmp(node, "memory.test") == 0) return EAI_MEMORY;
  if (strcmp(node, "system.test") == 0) return errno = EIO, EAI_SYSTEM;
  if (strcmp(node, "v4.test") == 0 && family == AF_INET6) return EAI_NODATA;
  if (strcmp(node, "v4.test") == 0) family = AF_INET;
  if (strcmp(node, "slow.test") == 0) wait_for_end_of_sequence();
  if (strcmp(node, "many.test") == 0) count = 40;
  *out = make_addrinfo(count, family);
  return 0;
}

void freeaddrinfo(struct addrinfo *list) {
  while (list) {
    struct addrinfo *next = list->ai_next;
    free(list);
    list = next;
  }
}
