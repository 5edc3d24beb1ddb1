/* watched.h: how a loop by hand waits: in recvmmsg or, with WATCHED, by epoll, as whoever has more than one descriptor must.
 */
#ifdef WATCHED
#include <sys/epoll.h>

static int epoll;

static void watch(int fd) {
  struct epoll_event readable = {.events = EPOLLIN};
  epoll = epoll_create1(0);
  require(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &readable) == 0, "epoll");
}

/* Waits; the answer is the flag for recvmmsg. */
static int wait_readable(void) {
  struct epoll_event ready;
  epoll_wait(epoll, &ready, 1, -1);
  return MSG_DONTWAIT;
}
#else
static void watch(int fd) { (void)fd; }

static int wait_readable(void) { return MSG_WAITFORONE; }
#endif
