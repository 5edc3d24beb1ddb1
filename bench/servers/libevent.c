/* libevent: a persistent read event, which drains the socket each time. */
#include "server.h"

#include <event2/event.h>

enum { BUDGET = 64 }; /* datagrams for each event, so that other events are not delayed */

static void readable(evutil_socket_t fd, short what, void *user) {
  (void)what, (void)user;
  static char        data[65536];
  struct sockaddr_in sender;
  for (int budget = BUDGET; budget > 0; budget--) {
    socklen_t sender_len = sizeof sender;
    ssize_t   len = recvfrom(fd, data, sizeof data, 0, (struct sockaddr *)&sender, &sender_len);
    if (len < 0) return;
    served++;
    for (unsigned i = 0; i < replies; i++)
      sendto(fd, data, (size_t)len, 0, (struct sockaddr *)&sender, sender_len);
  }
}

int main(int argc, char **argv) {
  int fd = bound_socket(server_arguments(argc, argv));
  evutil_make_socket_nonblocking(fd);
  struct event_base *base = event_base_new();
  struct event      *event = event_new(base, fd, EV_READ | EV_PERSIST, readable, NULL);
  require(event != NULL && event_add(event, NULL) == 0, "event_add");
  server_ready(fd);
  return event_base_dispatch(base);
}
