/* fuzz.h: random calls of the C face against a model of what must hold.
 *
 * A sequence is made of its seed alone: reactors, ports and whatever else there is are made, used and ended by operations
 * that are drawn one by one, also inside of callbacks and, in lockstep, on a second thread. The model knows what each call
 * may answer, who may be called back, and when each `user` is freed. Nothing leaves the process' own network namespace,
 * getaddrinfo and some faults of the kernel are played (faults.c).
 */
#ifndef UDPR_FUZZ_H
#define UDPR_FUZZ_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <udpr/udpr.h>

/* ---- calls: each is counted by function and status, and knows whose reactor it enters ---------------------- */

/* functions.h is made of the header: FUNCTION(udpr_version) and so on, for every function there. */
enum function {
#define FUNCTION(name) FN_##name,
#include "functions.h"
#undef FUNCTION
  FUNCTIONS
};

typedef struct home home;

typedef struct frame {
  enum function function;
  home         *home;    /* the reactor that it enters, NULL: none */
  udpr_status   gate;    /* what a wrong thread must get */
  bool          closing; /* the reactor was being freed, or a port may be */
  unsigned      faults;  /* that had been played before */
} frame;

#define CALL(home, function, ...) \
  (call_begin(FN_##function, home), call_end(function(__VA_ARGS__)), call_status())
/* For functions that answer no status: TAKE(type, home, function, arguments). */
#define TAKE(type, home, function, ...)  \
  __extension__({                        \
    call_begin(FN_##function, home);     \
    type taken_ = function(__VA_ARGS__); \
    call_end(UDPR_OK);                   \
    taken_;                              \
  })

void          call_begin(enum function function, home *home);
void          call_end(udpr_status status);
udpr_status   call_status(void);
bool          may_enter(const home *home); /* this thread, now */
enum function inner_function(void);        /* the call that this thread is in, FUNCTIONS: none */
void          print_calls(void);
int           uncalled(void);

/* ---- checks ---------------------------------------------------------------------------------------------- */

__attribute__((noreturn, format(printf, 3, 4))) void fail_at(const char *file, int line, const char *format,
                                                             ...);
#define FAIL(...) fail_at(__FILE__, __LINE__, __VA_ARGS__)
#define MUST(expr)                  \
  do {                              \
    if (!(expr)) FAIL("%s", #expr); \
  } while (0)

/* The last call must have answered one of these; on a wrong thread, with a played fault or while the reactor is freed, what
 * that explains. Answers whether it was UDPR_OK. */
#define EXPECT(...)                                        \
  expect(__FILE__, __LINE__, (udpr_status[]){__VA_ARGS__}, \
         sizeof(udpr_status[]){__VA_ARGS__} / sizeof(udpr_status))
bool expect(const char *file, int line, const udpr_status *allowed, size_t count);

#define SYSTEM(errno_) (UDPR_E_SYSTEM - (errno_))

/* ---- chance: of the seed and the step alone --------------------------------------------------------------- */

uint64_t random_word(void);
void     random_seed(uint64_t seed, uint64_t step);

static inline uint32_t below(uint32_t bound) { return (uint32_t)(random_word() % bound); }
static inline bool     one_in(uint32_t n) { return below(n) == 0; }
#define FIRST_OF(first, ...) first
#define ITEM(...) __typeof__(FIRST_OF(__VA_ARGS__, 0) + 0)
/* One of these, of the type of the first. */
#define PICK(...)         \
  ((ITEM(__VA_ARGS__)[]){ \
      __VA_ARGS__})[below(sizeof((ITEM(__VA_ARGS__)[]){__VA_ARGS__}) / sizeof(ITEM(__VA_ARGS__)))]

/* ---- the model ------------------------------------------------------------------------------------------- */

enum { HOMES = 3, PORTS = 24, USERS = 8192, PIPES = 6, DOORS = 8 };

enum kind { PORT, TIMER, TRIGGER, STARTUP_CALL, WATCH, LOOKUP, THREAD_CALL, WORK, LOGGER, KINDS };

typedef struct port port;

/* What every `user` points to. */
typedef struct user {
  enum kind   kind;
  home       *home;
  bool        frees; /* it has a free_user */
  atomic_bool live;  /* it may be called */
  atomic_int  busy;  /* callbacks that are at work */
  atomic_int  calls; /* how often it was called */
  atomic_int  freed; /* how often it was freed */
  udpr_id     id;
  enum { PENDING, CALLED, CANCELLED } call; /* timers */
  udpr_ns     due_least, due_most;
  uint64_t    order;
  uint32_t    phase, event, events;
  bool        pending;    /* a trigger has said so */
  bool        cancelled;  /* a look-up */
  udpr_status answers[3]; /* what a look-up may be told, beside UDPR_E_TIMED_OUT */
  int         fd;
  bool        dangling; /* a watch whose descriptor was closed */
  port       *port;
} user;

/* A reactor. Its stage is a set, since a turn may go further than the model follows. */
enum stage { IDLE = 1, STARTED = 2, ENDING = 4 };
struct home {
  udpr_reactor *reactor; /* NULL: none */
  uint32_t      flags;
  unsigned      stage;
  bool          closing;
  bool          stop_asked; /* by a remote: it may come in any turn */
  int           inside;     /* calls that are in it */
  int           inside_by;  /* the thread that is, where that is not 0 */
  int           pinned_by;  /* -1: nobody */
  user         *logger;
  void         *kept;
  int           guard;       /* turns until run ends; 0: no run */
  int           starts;      /* by udpr_reactor_start */
  int           dispatching; /* callbacks of a pass of a turn: writes gather in there */
};

enum state { ABSENT, STARTING, LISTENING, STOPPING, STOPPED, GONE };
enum { GROUPS = 8 };
struct port {
  enum state      state; /* STOPPED: inside stop_protocol, GONE: behind it */
  udpr_transport *transport;
  home           *home;
  user           *user;
  int             held;   /* references of ours */
  bool            making; /* its listen or adopt has not returned */
  uint32_t        flags, packet_size, queue_bytes;
  bool            v6, adopted, connected, broadcast, paused;
  udpr_addr       host, peer, asked; /* asked: the peer as connect was given it */
  uint64_t        delivered, stopped;
  struct {
    udpr_addr group, source;
    bool      with_source;
  } groups[GROUPS];
  int group_count;
};

typedef struct door {
  udpr_remote *remote;
  home        *home;
  bool         closed;
  int          held;
} door;

typedef struct world {
  uint64_t   seed;
  int        ops_left, depth;
  int        logging; /* loggers at work: a port that is being closed logs that before its stop_protocol */
  home       homes[HOMES];
  port       ports[PORTS];
  user      *users[USERS];
  atomic_int user_count;
  door       doors[DOORS];
  int        pipes[PIPES][2];
  uint64_t   order;
  bool       runs_free; /* threads stop reactors whenever they like */
} world;

extern world             w;
extern unsigned          fault_count;
extern bool              tracing;
extern bool              own_network;
extern _Thread_local int me; /* 0: the main thread, 1: the other one of the lockstep, 2 and up: free ones */

#define TRACE(...)                             \
  do {                                         \
    if (tracing) fprintf(stderr, __VA_ARGS__); \
  } while (0)

/* ---- users.c ---------------------------------------------------------------------------------------------- */

user        *new_user(enum kind kind, home *home);
udpr_free_fn free_fn(const user *user);
void         must_be_freed(const user *user); /* where it frees */
void         refused(user *user);             /* the registration failed: it is freed, and never called */
user        *any_user(enum kind kind, const home *home); /* live or not; NULL: none */
user        *enter_callback(void *user, enum kind kind, const udpr_reactor *reactor);
void         leave_callback(user *user);
void         act(void); /* what a callback does: a few operations, maybe */

/* callbacks.c */
extern const udpr_protocol protocol_table;
udpr_status                on_start(udpr_transport *transport, void *user);
void                       on_call(udpr_reactor *reactor, void *user);
void                       on_timer(udpr_reactor *reactor, void *user);
void                       on_running(udpr_reactor *reactor, void *user);
udpr_status                on_trigger(udpr_reactor *reactor, udpr_id id, void *user);
void on_watch(udpr_reactor *reactor, udpr_id id, int32_t fd, uint32_t events, void *user);
void on_resolved(udpr_reactor *reactor, udpr_id id, udpr_status status, const udpr_addr *addrs, size_t count,
                 void *user);
void on_work(void *user);
void on_done(udpr_reactor *reactor, void *user);
void on_log(const udpr_log_record *record, void *user);
void on_visit(udpr_transport *transport, void *user);
size_t on_datagrams(udpr_transport *transport, const udpr_datagram *const *datagrams, size_t count,
                    void *user);

/* ---- operations: each draws its arguments, calls, checks the answer and moves the model --------------------- */

home *any_home(void); /* a live one; NULL: none */
port *any_port(void); /* one whose transport may be used; NULL: none */
port *port_of(const udpr_transport *transport);
void  port_gone(port *port);
void  widen_stage(home *home); /* by what a turn may have done */
void  end_stage(home *home);
void  fill(uint8_t *data, size_t len);

typedef struct operation {
  void (*run)(void);
  const char *name;
  uint32_t    weight;
} operation;
extern const operation life_operations[], event_operations[], port_operations[], write_operations[],
    group_operations[], thread_operations[], plain_operations[];
void any_operation(void);
void free_home(home *home);
void make_home(void);

/* main.c: runs it on the other thread, while this one waits. */
void elsewhere(void (*run)(void));

/* faults.c */
void faults_begin(bool on, uint64_t seed);
void slow_names_end(void);

#endif
