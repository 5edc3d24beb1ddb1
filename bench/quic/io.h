/* io.h: the interface between the QUIC program (quic.c) and its I/O side, which is udpr (io_udpr.c) or epoll (io_epoll.c).
 * There is one UDP socket, one timer and one thread.
 */
#ifndef UDPR_BENCH_QUIC_IO_H
#define UDPR_BENCH_QUIC_IO_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

typedef struct io_path {
  struct sockaddr_in local, peer;
} io_path;

/* ---- the I/O side ---- */

/* Makes the socket, with packet info, ECN and the don't-fragment bit. Returns its descriptor. Port 0: the kernel chooses. */
int io_open(uint16_t port);
/* Runs until io_stop. */
void io_run(void);
void io_stop(void);
/* The monotonic clock in nanoseconds. */
uint64_t io_now(void);
/* Moves the timer; UINT64_MAX: never. */
void io_set_timer(uint64_t instant);
/* Sends packets that follow each other, all of `packet_size` but for the last one. Their bytes may change afterwards. */
void io_send(const io_path *path, unsigned ecn, const uint8_t *packets, size_t len, size_t packet_size);
/* False while the socket is full. quic_write is called when it is not full any more. */
int io_can_send(void);

/* ---- the QUIC side, called inside io_run ---- */

void quic_received(const io_path *path, unsigned ecn, const uint8_t *packet, size_t len);
/* After the packets of a batch: whatever is possible should be sent. */
void quic_write(void);
void quic_timer_expired(void);

#endif
