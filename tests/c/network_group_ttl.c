/* The TTL of one datagram that goes to a group: 0 keeps it on this host, more lets it reach others. Linux takes a TTL of 0 as control
 * data only for IPv6; for IPv4 the socket has it meanwhile.
 */
#include "recorder.h"
#include "two_hosts.h"

enum { DEFAULT = 7 };

typedef struct kind {
  const char *any, *group;
} kind;

/* The last one is a group of IPv4 on a dual-stack port. */
static const kind KINDS[] = {{"0.0.0.0", "239.1.2.3"}, {"::", "ff05::1:3"}, {"::", "::ffff:239.1.2.3"}};
enum { KIND_COUNT = sizeof KINDS / sizeof *KINDS };

typedef struct fixture {
  two_hosts     hosts;
  udpr_reactor *reactor;
  recorder      sender, near, far;
  udpr_addr     group;
} fixture;

static void join(recorder *member, const char *device, const udpr_addr *group) {
  OK(udpr_transport_join_group(member->transport, group, interface_index(device)));
}

static void set_up(fixture *f, const kind *kind, uint32_t flags) {
  *f = (fixture){.reactor = new_reactor(0)};
  two_hosts_create(&f->hosts);
  f->group = addr(kind->group, 5000);
  recorder_listen(&f->sender, f->reactor, kind->any, 0, flags);
  OK(udpr_transport_set_outgoing_interface(f->sender.transport, interface_index("near")));
  OK(udpr_transport_set_ttl(f->sender.transport, DEFAULT));
  recorder_listen(&f->near, f->reactor, kind->any, 5000, UDPR_UDP_TTL);
  join(&f->near, "near", &f->group);
  enter_far_host(&f->hosts);
  recorder_listen(&f->far, f->reactor, kind->any, 5000, UDPR_UDP_TTL);
  join(&f->far, "far", &f->group);
  enter_near_host(&f->hosts);
}

static void tear_down(fixture *f) {
  recorder_close(&f->sender);
  recorder_close(&f->near);
  recorder_close(&f->far);
  OK(udpr_reactor_free(f->reactor));
  two_hosts_close(&f->hosts);
}

static udpr_message with_ttl(const fixture *f, const char *text, uint32_t ttl) {
  return (udpr_message){.size = sizeof(udpr_message),
                        .data = text,
                        .len = strlen(text),
                        .to = &f->group,
                        .flags = UDPR_MESSAGE_TTL,
                        .ttl = ttl};
}

static void expect(fixture *f, recorder *member, const char *text, int ttl) {
  CHECK_EQ(ttl, recorder_expect(f->reactor, member, text)->datagram.ttl);
}

/* Everything that reaches a host is received in order, so what is missing was not sent there. */
static void check_writes(fixture *f) {
  const uint32_t ttls[] = {0, 2, 0};
  for (int i = 0; i < 3; i++) {
    udpr_message message = with_ttl(f, "given", ttls[i]);
    OK(udpr_transport_write_messages(f->sender.transport, &message, 1, &(size_t){0}));
    expect(f, &f->near, "given", (int)ttls[i]);
  }
  write_text(f->sender.transport, "default", &f->group);
  expect(f, &f->near, "default", DEFAULT);
  expect(f, &f->far, "given", 2);
  expect(f, &f->far, "default", DEFAULT);
}

TEST(alone) {
  for (int i = 0; i < KIND_COUNT; i++) {
    fixture f;
    set_up(&f, &KINDS[i], 0);
    check_writes(&f);
    tear_down(&f);
  }
}

TEST(unbatched_with_error_reports) {
  for (int i = 0; i < KIND_COUNT; i++) {
    fixture f;
    set_up(&f, &KINDS[i], UDPR_UDP_UNBATCHED | UDPR_UDP_ERROR_REPORTS);
    check_writes(&f);
    tear_down(&f);
  }
}

static void write_mixed(udpr_reactor *reactor, void *user) {
  fixture     *f = user;
  udpr_message cut = with_ttl(f, "cut", 0);
  (void)reactor;
  write_text(f->sender.transport, "x", &f->group);
  cut.segment_size = 1;
  OK(udpr_transport_write_messages(f->sender.transport, &cut, 1, &(size_t){0}));
  write_text(f->sender.transport, "y", &f->group);
  write_text(f->sender.transport, "z", &f->group);
}

/* In one batch, and merged: only the datagrams of that message have it. */
TEST(among_others_in_one_batch) {
  for (int i = 0; i < KIND_COUNT; i++) {
    fixture f;
    set_up(&f, &KINDS[i], 0);
    OK(udpr_reactor_call_later(f.reactor, 0, write_mixed, &f, NULL, NULL));
    const char *all[] = {"x", "c", "u", "t", "y", "z"};
    for (int n = 0; n < 6; n++) expect(&f, &f.near, all[n], n == 0 || n > 3 ? DEFAULT : 0);
    const char *others[] = {"x", "y", "z"};
    for (int n = 0; n < 3; n++) expect(&f, &f.far, others[n], DEFAULT);
    CHECK_EQ(6, stats_of(f.sender.transport).datagrams_out);
    tear_down(&f);
  }
}

TEST(posted_to_the_peer_of_a_connected_port) {
  for (int i = 0; i < KIND_COUNT; i++) {
    fixture f;
    set_up(&f, &KINDS[i], 0);
    OK(udpr_transport_connect(f.sender.transport, &f.group));
    udpr_message message = with_ttl(&f, "posted", 0);
    message.to = NULL;
    OK(udpr_transport_post_message(f.sender.transport, &message));
    expect(&f, &f.near, "posted", 0);
    write_text(f.sender.transport, "default", NULL);
    expect(&f, &f.far, "default", DEFAULT);
    tear_down(&f);
  }
}

CHECK_MAIN()
