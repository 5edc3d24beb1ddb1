/* calls_libuv: uv_async_send, which only wakes the loop, and a queue with a mutex. The loop swaps the queue for an empty
 * one, so that it holds the mutex only briefly.
 */
#define _GNU_SOURCE
#include "calls.h"

#include <uv.h>

typedef struct entry {
  void (*fn)(void *user);
  void *user;
} entry;

typedef struct queue {
  entry *entries;
  size_t count, capacity;
} queue;

static uv_loop_t *loop;
static uv_async_t async;
static uv_mutex_t mutex;
static queue      waiting, running; /* the mutex protects `waiting` */

static void drain(uv_async_t *handle) {
  (void)handle;
  uv_mutex_lock(&mutex);
  queue taken = waiting;
  waiting = running;
  uv_mutex_unlock(&mutex);
  for (size_t i = 0; i < taken.count; i++) taken.entries[i].fn(taken.entries[i].user);
  taken.count = 0;
  running = taken;
}

static void prepare(void) {
  loop = uv_default_loop();
  uv_mutex_init(&mutex);
  uv_async_init(loop, &async, drain);
}

static void called(void *user) {
  (void)user;
  count_call();
}

static void call(void) {
  uv_mutex_lock(&mutex);
  if (waiting.count == waiting.capacity) {
    waiting.capacity = waiting.capacity == 0 ? 64 : 2 * waiting.capacity;
    waiting.entries = realloc(waiting.entries, waiting.capacity * sizeof *waiting.entries);
  }
  waiting.entries[waiting.count++] = (entry){.fn = called};
  uv_mutex_unlock(&mutex);
  uv_async_send(&async);
}

static void run(void) { uv_run(loop, UV_RUN_DEFAULT); }

static void stop(void) { uv_stop(loop); }
