/* epoll_wait.h: how a hand-written loop waits: in recvmmsg, or with USE_EPOLL in epoll_wait, as a program with more
 * than one descriptor has to.
 */
#ifdef USE_EPOLL
#include <sys/epoll.h>

static int epoll;

static void watch(int fd) {
  struct epoll_event readable = {.events = EPOLLIN};
  epoll = epoll_create1(0);
  require(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &readable) == 0, "epoll");
}

/* Waits. Returns the flag for recvmmsg. */
static int wait_readable(void) {
  struct epoll_event ready;
  epoll_wait(epoll, &ready, 1, -1);
  return MSG_DONTWAIT;
}
#else
static void watch(int fd) { (void)fd; }

static int wait_readable(void) { return MSG_WAITFORONE; }
#endif
