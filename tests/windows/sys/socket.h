/* sys/socket.h of the C tests on Windows: the calls of POSIX that they use, by Winsock. A socket is an int, as elsewhere: its
 * handle is small. A failed call sets errno.
 */
#ifndef UDPR_TESTS_WINDOWS_SOCKET_H
#define UDPR_TESTS_WINDOWS_SOCKET_H

#define WIN32_LEAN_AND_MEAN
#include <winsock2.h>

#include <ws2tcpip.h>

#include <windows.h>

#include <iphlpapi.h>
#undef interface
#undef near
#undef far
#undef small

#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/time.h>
#include <sys/types.h>
#include <unistd.h>

typedef unsigned short sa_family_t;

enum {
  SOCK_CLOEXEC = 0x10000, /* sockets are not inherited anyway */
  SOCK_NONBLOCK = 0x20000,
  MSG_DONTWAIT = 0x10000,
  MSG_NOSIGNAL = 0,
  O_NONBLOCK = 0x10000,
  O_CLOEXEC = 0x20000,
  F_GETFD = 1,
  F_SETFL = 4,
  FD_CLOEXEC = 1,
  /* An option that the tests set, and signals that the library refuses. */
  SO_PRIORITY = SO_SNDTIMEO,
  SIGKILL = 9,
  SIGUSR1 = 10,
  SIGPIPE = 13,
  SIGURG = 23,
  SHUT_RD = SD_RECEIVE,
  SHUT_WR = SD_SEND,
  SHUT_RDWR = SD_BOTH,
  SOL_UDP = IPPROTO_UDP,
  F_GETFL = 3,
  F_DUPFD_CLOEXEC = 1030,
  /* Options of Linux. Winsock does not know these numbers. */
  SO_BINDTODEVICE = 0x7f01,
  SO_DOMAIN,
  SO_MARK,
  SO_REUSEPORT,
  SO_TIMESTAMPNS,
  IP_FREEBIND,
  IP_MULTICAST_ALL,
  IPV6_ADDRFORM,
  IPV6_PMTUDISC_PROBE,
  IPV6_RECVHOPLIMIT,
  IPV6_RECVPKTINFO,
  UDP_GRO,
  UDP_SEGMENT,
};

struct ip_mreqn {
  struct in_addr imr_multiaddr, imr_address;
  int            imr_ifindex;
};

#define IFNAMSIZ IF_NAMESIZE
#define SO_RCVBUFFORCE SO_RCVBUF /* no limit has to be overridden */
#define CLONE_NEWNET 0           /* enter_network_namespace has ended the case before */
#undef POLLIN
#define POLLIN POLLRDNORM /* as WSAPoll returns it */
#define unshare(which) (check_exit(1, "there are no network namespaces"), -1)
#define dup3(from, to, flags) (errno = ENOSYS, -1)
#define geteuid() 0
#define setgid(group) (errno = ENOSYS, -1)
#define setuid(user) (errno = ENOSYS, -1)

/* Sets errno to the error of the last call of Winsock, but to what Linux has for a time-out and a refusal. */
static inline int posix_error(void) {
  int code = WSAGetLastError();
  errno = code == WSAETIMEDOUT ? EAGAIN : code == WSAECONNRESET ? ECONNREFUSED : code;
  return -1;
}

static inline bool posix_is_socket(int fd) {
  int type, len = sizeof type;
  return getsockopt((SOCKET)fd, SOL_SOCKET, SO_TYPE, (char *)&type, &len) == 0;
}

static inline int posix_set_blocking(int fd, bool blocking) {
  u_long mode = !blocking;
  return ioctlsocket((SOCKET)fd, FIONBIO, &mode) == 0 ? 0 : posix_error();
}

static inline int posix_socket(int family, int type, int protocol) {
  SOCKET made = socket(family, type & 0xffff, protocol);
  if (made == INVALID_SOCKET) return posix_error();
  return type & SOCK_NONBLOCK && posix_set_blocking((int)made, false) != 0 ? -1 : (int)made;
}

static inline int posix_close(int fd) {
  if (posix_is_socket(fd)) return closesocket((SOCKET)fd);
  errno = EBADF;
  return -1;
}

static inline int posix_fcntl(int fd, int command, int value) {
  if (command == F_SETFL) return posix_set_blocking(fd, !(value & O_NONBLOCK));
  return posix_is_socket(fd) ? 0 : posix_error();
}

static inline int posix_bind(int fd, const struct sockaddr *address, socklen_t len) {
  return bind((SOCKET)fd, address, len) == 0 ? 0 : posix_error();
}

/* The name of a socket that is not bound has zeros. */
static inline int posix_getsockname(int fd, struct sockaddr *address, socklen_t *len) {
  WSAPROTOCOL_INFOA info;
  int               size = sizeof info;
  if (getsockname((SOCKET)fd, address, len) == 0) return 0;
  if (WSAGetLastError() != WSAEINVAL) return posix_error();
  if (getsockopt((SOCKET)fd, SOL_SOCKET, SO_PROTOCOL_INFO, (char *)&info, &size) != 0) return posix_error();
  memset(address, 0, (size_t)*len);
  address->sa_family = (ADDRESS_FAMILY)info.iAddressFamily;
  *len = address->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
  return 0;
}

static inline int posix_connect(int fd, const struct sockaddr *address, socklen_t len) {
  return connect((SOCKET)fd, address, len) == 0 ? 0 : posix_error();
}

