/* sequence.c: runs one sequence, and checks at its end that nothing is left. */
#include "sequence.h"

#include <dirent.h>

model_state       model;
bool              tracing, own_network;
_Thread_local int thread_number;

/* ---- random numbers -------------------------------------------------------------------------------------------------- */

static uint64_t                main_state;
static _Thread_local uint64_t *state = &main_state;

/* splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators). */
static uint64_t splitmix64(uint64_t *at) {
  uint64_t z = *at += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

uint64_t random_u64(void) { return splitmix64(state); }

/* The numbers of a step depend only on the seed and the step, so that skipping a step does not change the others. */
void seed_random(uint64_t seed, uint64_t step) {
  *state = seed;
  uint64_t first = splitmix64(state);
  *state = first ^ (step * 0xd1342543de82ef95);
  splitmix64(state);
}

/* ---- failures ------------------------------------------------------------------------------------------------ */

static uint64_t *current_step, *operations_done;

void fail_at(const char *file, int line, const char *format, ...) {
  va_list args;
  va_start(args, format);
  fprintf(stderr, "%s:%d: ", file, line);
  vfprintf(stderr, format, args);
  fprintf(stderr, "\n  seed %llu, step %llu, thread %d\n", (unsigned long long)model.seed,
          (unsigned long long)*current_step, thread_number);
  va_end(args);
  abort();
}

/* ---- operations ---------------------------------------------------------------------------------------------- */

static const operation *const operation_tables[] = {reactor_operations, event_operations, notice_operations,
                                                    port_operations,    write_operations, group_operations,
                                                    thread_operations,  misc_operations};

void run_random_operation(void) {
  uint32_t total = 0;
  for (size_t i = 0; i < sizeof operation_tables / sizeof *operation_tables; i++)
    for (const operation *one = operation_tables[i]; one->run; one++) total += one->weight;
  uint32_t chosen = below(total);
  for (size_t i = 0; i < sizeof operation_tables / sizeof *operation_tables; i++)
    for (const operation *one = operation_tables[i]; one->run; one++) {
      if (chosen < one->weight) {
        model.ops_left--;
        ++*operations_done;
        one->run();
        return;
      }
      chosen -= one->weight;
    }
}

/* ---- the second thread, in lockstep ------------------------------------------------------------------------ */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t  change = PTHREAD_COND_INITIALIZER;
static pthread_t       second;
static bool            second_runs, second_ends;
static void (*task)(void);

static void *second_main(void *argument) {
  (void)argument;
  thread_number = 1;
  state = &main_state;
  pthread_mutex_lock(&lock);
  while (!second_ends) {
    if (task) {
      task();
      task = NULL;
      pthread_cond_broadcast(&change);
    } else {
      pthread_cond_wait(&change, &lock);
    }
  }
  pthread_mutex_unlock(&lock);
  return NULL;
}

void run_on_other_thread(void (*run)(void)) {
  if (!second_runs) ASSERT(pthread_create(&second, NULL, second_main, NULL) == 0);
  second_runs = true;
  pthread_mutex_lock(&lock);
  task = run;
  pthread_cond_broadcast(&change);
  while (task) pthread_cond_wait(&change, &lock);
  pthread_mutex_unlock(&lock);
}

static void end_second_thread(void) {
  if (!second_runs) return;
  pthread_mutex_lock(&lock);
  second_ends = true;
  pthread_cond_broadcast(&change);
  pthread_mutex_unlock(&lock);
  pthread_join(second, NULL);
  second_runs = second_ends = false;
}

/* ---- free threads ----------------------------------------------------------------------------------- */

enum { FREE_THREADS = 2, ROUNDS = 60 };

/* Free threads use functions that any thread may call, with references of their own, while reactors run and end. */
typedef struct free_thread {
  pthread_t       thread;
  int             number;
  uint64_t        state;
  udpr_remote    *remotes[REMOTES];
  loop           *loops[REMOTES];
  udpr_transport *transports[PORTS];
  udpr_addr       hosts[PORTS];
  registration    registrations[ROUNDS];
} free_thread;

static free_thread free_threads[FREE_THREADS];

static void call_remote(free_thread *free_thread, registration *reg, int index) {
  *reg = (struct registration){.kind = THREAD_CALL,
                               .loop = free_thread->loops[index],
                               .has_free = true,
                               .fd = -1};
  atomic_store(&reg->live, true);
  CALL(NULL, udpr_remote_call, free_thread->remotes[index], on_call, reg, free_fn(reg));
  if (!EXPECT(UDPR_OK, UDPR_E_CLOSED)) check_rejected(reg);
}

static void *run_free_thread(void *argument) {
  free_thread *free_thread = argument;
  thread_number = free_thread->number;
  state = &free_thread->state;
  for (int round = 0; round < ROUNDS; round++) {
    int remote = (int)below(REMOTES), port = (int)below(PORTS);
    if (free_thread->remotes[remote]) {
      call_remote(free_thread, &free_thread->registrations[round], remote);
      CALL(NULL, udpr_remote_wake, free_thread->remotes[remote]);
      EXPECT(UDPR_OK, UDPR_E_CLOSED);
      udpr_remote_release(CALL_VALUE(udpr_remote *, NULL, udpr_remote_retain, free_thread->remotes[remote]));
      if (one_in(8))
        CALL(NULL, udpr_remote_stop, free_thread->remotes[remote]),
            EXPECT(UDPR_OK, UDPR_E_NOT_RUNNING, UDPR_E_CLOSED);
    }
    if (free_thread->transports[port]) {
      uint8_t data[100];
      size_t  len = below(sizeof data);
      fill(data, len);
      const udpr_addr *to = &free_thread->hosts[below(PORTS)];
      udpr_bytes       pieces[] = {{data, len}, {NULL, 0}};
      udpr_message     message = {.size = sizeof message, .to = to, .pieces = pieces, .piece_count = 2};
      message.flags = UDPR_MESSAGE_PIECES, message.tag = below(MAX_TAG);
      if (one_in(2)) CALL(NULL, udpr_transport_post_message, free_thread->transports[port], &message);
      else CALL(NULL, udpr_transport_post, free_thread->transports[port], data, len, to);
      EXPECT(UDPR_OK, UDPR_E_CLOSED, UDPR_E_WOULD_BLOCK, UDPR_E_ADDRESS_FAMILY, UDPR_E_INVALID_ARGUMENT,
             UDPR_E_WRONG_PEER);
      udpr_transport_release(
          CALL_VALUE(udpr_transport *, NULL, udpr_transport_retain, free_thread->transports[port]));
    }
  }
  return NULL;
}

static void start_free_threads(void) {
  model.free_threads = true;
  for (int i = 0; i < FREE_THREADS; i++) {
    free_thread *free_thread = &free_threads[i];
    *free_thread = (struct free_thread){.number = 2 + i, .state = random_u64()};
    for (int j = 0; j < REMOTES; j++)
      if (model.remotes[j].references > 0 && !model.remotes[j].closed) {
        free_thread->remotes[j] = udpr_remote_retain(model.remotes[j].handle),
        free_thread->loops[j] = model.remotes[j].loop;
      }
    for (int j = 0; j < PORTS; j++) {
      if (model.ports[j].references > 0)
        free_thread->transports[j] = udpr_transport_retain(model.ports[j].transport);
      free_thread->hosts[j] = model.ports[j].host;
    }
    ASSERT(pthread_create(&free_thread->thread, NULL, run_free_thread, free_thread) == 0);
  }
}

static void join_free_threads(void) {
  for (int i = 0; i < FREE_THREADS && model.free_threads; i++) {
    pthread_join(free_threads[i].thread, NULL);
    for (int j = 0; j < REMOTES; j++) udpr_remote_release(free_threads[i].remotes[j]);
    for (int j = 0; j < PORTS; j++) udpr_transport_release(free_threads[i].transports[j]);
  }
}

static void check_free_threads(void) {
  for (int i = 0; i < FREE_THREADS && model.free_threads; i++)
    for (int j = 0; j < ROUNDS; j++)
      if (free_threads[i].registrations[j].has_free) must_be_freed(&free_threads[i].registrations[j]);
  model.free_threads = false;
}

/* ---- the sequence ----------------------------------------------------------------------------------------------- */

static const char descriptors[] = "/proc/self/fd", threads[] = "/proc/self/task";

static void free_loops(void) {
  for (int i = 0; i < LOOPS; i++) {
    loop *loop = &model.loops[i];
    if (loop->reactor && (loop->pinned_by < 0 || loop->pinned_by == thread_number)) free_loop(loop);
  }
}

/* Transports and remotes that outlive their reactor are closed, and can be released. */
static void release_handles(void) {
  for (int i = 0; i < PORTS; i++) {
    port *port = &model.ports[i];
    if (port->references > 0) {
      CALL(NULL, udpr_transport_write, port->transport, "", 0, NULL);
      EXPECT(UDPR_E_CLOSED);
      ASSERT(udpr_transport_user(port->transport) == NULL && udpr_transport_fileno(port->transport) == -1);
    }
    while (port->references-- > 0) udpr_transport_release(port->transport);
  }
  for (int i = 0; i < REMOTES; i++) {
    if (model.remotes[i].references > 0)
      CALL(NULL, udpr_remote_stop, model.remotes[i].handle), EXPECT(UDPR_E_CLOSED);
    while (model.remotes[i].references-- > 0) udpr_remote_release(model.remotes[i].handle);
  }
}

static int count_entries(const char *path) {
  DIR *dir = opendir(path);
  int  count = 0;
  ASSERT(dir != NULL);
  while (readdir(dir)) count++;
  closedir(dir);
  return count;
}

static void end_sequence(void) {
  bool join_late = one_in(2);
  model.ops_left = 20;
  if (!join_late) join_free_threads();
  run_on_other_thread(free_loops);
  free_loops();
  model.ops_left = 0; /* callbacks run no more operations, so no new reactors are created */
  run_on_other_thread(free_loops);
  free_loops();
  if (join_late) join_free_threads();
  check_free_threads();
  for (int i = 0; i < LOOPS; i++) ASSERT(model.loops[i].reactor == NULL);
  ASSERT(signals_are_ignored());
  release_handles();
  end_slow_lookups();
  end_second_thread();
  /* A thread with a slow look-up outlives its reactor, and holds memory until it ends. */
  while (count_entries(threads) > 3) usleep(100);
  begin_faults(false, 0);
  for (int i = 0; i < atomic_load(&model.registration_count); i++) {
    if (atomic_load(&model.registrations[i]->busy)) FAIL("a callback has not returned");
    must_be_freed(model.registrations[i]);
    free(model.registrations[i]);
  }
  for (int i = 0; i < PIPES; i++)
    for (int end = 0; end < 2; end++)
      if (model.pipes[i][end] >= 0) close(model.pipes[i][end]);
}

void run_sequence(uint64_t seed, int steps, const bool *skipped, uint64_t *step, uint64_t *operations) {
  current_step = step, operations_done = operations;
  *step = *operations = 0;
  int before = count_entries(descriptors);
  model = (model_state){.seed = seed};
  memset(model.pipes, -1, sizeof model.pipes);
  seed_random(seed, 0);
  begin_faults(one_in(3), random_u64());
  bool with_free_threads = one_in(4);
  make_loop();
  for (*step = 1; *step <= (uint64_t)steps; ++*step) {
    seed_random(seed, *step);
    model.ops_left = 30;
    model.depth = 0;
    if (with_free_threads && *step == 40) start_free_threads();
    if (skipped[*step]) continue;
    TRACE("step %d\n", (int)*step);
    run_random_operation();
    if (atomic_load(&model.registration_count) > MAX_REGISTRATIONS - 200) break;
  }
  seed_random(seed, UINT64_MAX);
  end_sequence();
  int left = count_entries(descriptors) - before;
  if (left != 0) FAIL("%d descriptors were left open", left);
}

/* Declared in sanitizer/allocator_interface.h, which gcc does not install. */
size_t __sanitizer_get_current_allocated_bytes(void);

size_t bytes_in_use(void) { return __sanitizer_get_current_allocated_bytes(); }
