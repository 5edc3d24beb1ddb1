/* tls.h: TLS sessions of GnuTLS for QUIC. The client does not verify the certificate, which was made for this run. */
#ifndef UDPR_BENCH_QUIC_TLS_H
#define UDPR_BENCH_QUIC_TLS_H

#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>

static const char PRIORITY[] =
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:-GROUP-ALL:+GROUP-X25519:"
    "+GROUP-SECP256R1:%DISABLE_TLS13_COMPAT_MODE";

static inline void tls_require(int result, const char *what) {
  if (result >= 0) return;
  fprintf(stderr, "%s: %s\n", what, gnutls_strerror(result));
  exit(EXIT_FAILURE);
}

/* Makes the session of a server with the certificate and the key in `directory`, or that of a client if it is NULL. */
static inline gnutls_session_t tls_session(const char *directory, void *connection) {
  gnutls_session_t                 session;
  gnutls_certificate_credentials_t credentials;
  unsigned       flags = directory != NULL ? GNUTLS_SERVER | GNUTLS_NO_AUTO_SEND_TICKET : GNUTLS_CLIENT;
  gnutls_datum_t protocol = {.data = (unsigned char *)"bench", .size = 5};
  tls_require(gnutls_certificate_allocate_credentials(&credentials), "credentials");
  tls_require(gnutls_init(&session, flags | GNUTLS_NO_END_OF_EARLY_DATA), "gnutls_init");
  tls_require(gnutls_priority_set_direct(session, PRIORITY, NULL), "priority");
  if (directory != NULL) {
    char certificate[4096], key[4096];
    snprintf(certificate, sizeof certificate, "%s/certificate.pem", directory);
    snprintf(key, sizeof key, "%s/key.pem", directory);
    tls_require(gnutls_certificate_set_x509_key_file(credentials, certificate, key, GNUTLS_X509_FMT_PEM),
                key);
    tls_require(ngtcp2_crypto_gnutls_configure_server_session(session), "server session");
  } else {
    tls_require(ngtcp2_crypto_gnutls_configure_client_session(session), "client session");
  }
  gnutls_session_set_ptr(session, connection);
  tls_require(gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials), "credentials_set");
  tls_require(gnutls_alpn_set_protocols(session, &protocol, 1, GNUTLS_ALPN_MANDATORY), "alpn");
  return session;
}

#endif
