/* Functions that programs built for ThreadSanitizer need in addition to gcc's libtsan. */
#include <pthread.h>
#include <string.h>

/* The names by which rustc's code calls these functions. libtsan only has the plain names. */
void *__tsan_memcpy(void *to, const void *from, size_t len);
void *__tsan_memmove(void *to, const void *from, size_t len);
void *__tsan_memset(void *to, int byte, size_t len);

void *__tsan_memcpy(void *to, const void *from, size_t len) { return memcpy(to, from, len); }
void *__tsan_memmove(void *to, const void *from, size_t len) { return memmove(to, from, len); }
void *__tsan_memset(void *to, int byte, size_t len) { return memset(to, byte, len); }

static void *return_at_once(void *arg) { return arg; }

/* Together with the first thread of a process, libtsan starts a thread of its own. This makes it start before a test counts
 * threads. */
__attribute__((constructor)) static void start_its_thread(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, return_at_once, NULL) == 0) pthread_join(thread, NULL);
}
