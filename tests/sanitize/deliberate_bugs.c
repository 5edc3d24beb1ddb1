/* Bugs that a sanitizer has to report: see scripts/sanitize. The program exits with 0 if none was reported. */
#define _GNU_SOURCE
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <udpr/udpr.h>

static void overflow_in_c(void) {
  volatile char *bytes = malloc(8);
  bytes[8] = 1;
  free((char *)bytes);
}

/* The buffer is too small, so the Rust code writes beyond its end. */
static void overflow_in_library(void) {
  udpr_addr *beyond = malloc(sizeof *beyond / 2);
  udpr_addr_parse("127.0.0.1", 9999, beyond);
  free(beyond);
}

static void leak(void) {
  char *volatile lost = strdup("lost");
  lost = NULL;
}

static void undefined(void) {
  volatile int most = INT_MAX;
  most = most + 1;
}

static udpr_addr shared;
static int       counter;

static void *count(void *unused) {
  for (int i = 0; i < 10000; i++) counter++;
  return unused;
}

static void *parse(void *unused) {
  for (int i = 0; i < 10000; i++) udpr_addr_parse("127.0.0.1", 9999, &shared);
  return unused;
}

static void run_in_two_threads(void *(*body)(void *)) {
  pthread_t threads[2];
  for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, body, NULL);
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
}

static void race_in_c(void) { run_in_two_threads(count); }
static void race_in_library(void) { run_in_two_threads(parse); }

#define BUG(name) \
  { #name, name }
static const struct {
  const char *name;
  void (*run)(void);
} bugs[] = {BUG(overflow_in_c), BUG(overflow_in_library), BUG(leak),
            BUG(undefined),     BUG(race_in_c),           BUG(race_in_library)};

int main(int argc, char **argv) {
  for (size_t i = 0; argc == 2 && i < sizeof bugs / sizeof *bugs; i++) {
    if (strcmp(argv[1], bugs[i].name) == 0) return bugs[i].run(), 0;
  }
  return fprintf(stderr, "usage: deliberate_bugs NAME\n"), 0;
}