/* Times are a struct timeval for POSIX, and milliseconds for Winsock. */
static inline int posix_setsockopt(int fd, int level, int name, const void *value, socklen_t len) {
  DWORD milliseconds;
  if (level == SOL_SOCKET && (name == SO_RCVTIMEO || name == SO_SNDTIMEO)) {
    const struct timeval *time = value;
    milliseconds = (DWORD)(time->tv_sec * 1000 + time->tv_usec / 1000);
    value = &milliseconds, len = sizeof milliseconds;
  }
  return setsockopt((SOCKET)fd, level, name, value, len) == 0 ? 0 : posix_error();
}

static inline int posix_getsockopt(int fd, int level, int name, void *value, socklen_t *len) {
  return getsockopt((SOCKET)fd, level, name, value, len) == 0 ? 0 : posix_error();
}

static inline bool posix_is_readable(int fd) {
  WSAPOLLFD one = {.fd = (SOCKET)fd, .events = POLLRDNORM};
  return WSAPoll(&one, 1, 0) == 1;
}

static inline ssize_t posix_recvfrom(int fd, void *buffer, size_t size, int flags, struct sockaddr *from,
                                     socklen_t *len) {
  if (flags & MSG_DONTWAIT && !posix_is_readable(fd)) return errno = EAGAIN, -1;
  int got = recvfrom((SOCKET)fd, buffer, (int)size, flags & ~MSG_DONTWAIT, from, len);
  if (got < 0 && WSAGetLastError() == WSAEMSGSIZE)
    return (ssize_t)size; /* the rest is lost, which is no error */
  return got < 0 ? posix_error() : got;
}

static inline ssize_t posix_recv(int fd, void *buffer, size_t size, int flags) {
  return posix_recvfrom(fd, buffer, size, flags, NULL, NULL);
}

static inline ssize_t posix_sendto(int fd, const void *data, size_t size, int flags,
                                   const struct sockaddr *to, socklen_t len) {
  int sent = sendto((SOCKET)fd, data, (int)size, flags & ~MSG_DONTWAIT, to, len);
  return sent < 0 ? posix_error() : sent;
}

static inline ssize_t posix_send(int fd, const void *data, size_t size, int flags) {
  return posix_sendto(fd, data, size, flags, NULL, 0);
}

static inline ssize_t posix_read(int fd, void *buffer, size_t size) {
  return posix_is_socket(fd) ? posix_recv(fd, buffer, size, 0) : read(fd, buffer, (unsigned)size);
}

static inline ssize_t posix_write(int fd, const void *data, size_t size) {
  return posix_is_socket(fd) ? posix_send(fd, data, size, 0) : write(fd, data, (unsigned)size);
}

/* Two datagram sockets that are connected with each other: only sockets can be watched. */
static inline int posix_pair(int fds[2], int flags) {
  struct sockaddr_in names[2];
  for (int i = 0; i < 2; i++) {
    socklen_t len = sizeof names[i];
    names[i] = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    fds[i] = posix_socket(AF_INET, SOCK_DGRAM | (flags & O_NONBLOCK ? SOCK_NONBLOCK : 0), 0);
    if (fds[i] < 0 || posix_bind(fds[i], (struct sockaddr *)&names[i], len) != 0) return -1;
    if (posix_getsockname(fds[i], (struct sockaddr *)&names[i], &len) != 0) return -1;
  }
  for (int i = 0; i < 2; i++)
    if (posix_connect(fds[i], (struct sockaddr *)&names[1 - i], sizeof names[i]) != 0) return -1;
  return 0;
}

static inline int posix_pipe(int fds[2]) { return posix_pair(fds, 0); }

static inline int posix_socketpair(int family, int type, int protocol, int fds[2]) {
  (void)family, (void)protocol;
  return posix_pair(fds, type & SOCK_NONBLOCK ? O_NONBLOCK : 0);
}

/* The object-like ones leave members of structs alone that have such a name and are not called. */
#define socket(family, type, protocol) posix_socket(family, type, protocol)
#define socketpair(family, type, protocol, fds) posix_socketpair(family, type, protocol, fds)
#define close(fd) posix_close(fd)
#define fcntl(...) posix_fcntl_(__VA_ARGS__, 0, 0)
#define posix_fcntl_(fd, command, value, ...) posix_fcntl(fd, command, value)
#define bind(fd, address, len) posix_bind(fd, address, len)
#define getsockname(fd, address, len) posix_getsockname(fd, address, len)
#define connect(fd, address, len) posix_connect(fd, address, len)
#define setsockopt(fd, level, name, value, len) posix_setsockopt(fd, level, name, value, len)
#define getsockopt(fd, level, name, value, len) posix_getsockopt(fd, level, name, value, len)
#define recvfrom(fd, buffer, size, flags, from, len) posix_recvfrom(fd, buffer, size, flags, from, len)
#define recv(fd, buffer, size, flags) posix_recv(fd, buffer, size, flags)
#define sendto(fd, data, size, flags, to, len) posix_sendto(fd, data, size, flags, to, len)
#define read(fd, buffer, size) posix_read(fd, buffer, size)
#define write(fd, data, size) posix_write(fd, data, size)
#define pipe(fds) posix_pipe(fds)
#define pipe2(fds, flags) posix_pair(fds, flags)
#define poll(fds, count, timeout) WSAPoll(fds, count, timeout)

#endif
