/* sequence.h: runs the sequence of a seed. */
#ifndef UDPR_FUZZ_SEQUENCE_H
#define UDPR_FUZZ_SEQUENCE_H

#include "fuzz.h"

#include <stdarg.h>

/* Steps are numbered from 1; those with skipped[step] are left out. `step` and `operations` are updated at every step, so
 * that another process can read how far the sequence has come. */
void   run_sequence(uint64_t seed, int steps, const bool *skipped, uint64_t *step, uint64_t *operations);
size_t bytes_in_use(void);

#endif
