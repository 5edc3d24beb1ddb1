/* udpr_cores: a reactor on each core that the process may use, all on one port. The kernel distributes the datagrams by
 * flow. The datagrams served are not counted, since a common counter would be shared state.
 */
#define _GNU_SOURCE
#include "server.h"

#include <pthread.h>
#include <sched.h>

#include <udpr/udpr.h>

static void datagram_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)user;
  for (unsigned i = 0; i < replies; i++)
    udpr_transport_write(transport, datagram->data, datagram->len, &datagram->sender);
}

static udpr_transport *listen_on(uint16_t port, udpr_reactor **reactor) {
  const udpr_protocol    protocol = {.size = sizeof protocol, .datagram_received = datagram_received};
  const udpr_udp_options options = {.size = sizeof options, .flags = UDPR_UDP_REUSE_PORT};
  udpr_transport        *transport;
  require(udpr_reactor_new(NULL, reactor) == UDPR_OK, "udpr_reactor_new");
  require(udpr_reactor_listen_udp(*reactor, port, NULL, &protocol, &options, &transport) == UDPR_OK,
          "listen_udp");
  return transport;
}

static void *run(void *reactor) { return udpr_reactor_run(reactor) == UDPR_OK ? reactor : NULL; }

static void run_on(int cpu, udpr_reactor *reactor) {
  pthread_t      thread;
  pthread_attr_t attributes;
  cpu_set_t      cpus;
  CPU_ZERO(&cpus);
  CPU_SET(cpu, &cpus);
  pthread_attr_init(&attributes);
  pthread_attr_setaffinity_np(&attributes, sizeof cpus, &cpus);
  require(pthread_create(&thread, &attributes, run, reactor) == 0, "pthread_create");
}

int main(int argc, char **argv) {
  uint16_t  port = server_arguments(argc, argv);
  int       fd = -1;
  cpu_set_t cpus;
  sched_getaffinity(0, sizeof cpus, &cpus);
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    udpr_reactor *reactor;
    udpr_addr     host;
    if (!CPU_ISSET(cpu, &cpus)) continue;
    udpr_transport *transport = listen_on(port, &reactor);
    require(udpr_transport_get_host(transport, &host) == UDPR_OK, "get_host");
    port = host.port; /* if the kernel chose it for the first reactor */
    fd = udpr_transport_fileno(transport);
    set_receive_buffer(fd);
    run_on(cpu, reactor);
  }
  server_ready(fd);
  for (;;) pause();
}
