/* A consumer's plug-in: it runs a reactor with work on the thread pool, and returns an address inside its copy of udpr. */
#include <udpr/udpr.h>

int         plugin_runs(void);
const void *plugin_udpr(void);

static void work(void *user) { (void)user; }

static void done(udpr_reactor *reactor, void *user) {
  *(int *)user += 1;
  udpr_reactor_stop(reactor);
}

int plugin_runs(void) {
  udpr_reactor *reactor;
  int           calls = 0;
  udpr_status   status = udpr_reactor_new(0, &reactor);
  if (status != UDPR_OK) return status;
  status = udpr_reactor_call_in_thread(reactor, work, done, &calls, 0);
  if (status == UDPR_OK) status = udpr_reactor_run(reactor);
  udpr_reactor_free(reactor);
  return status == UDPR_OK && calls == 1 ? 0 : 1;
}

const void *plugin_udpr(void) { return udpr_version_string(); }
