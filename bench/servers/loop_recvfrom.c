/* loop_recvfrom: the textbook loop of recvfrom and sendto. */
#include "server.h"

int main(int argc, char **argv) {
  static char        data[65536];
  struct sockaddr_in sender;
  int                fd = bound_socket(server_arguments(argc, argv));
  server_ready(fd);
  for (;;) {
    socklen_t sender_len = sizeof sender;
    ssize_t   len = recvfrom(fd, data, sizeof data, 0, (struct sockaddr *)&sender, &sender_len);
    if (len < 0) continue;
    served++;
    for (unsigned i = 0; i < replies; i++)
      sendto(fd, data, (size_t)len, 0, (struct sockaddr *)&sender, sender_len);
  }
}
