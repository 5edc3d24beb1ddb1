/* check_start.h: each case of check.h runs in a process that starts the program again, for Windows, which has no fork. */
#ifndef UDPR_TESTS_CHECK_START_H
#define UDPR_TESTS_CHECK_START_H

#include <io.h>
#include <sys/socket.h>

#define LOOPBACK "loopback_1" /* as Wine calls it */

/* Counts the sockets: the system and its libraries open other handles when they like. */
static inline int check_count_descriptors(void) {
  int count = 0;
  for (int handle = 4; handle < 4096; handle += 4) count += posix_is_socket(handle);
  return count;
}

/* Ends a case that takes too long, as alarm(2) does. */
static inline DWORD WINAPI check_end_late(void *unused) {
  (void)unused;
  Sleep(check_seconds() * 1000);
  check_exit(CHECK_FAILED, "timed out after %u s", check_seconds());
}

/* The environment names the case and the shared memory to a started process, which runs the case here. */
static inline bool check_prepare(void) {
  WSADATA     data;
  char        name[64];
  const char *chosen = getenv("UDPR_CHECK_CASE"), *shared = getenv("UDPR_CHECK_RESULT");
  snprintf(name, sizeof name, "udpr-check-%lu", GetCurrentProcessId());
  if (!chosen) SetEnvironmentVariableA("UDPR_CHECK_RESULT", name), shared = name;
  HANDLE memory =
      CreateFileMappingA(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, sizeof *check_result, shared);
  if (!memory) return false;
  check_result = MapViewOfFile(memory, FILE_MAP_WRITE, 0, 0, 0);
  if (!check_result || WSAStartup(MAKEWORD(2, 2), &data) != 0) return false;
  _setmode(1, _O_BINARY);
  SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX); /* no window after a crash; it is inherited */
  if (!chosen) return true;
  CreateThread(NULL, 0, check_end_late, NULL, 0, NULL);
  for (const check_case *one = check_first; one; one = one->next)
    if (strcmp(one->name, chosen) == 0) check_run_case(one);
  return false;
}

static inline int check_run_alone(const check_case *one) {
  char                program[MAX_PATH];
  STARTUPINFOA        startup = {.cb = sizeof startup};
  PROCESS_INFORMATION child;
  DWORD               code;
  char               *text = check_result->text;
  fflush(stdout);
  SetEnvironmentVariableA("UDPR_CHECK_CASE", one->name);
  GetModuleFileNameA(NULL, program, sizeof program);
  if (!CreateProcessA(program, NULL, NULL, NULL, TRUE, 0, NULL, NULL, &startup, &child)) {
    snprintf(text, sizeof check_result->text, "the program does not start: error %lu", GetLastError());
    return CHECK_FAILED;
  }
  WaitForSingleObject(child.hProcess, INFINITE);
  GetExitCodeProcess(child.hProcess, &code);
  CloseHandle(child.hProcess);
  CloseHandle(child.hThread);
  if (code != 0 && !*text) snprintf(text, sizeof check_result->text, "ended with status 0x%lx", code);
  return (int)code;
}

static inline pid_t check_fork(void) { check_exit(CHECK_FAILED, "there is no fork"); }
static inline int   check_wait(pid_t child) { return (int)child; }
#define WIFSIGNALED(status) 0
#define WTERMSIG(status) 0
#define kill(process, number) (errno = ENOSYS)

static inline void run_in_child(void (*body)(void *), void *arg) {
  (void)body, (void)arg;
  check_fork();
}

static inline void run_in_killed_child(void (*body)(void *), void *arg) { run_in_child(body, arg); }

#endif
