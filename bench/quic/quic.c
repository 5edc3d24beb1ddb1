/* quic.c: one connection of ngtcp2 and GnuTLS, on the I/O side that it is linked with: quic_udpr or quic_epoll.
 *
 *     PROGRAM PORT MEGABYTES DIRECTORY      a server that sends so much on one stream to its first client. DIRECTORY has
 *                                           certificate.pem and key.pem. Output as in server.h; `served` counts bytes.
 *     PROGRAM ADDRESS PORT                  a client that reads the stream, and prints
 *                                           "received BYTES cpu_ns N seconds N"
 */
#include "../servers/server.h"

#include <gnutls/crypto.h>
#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include "io.h"
#include "tls.h"

enum {
  WINDOW = 2 << 20, /* of flow control, which the receive buffer can hold */
  ID_LEN = 16,
  MAX_BURST = 64000, /* one GSO send */
  MAX_SEGMENTS = 64,
};

static ngtcp2_conn           *connection;
static ngtcp2_crypto_conn_ref reference;
static io_path                path;
static const char            *directory; /* NULL for a client */
static int64_t                stream = -1;
static uint64_t               left_to_send, received;
static int                    is_closed;

static void check(int result, const char *what) {
  if (result == 0) return;
  fprintf(stderr, "%s: %s\n", what, ngtcp2_strerror(result));
  exit(EXIT_FAILURE);
}

/* ---- callbacks of ngtcp2 ---- */

static ngtcp2_conn *get_connection(ngtcp2_crypto_conn_ref *from) {
  (void)from;
  return connection;
}

static void fill_random(uint8_t *to, size_t len, const ngtcp2_rand_ctx *context) {
  (void)context;
  tls_require(gnutls_rnd(GNUTLS_RND_RANDOM, to, len), "gnutls_rnd");
}

static int new_connection_id(ngtcp2_conn *conn, ngtcp2_cid *id, uint8_t *token, size_t len, void *user) {
  (void)conn, (void)user;
  fill_random(id->data, id->datalen = len, NULL);
  fill_random(token, NGTCP2_STATELESS_RESET_TOKENLEN, NULL);
  return 0;
}

static int stream_received(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t offset,
                           const uint8_t *data, size_t len, void *user, void *stream_user) {
  (void)offset, (void)data, (void)user, (void)stream_user;
  received += len;
  ngtcp2_conn_extend_max_stream_offset(conn, id, len);
  ngtcp2_conn_extend_max_offset(conn, len);
  if (flags & NGTCP2_STREAM_DATA_FLAG_FIN) is_closed = 1;
  return 0;
}

static const ngtcp2_callbacks CALLBACKS = {
    .client_initial = ngtcp2_crypto_client_initial_cb,
    .recv_client_initial = ngtcp2_crypto_recv_client_initial_cb,
    .recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb,
    .encrypt = ngtcp2_crypto_encrypt_cb,
    .decrypt = ngtcp2_crypto_decrypt_cb,
    .hp_mask = ngtcp2_crypto_hp_mask_cb,
    .recv_stream_data = stream_received,
    .recv_retry = ngtcp2_crypto_recv_retry_cb,
    .rand = fill_random,
    .get_new_connection_id = new_connection_id,
    .update_key = ngtcp2_crypto_update_key_cb,
    .delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,
    .delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,
    .get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb,
    .version_negotiation = ngtcp2_crypto_version_negotiation_cb,
};

/* ---- the connection ---- */

static ngtcp2_path ngtcp2_path_of(const io_path *from) {
  ngtcp2_path result = {0};
  result.local.addr = (ngtcp2_sockaddr *)&from->local;
  result.local.addrlen = sizeof from->local;
  result.remote.addr = (ngtcp2_sockaddr *)&from->peer;
  result.remote.addrlen = sizeof from->peer;
  return result;
}

