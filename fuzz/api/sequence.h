/* sequence.h: what the program runs. */
#ifndef UDPR_FUZZ_SEQUENCE_H
#define UDPR_FUZZ_SEQUENCE_H

#include "fuzz.h"

#include <stdarg.h>

/* Steps are numbered from 1; left_out says by its number which are not taken. How far it has come, and after how many
 * operations, can be read at `step` and `operations` at any time. */
void   run_sequence(uint64_t seed, int steps, const bool *left_out, uint64_t *step, uint64_t *operations);
size_t bytes_in_use(void);

#endif
