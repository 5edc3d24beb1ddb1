/* sequence.c: one sequence from its seed to the check of what is left. */
#include "sequence.h"

#include <dirent.h>

world             w;
bool              tracing, own_network;
_Thread_local int me;

/* ---- chance -------------------------------------------------------------------------------------------------- */

static uint64_t                main_state;
static _Thread_local uint64_t *state = &main_state;

/* splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators). */
static uint64_t mix(uint64_t *at) {
  uint64_t z = *at += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

uint64_t random_word(void) { return mix(state); }

/* Each step has numbers of its own, so that the others stay as they are where one is left out. */
void random_seed(uint64_t seed, uint64_t step) {
  *state = seed;
  uint64_t first = mix(state);
  *state = first ^ (step * 0xd1342543de82ef95);
  mix(state);
}

/* ---- failures ------------------------------------------------------------------------------------------------ */

static uint64_t *current_step, *operations_done;

void fail_at(const char *file, int line, const char *format, ...) {
  va_list args;
  va_start(args, format);
  fprintf(stderr, "%s:%d: ", file, line);
  vfprintf(stderr, format, args);
  fprintf(stderr, "\n  seed %llu, step %llu, thread %d\n", (unsigned long long)w.seed,
          (unsigned long long)*current_step, me);
  va_end(args);
  abort();
}

/* ---- operations ---------------------------------------------------------------------------------------------- */

static const operation *const chapters[] = {life_operations,  event_operations, port_operations,
                                            write_operations, group_operations, thread_operations,
                                            plain_operations};

void any_operation(void) {
  uint32_t total = 0;
  for (size_t i = 0; i < sizeof chapters / sizeof *chapters; i++)
    for (const operation *one = chapters[i]; one->run; one++) total += one->weight;
  uint32_t chosen = below(total);
  for (size_t i = 0; i < sizeof chapters / sizeof *chapters; i++)
    for (const operation *one = chapters[i]; one->run; one++) {
      if (chosen < one->weight) {
        w.ops_left--;
        ++*operations_done;
        one->run();
        return;
      }
      chosen -= one->weight;
    }
}

/* ---- the other thread of the lockstep ------------------------------------------------------------------------ */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t  change = PTHREAD_COND_INITIALIZER;
static pthread_t       other;
static bool            other_lives, other_ends;
static void (*job)(void);

static void *other_main(void *argument) {
  (void)argument;
  me = 1;
  state = &main_state;
  pthread_mutex_lock(&lock);
  while (!other_ends) {
    if (job) {
      job();
      job = NULL;
      pthread_cond_broadcast(&change);
    } else {
      pthread_cond_wait(&change, &lock);
    }
  }
  pthread_mutex_unlock(&lock);
  return NULL;
}

void elsewhere(void (*run)(void)) {
  if (!other_lives) MUST(pthread_create(&other, NULL, other_main, NULL) == 0);
  other_lives = true;
  pthread_mutex_lock(&lock);
  job = run;
  pthread_cond_broadcast(&change);
  while (job) pthread_cond_wait(&change, &lock);
  pthread_mutex_unlock(&lock);
}

static void end_other(void) {
  if (!other_lives) return;
  pthread_mutex_lock(&lock);
  other_ends = true;
  pthread_cond_broadcast(&change);
  pthread_mutex_unlock(&lock);
  pthread_join(other, NULL);
  other_lives = other_ends = false;
}

/* ---- threads that run free ----------------------------------------------------------------------------------- */

enum { RUNNERS = 2, ROUNDS = 60 };

/* They use what any thread may, by references of their own, while reactors turn and end. */
typedef struct runner {
  pthread_t       thread;
  int             number;
  uint64_t        state;
  udpr_remote    *remotes[DOORS];
  home           *homes[DOORS];
  udpr_transport *transports[PORTS];
  udpr_addr       hosts[PORTS];
  user            users[ROUNDS];
} runner;

static runner runners[RUNNERS];

static void call_remote(runner *runner, user *user, int index) {
  *user = (struct user){.kind = THREAD_CALL, .home = runner->homes[index], .frees = true, .fd = -1};
  atomic_store(&user->live, true);
  CALL(NULL, udpr_remote_call, runner->remotes[index], on_call, user, free_fn(user));
  if (!EXPECT(UDPR_OK, UDPR_E_CLOSED)) refused(user);
}

static void *run_free(void *argument) {
  runner *runner = argument;
  me = runner->number;
  state = &runner->state;
  for (int round = 0; round < ROUNDS; round++) {
    int door = (int)below(DOORS), port = (int)below(PORTS);
    if (runner->remotes[door]) {
      call_remote(runner, &runner->users[round], door);
      CALL(NULL, udpr_remote_wake, runner->remotes[door]);
      EXPECT(UDPR_OK, UDPR_E_CLOSED);
      udpr_remote_release(TAKE(udpr_remote *, NULL, udpr_remote_retain, runner->remotes[door]));
      if (one_in(8))
        CALL(NULL, udpr_remote_stop, runner->remotes[door]),
            EXPECT(UDPR_OK, UDPR_E_NOT_RUNNING, UDPR_E_CLOSED);
    }
    if (runner->transports[port]) {
      uint8_t data[100];
      size_t  len = below(sizeof data);
      fill(data, len);
      CALL(NULL, udpr_transport_post, runner->transports[port], data, len, &runner->hosts[below(PORTS)]);
      EXPECT(UDPR_OK, UDPR_E_CLOSED, UDPR_E_WOULD_BLOCK, UDPR_E_ADDRESS_FAMILY, UDPR_E_INVALID_ARGUMENT,
             UDPR_E_WRONG_PEER);
      udpr_transport_release(TAKE(udpr_transport *, NULL, udpr_transport_retain, runner->transports[port]));
    }
  }
  return NULL;
}

static void start_runners(void) {
  w.runs_free = true;
  for (int i = 0; i < RUNNERS; i++) {
    runner *runner = &runners[i];
    *runner = (struct runner){.number = 2 + i, .state = random_word()};
    for (int j = 0; j < DOORS; j++)
      if (w.doors[j].held > 0 && !w.doors[j].closed) {
        runner->remotes[j] = udpr_remote_retain(w.doors[j].remote), runner->homes[j] = w.doors[j].home;
      }
    for (int j = 0; j < PORTS; j++) {
      if (w.ports[j].held > 0) runner->transports[j] = udpr_transport_retain(w.ports[j].transport);
      runner->hosts[j] = w.ports[j].host;
    }
    MUST(pthread_create(&runner->thread, NULL, run_free, runner) == 0);
  }
}

static void join_runners(void) {
  for (int i = 0; i < RUNNERS && w.runs_free; i++) {
    pthread_join(runners[i].thread, NULL);
    for (int j = 0; j < DOORS; j++) udpr_remote_release(runners[i].remotes[j]);
    for (int j = 0; j < PORTS; j++) udpr_transport_release(runners[i].transports[j]);
  }
}

static void check_runners(void) {
  for (int i = 0; i < RUNNERS && w.runs_free; i++)
    for (int j = 0; j < ROUNDS; j++)
      if (runners[i].users[j].frees) must_be_freed(&runners[i].users[j]);
  w.runs_free = false;
}

/* ---- the whole ----------------------------------------------------------------------------------------------- */

static const char descriptors[] = "/proc/self/fd", threads[] = "/proc/self/task";

static void free_homes(void) {
  for (int i = 0; i < HOMES; i++) {
    home *home = &w.homes[i];
    if (home->reactor && (home->pinned_by < 0 || home->pinned_by == me)) free_home(home);
  }
}

/* What outlives its reactor is closed, and can be let go. */
static void let_go(void) {
  for (int i = 0; i < PORTS; i++) {
    port *port = &w.ports[i];
    if (port->held > 0) {
      CALL(NULL, udpr_transport_write, port->transport, "", 0, NULL);
      EXPECT(UDPR_E_CLOSED);
      MUST(udpr_transport_user(port->transport) == NULL && udpr_transport_fileno(port->transport) == -1);
    }
    while (port->held-- > 0) udpr_transport_release(port->transport);
  }
  for (int i = 0; i < DOORS; i++) {
    if (w.doors[i].held > 0) CALL(NULL, udpr_remote_stop, w.doors[i].remote), EXPECT(UDPR_E_CLOSED);
    while (w.doors[i].held-- > 0) udpr_remote_release(w.doors[i].remote);
  }
}

static int entries(const char *path) {
  DIR *dir = opendir(path);
  int  count = 0;
  MUST(dir != NULL);
  while (readdir(dir)) count++;
  closedir(dir);
  return count;
}

static void end_sequence(void) {
  bool join_late = one_in(2);
  w.ops_left = 20;
  if (!join_late) join_runners();
  elsewhere(free_homes);
  free_homes();
  w.ops_left = 0; /* what they made at their end makes no more */
  elsewhere(free_homes);
  free_homes();
  if (join_late) join_runners();
  check_runners();
  for (int i = 0; i < HOMES; i++) MUST(w.homes[i].reactor == NULL);
  let_go();
  slow_names_end();
  end_other();
  /* A thread that looked a slow name up lives on behind its reactor, and holds a part of it until it ends. */
  while (entries(threads) > 3) usleep(100);
  faults_begin(false, 0);
  for (int i = 0; i < atomic_load(&w.user_count); i++) {
    if (atomic_load(&w.users[i]->busy)) FAIL("a callback has not returned");
    must_be_freed(w.users[i]);
    free(w.users[i]);
  }
  for (int i = 0; i < PIPES; i++)
    for (int end = 0; end < 2; end++)
      if (w.pipes[i][end] >= 0) close(w.pipes[i][end]);
}

void run_sequence(uint64_t seed, int steps, const bool *left_out, uint64_t *step, uint64_t *operations) {
  current_step = step, operations_done = operations;
  *step = *operations = 0;
  int before = entries(descriptors);
  w = (world){.seed = seed};
  memset(w.pipes, -1, sizeof w.pipes);
  random_seed(seed, 0);
  faults_begin(one_in(3), random_word());
  bool runs_free = one_in(4);
  make_home();
  for (*step = 1; *step <= (uint64_t)steps; ++*step) {
    random_seed(seed, *step);
    w.ops_left = 30;
    w.depth = 0;
    if (runs_free && *step == 40) start_runners();
    if (left_out[*step]) continue;
    TRACE("step %d\n", (int)*step);
    any_operation();
    if (atomic_load(&w.user_count) > USERS - 200) break;
  }
  random_seed(seed, UINT64_MAX);
  end_sequence();
  int left = entries(descriptors) - before;
  if (left != 0) FAIL("%d descriptors are left open", left);
}

/* sanitizer/allocator_interface.h, which gcc does not install. */
size_t __sanitizer_get_current_allocated_bytes(void);

size_t bytes_in_use(void) { return __sanitizer_get_current_allocated_bytes(); }