/* Makes the connection: of a server if there is the header of a first packet, otherwise of a client. */
static void make_connection(const ngtcp2_pkt_hd *first) {
  ngtcp2_settings         settings;
  ngtcp2_transport_params params;
  ngtcp2_cid              own = {.datalen = ID_LEN}, other = {.datalen = ID_LEN};
  ngtcp2_path             at = ngtcp2_path_of(&path);
  ngtcp2_settings_default(&settings);
  ngtcp2_transport_params_default(&params);
  settings.initial_ts = io_now();
  params.initial_max_streams_uni = 1;
  params.initial_max_data = params.initial_max_stream_data_uni = WINDOW;
  params.active_connection_id_limit = 7;
  fill_random(own.data, own.datalen, NULL);
  if (first != NULL) {
    params.original_dcid = first->dcid;
    check(ngtcp2_conn_server_new(&connection, &first->scid, &own, &at, first->version, &CALLBACKS, &settings,
                                 &params, NULL, NULL),
          "server_new");
  } else {
    fill_random(other.data, other.datalen, NULL);
    check(ngtcp2_conn_client_new(&connection, &other, &own, &at, NGTCP2_PROTO_VER_V1, &CALLBACKS, &settings,
                                 &params, NULL, NULL),
          "client_new");
  }
  reference.get_conn = get_connection;
  ngtcp2_conn_set_tls_native_handle(connection, tls_session(directory, &reference));
}

void quic_received(const io_path *from, unsigned ecn, const uint8_t *packet, size_t len) {
  ngtcp2_pkt_hd   first;
  ngtcp2_pkt_info info = {.ecn = ecn};
  ngtcp2_path     at = ngtcp2_path_of(from);
  if (connection == NULL) {
    if (ngtcp2_accept(&first, packet, len) != 0) return;
    path = *from;
    make_connection(&first);
  }
  if (is_closed) return;
  int result = ngtcp2_conn_read_pkt(connection, &at, &info, packet, len, io_now());
  if (result == NGTCP2_ERR_DRAINING && directory != NULL) is_closed = 1; /* the client has everything */
  else check(result, "read_pkt");
}

/* Makes the next packet, with data of the stream if possible. Returns its length, 0 if none can be sent now. */
static size_t next_packet(uint8_t *to, size_t capacity, unsigned *ecn, uint64_t now) {
  static uint8_t zeros[64 * 1024]; /* ngtcp2 refers to the data until it is acknowledged */
  if (stream < 0 && left_to_send > 0 && ngtcp2_conn_get_streams_uni_left(connection) > 0)
    check(ngtcp2_conn_open_uni_stream(connection, &stream, NULL), "open_uni_stream");
  int64_t use = left_to_send > 0 ? stream : -1;
  for (;;) {
    ngtcp2_vec      vec = {.base = zeros, .len = left_to_send < sizeof zeros ? left_to_send : sizeof zeros};
    ngtcp2_pkt_info info = {0};
    ngtcp2_ssize    taken = -1;
    uint32_t flags = vec.len == left_to_send ? NGTCP2_WRITE_STREAM_FLAG_FIN : NGTCP2_WRITE_STREAM_FLAG_NONE;
    ngtcp2_ssize len = ngtcp2_conn_writev_stream(connection, NULL, &info, to, capacity, &taken, flags, use,
                                                 &vec, use >= 0, now);
    if (taken > 0) left_to_send -= (uint64_t)taken, served += (uint64_t)taken;
    *ecn = info.ecn;
    if (len >= 0) return (size_t)len;
    if (len != NGTCP2_ERR_STREAM_DATA_BLOCKED) check((int)len, "writev_stream");
    use = -1;
  }
}

static void send_close(void) {
  uint8_t                       packet[1200];
  ngtcp2_pkt_info               info;
  ngtcp2_connection_close_error reason;
  ngtcp2_connection_close_error_default(&reason);
  ngtcp2_ssize len =
      ngtcp2_conn_write_connection_close(connection, NULL, &info, packet, sizeof packet, &reason, io_now());
  if (len > 0) io_send(&path, info.ecn, packet, (size_t)len, (size_t)len);
}

