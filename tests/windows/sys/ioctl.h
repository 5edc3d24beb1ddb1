/* sys/ioctl.h: Windows has no such calls. */
#ifndef UDPR_TESTS_WINDOWS_IOCTL_H
#define UDPR_TESTS_WINDOWS_IOCTL_H

#include "socket.h"

enum { SIOCSIFMTU };

struct ifreq {
  char ifr_name[IFNAMSIZ];
  int  ifr_mtu;
};

static inline int ioctl(int fd, int request, void *arg) {
  (void)fd, (void)request, (void)arg;
  errno = ENOSYS;
  return -1;
}

#endif
