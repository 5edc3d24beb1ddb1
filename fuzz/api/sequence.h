/* sequence.h: what the program runs. */
#ifndef UDPR_FUZZ_SEQUENCE_H
#define UDPR_FUZZ_SEQUENCE_H

#include "fuzz.h"

#include <stdarg.h>

/* Steps are numbered from 1; left_out (NULL: none) says by its number which are not taken. */
void   run_sequence(uint64_t seed, int steps, const bool *left_out);
size_t bytes_in_use(void);

#endif