/* Makes at most as many packets as may leave at once, and sends those of one size and ECN codepoint together. */
static void write_burst(uint64_t now) {
  static uint8_t packets[MAX_BURST];
  size_t   quantum = ngtcp2_conn_get_send_quantum(connection), end = 0, begin = 0, size = 0, segments = 0;
  size_t   most = ngtcp2_conn_get_max_tx_udp_payload_size(connection);
  unsigned ecn = 0, burst_ecn = 0;
  if (quantum > sizeof packets) quantum = sizeof packets;
  while (end == 0 || end + most <= quantum) {
    size_t len = next_packet(packets + end, most, &ecn, now);
    if (len == 0) break;
    if (begin < end && (len > size || ecn != burst_ecn || segments == MAX_SEGMENTS)) {
      io_send(&path, burst_ecn, packets + begin, end - begin, size);
      begin = end;
    }
    if (begin == end) size = len, burst_ecn = ecn, segments = 0;
    end += len;
    segments++;
    if (len == size) continue;
    io_send(&path, burst_ecn, packets + begin, end - begin, size);
    begin = end;
  }
  if (begin < end) io_send(&path, burst_ecn, packets + begin, end - begin, size);
  ngtcp2_conn_update_pkt_tx_time(connection, now);
}

void quic_write(void) {
  if (connection == NULL) return;
  if (is_closed) {
    io_set_timer(UINT64_MAX);
    if (directory == NULL) send_close(), io_stop();
    return;
  }
  if (io_can_send()) write_burst(io_now());
  io_set_timer(io_can_send() ? ngtcp2_conn_get_expiry(connection) : UINT64_MAX);
}

void quic_timer_expired(void) {
  check(ngtcp2_conn_handle_expiry(connection, io_now()), "handle_expiry");
  quic_write();
}

/* ---- the two programs ---- */

static int serve(char **arguments) {
  left_to_send = strtoull(arguments[2], NULL, 10) * 1000000;
  directory = arguments[3];
  server_ready(io_open((uint16_t)strtoul(arguments[1], NULL, 10)));
  io_run();
  return EXIT_SUCCESS;
}

/* Finds out the local address to a peer by connecting another socket. */
static struct in_addr local_address_to(const struct sockaddr_in *peer) {
  struct sockaddr_in local;
  socklen_t          len = sizeof local;
  int                fd = socket(AF_INET, SOCK_DGRAM, 0);
  require(connect(fd, (const struct sockaddr *)peer, sizeof *peer) == 0, "connect");
  require(getsockname(fd, (struct sockaddr *)&local, &len) == 0, "getsockname");
  close(fd);
  return local.sin_addr;
}

static int receive(char **arguments) {
  socklen_t len = sizeof path.local;
  path.peer = any_address((uint16_t)strtoul(arguments[2], NULL, 10));
  require(inet_pton(AF_INET, arguments[1], &path.peer.sin_addr) == 1, arguments[1]);
  int fd = io_open(0);
  set_receive_buffer(fd);
  require(getsockname(fd, (struct sockaddr *)&path.local, &len) == 0, "getsockname");
  path.local.sin_addr = local_address_to(&path.peer);
  long long cpu = cpu_ns();
  uint64_t  begin = io_now();
  make_connection(NULL);
  quic_write();
  io_run();
  printf("received %llu cpu_ns %lld seconds %.6f\n", (unsigned long long)received, cpu_ns() - cpu,
         (double)(io_now() - begin) / 1e9);
  return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
  if (argc == 4) return serve(argv);
  if (argc == 3) return receive(argv);
  fprintf(stderr, "usage: %s PORT MEGABYTES DIRECTORY | ADDRESS PORT\n", argv[0]);
  return 2;
}
