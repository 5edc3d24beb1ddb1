/* sys/mman.h: pages of memory, by VirtualAlloc. */
#ifndef UDPR_TESTS_WINDOWS_MMAN_H
#define UDPR_TESTS_WINDOWS_MMAN_H

#include "socket.h"

enum {
  PROT_NONE = PAGE_NOACCESS,
  PROT_READ = 0,
  PROT_WRITE = PAGE_READWRITE,
  MAP_PRIVATE = 0,
  MAP_ANONYMOUS = 0,
  _SC_PAGESIZE = 30,
};
#define MAP_FAILED NULL

static inline long sysconf(int name) {
  SYSTEM_INFO system;
  (void)name;
  GetSystemInfo(&system);
  return (long)system.dwPageSize;
}

static inline void *mmap(void *at, size_t len, int protection, int flags, int fd, long offset) {
  (void)flags, (void)fd, (void)offset;
  return VirtualAlloc(at, len, MEM_RESERVE | MEM_COMMIT, (DWORD)protection);
}

static inline int mprotect(void *at, size_t len, int protection) {
  DWORD before;
  return VirtualProtect(at, len, (DWORD)protection, &before) ? 0 : -1;
}

static inline int munmap(void *at, size_t len) {
  (void)len;
  return VirtualFree(at, 0, MEM_RELEASE) ? 0 : -1;
}

#endif
