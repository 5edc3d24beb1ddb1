/* dns.h: a DNS server's answer to every query: the address 192.0.2.1, valid for 300 s. */
#include "server.h"

enum { DNS_HEADER = 12, DNS_RECORD = 16, DNS_MAX = 512 };

/* Returns the length of the only question of a query, with its header, or 0 if this is no such query. */
static inline size_t dns_question_end(const unsigned char *query, size_t len) {
  size_t at = DNS_HEADER;
  if (len < DNS_HEADER || len > DNS_MAX || (query[2] & 0x80) != 0 || query[4] != 0 || query[5] != 1) return 0;
  while (at < len && query[at] != 0) at += 1 + (size_t)query[at];
  return at + 5 <= len ? at + 5 : 0;
}

/* Turns the query into its answer, for which there are DNS_MAX + DNS_RECORD bytes of room. Returns the answer's length,
 * or 0 if there is none.
 */
static inline size_t dns_answer(unsigned char *message, size_t len) {
  static const unsigned char counts[] = {0, 1, 0, 1, 0, 0, 0, 0};
  static const unsigned char record[DNS_RECORD] = {0xc0, DNS_HEADER, 0, 1, 0,   1, 0, 0,
                                                   1,    44,         0, 4, 192, 0, 2, 1};
  size_t                     end = dns_question_end(message, len);
  if (end == 0) return 0;
  message[2] = 0x84 | (message[2] & 0x79); /* a response with authority; the opcode and RD are the query's */
  message[3] = 0;
  memcpy(message + 4, counts, sizeof counts);
  memcpy(message + end, record, sizeof record);
  return end + DNS_RECORD;
}
