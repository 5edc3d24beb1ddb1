/* What programs that are built for ThreadSanitizer need beside gcc's libtsan. */
#include <pthread.h>
#include <string.h>

/* What rustc's code calls, and libtsan knows by the plain names only. */
void *__tsan_memcpy(void *to, const void *from, size_t len);
void *__tsan_memmove(void *to, const void *from, size_t len);
void *__tsan_memset(void *to, int byte, size_t len);

void *__tsan_memcpy(void *to, const void *from, size_t len) { return memcpy(to, from, len); }
void *__tsan_memmove(void *to, const void *from, size_t len) { return memmove(to, from, len); }
void *__tsan_memset(void *to, int byte, size_t len) { return memset(to, byte, len); }

static void *return_at_once(void *arg) { return arg; }

/* With a process's first thread libtsan starts one of its own: now, before a test counts threads. */
__attribute__((constructor)) static void start_its_thread(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, return_at_once, NULL) == 0) pthread_join(thread, NULL);
}
