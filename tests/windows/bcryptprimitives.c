/* bcryptprimitives.dll for Wine before 8.13, which has no such library: the random numbers of Rust's standard library. Only for
 * tests; Windows has it.
 */
#include <windows.h>

BOOLEAN NTAPI SystemFunction036(PVOID, ULONG); /* RtlGenRandom */

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T len) {
  return SystemFunction036(data, (ULONG)len);
}
