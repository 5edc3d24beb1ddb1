/* udpr: a UDP reactor in the manner of Twisted. Made by cbindgen from src/capi: change it there.
 *
 * Rules that hold everywhere
 *  Diet      Signatures and structs hold fixed-width integers, size_t, raw pointers and nullable function pointers.
 *            Enums only name numbers. No bool, no enum by value, no varargs, no inline functions, no bitfields, no
 *            sockaddr, no names that are keywords elsewhere.
 *  Arguments A NULL where none is allowed, a bad size or a value out of range gets UDPR_E_INVALID_ARGUMENT. May be NULL:
 *            options, every free_user, out_id, out_len, `out` of listen and adopt, `done`. Outputs are written on success
 *            only, but for counts, as said at each. Inputs are borrowed for the call and copied where they are kept.
 *  Sizes     Structs that carry `size`: zero them, then set it. Less than the first release's or more than 4096:
 *            INVALID_ARGUMENT. Smaller than ours: the rest is default. Larger: fine if the rest is zero, else
 *            UDPR_E_VERSION; so are unknown flag bits and non-zero reserved words. Structs that the library fills only
 *            ever grow at their end; stats are filled up to the smaller size and zeroed behind it. No public struct has
 *            tail padding on any ABI.
 *  user      Every `user` has a `free_user`, called exactly once, after the last callback with it has returned, also when
 *            registration fails (then inside the failing call). Otherwise on the reactor's thread.
 *  Threads   One thread at a time uses a reactor and its transports: the one inside run or iterate, or, when none is,
 *            whoever calls (made here, run there, freed here is fine). A call from another thread meanwhile gets
 *            UDPR_E_WRONG_THREAD, never a race. [any thread] marks what may be called from anywhere at any time.
 *            Transports retained beyond free answer UDPR_E_CLOSED. In a forked child everything answers UDPR_E_CLOSED,
 *            and free and release only close descriptors, until udpr_reactor_after_fork has been called there.
 *            A thread that is cancelled (pthread_cancel, deferred) ends after its outermost call has returned; asynchronous
 *            cancellation is not supported.
 *  Callbacks run inside run and iterate. Beside that: listen_* and adopt run start_protocol; close and free run
 *            stop_protocol, and before it the free_user of the port's delayed calls; advance, start, fire_event,
 *            finish_trigger, remove_trigger, call_when_running and each_transport run theirs; cancel_*, unwatch,
 *            remove_trigger, set_logger and failing calls run free_user. datagram_received, connection_refused,
 *            error_received, write_ready, resolved and watch callbacks come only from a turn, never inside a call;
 *            delayed calls, a port's too, only from a turn or from advance. No lock or borrow is held: any function may
 *            be called from any callback, except run, iterate, advance and free, which answer UDPR_E_REENTRANT. While
 *            free runs, whatever would create something answers UDPR_E_CLOSED. What a callback is handed is valid until
 *            it returns (retain the transport to keep it). Callbacks must not throw, longjmp or end the thread; a C++
 *            exception that reaches us aborts with a message.
 *  Memory    What grows with use (queues, delayed calls, triggers, watches, ports) answers UDPR_E_NO_MEMORY where there is
 *            none for it, with nothing changed. What else needs memory aborts without it: docs/reliability.md.
 *  Stack     A call needs at most 16 KiB of the caller's stack, callbacks apart. The library's own threads have 2 MiB each.
 */


#ifndef UDPR_H
#define UDPR_H


#ifndef UDPR_PLAIN /* UDPR_PLAIN: no includes, no attributes, for cffi, LuaJIT and other header readers */
#include <stddef.h>
#include <stdint.h>
#endif

/* The ABI: within one MAJOR.MINOR a program runs with every later library. Nothing is taken away, no number is reused, no
 * signature and no layout changes; functions, numbers, flags and fields at the end of structs with `size` are added.
 * Another minor version, before 1.0, has a soname (libudpr.so.0.1) and a symbol version (UDPR_0.1) of its own.
 */
/** The first number of this header's version. */
#define UDPR_VERSION_MAJOR 0
/** The second: the ABI's. */
#define UDPR_VERSION_MINOR 1
/** The third: additions and repairs. */
#define UDPR_VERSION_PATCH 0
/** This header's version, as udpr_version tells that of the library. */
#define UDPR_VERSION (UDPR_VERSION_MAJOR << 16 | UDPR_VERSION_MINOR << 8 | UDPR_VERSION_PATCH)

/** A delay, a timeout or an instant that never comes due. Any other above INT64_MAX nanoseconds is UDPR_E_INVALID_ARGUMENT. */
#define UDPR_NEVER UINT64_MAX
#ifndef UDPR_PLAIN
/** Whole microseconds as udpr_ns. */
#define UDPR_US(n) ((udpr_ns)(n) * 1000)
/** Whole milliseconds as udpr_ns. */
#define UDPR_MS(n) ((udpr_ns)(n) * 1000000)
/** Whole seconds as udpr_ns. */
#define UDPR_S(n) ((udpr_ns)(n) * 1000000000)
#endif

#ifndef UDPR_API
#if defined(UDPR_PLAIN)
#define UDPR_API
#elif defined(__GNUC__)
#define UDPR_API __attribute__((visibility("default")))
#else
#define UDPR_API
#endif
#endif

/** Every status. A named status stands for one errno or for none, so that udpr_status_errno recovers every errno. */
typedef enum udpr_status_code {
  /** Success. */
  UDPR_OK = 0,
  /** Returned by a trigger: it will finish later. */
  UDPR_PENDING = 1,
  /** A pointer is NULL that must not be, a size is wrong, or a value is out of range. */
  UDPR_E_INVALID_ARGUMENT = -1,
  /** There is no memory (ENOMEM). */
  UDPR_E_NO_MEMORY = -2,
  /** Another thread is using this reactor. */
  UDPR_E_WRONG_THREAD = -3,
  /** The reactor is not running. */
  UDPR_E_NOT_RUNNING = -4,
  /** The reactor is running already. */
  UDPR_E_ALREADY_RUNNING = -5,
  /** The function must not be called inside a callback. */
  UDPR_E_REENTRANT = -6,
  /** The transport has stopped, the reactor was freed, or this is a forked child. */
  UDPR_E_CLOSED = -7,
  /** There is no such id. */
  UDPR_E_NOT_FOUND = -8,
  /** The delayed call was made, or is being made. */
  UDPR_E_ALREADY_CALLED = -9,
  /** The delayed call was cancelled. */
  UDPR_E_ALREADY_CANCELLED = -10,
  /** The text is not an IP address; it may be a host name. */
  UDPR_E_INVALID_ADDRESS = -11,
  /** An IPv4 address for an IPv6 port, or the other way round (EAFNOSUPPORT). */
  UDPR_E_ADDRESS_FAMILY = -12,
  /** The descriptor to be adopted is not a UDP socket. */
  UDPR_E_SOCKET_TYPE = -13,
  /** A write without a destination on a port that is not connected (ENOTCONN). */
  UDPR_E_NOT_CONNECTED = -14,
  /** A connected port cannot write to another destination. */
  UDPR_E_WRONG_PEER = -15,
  /**
   * The datagram is longer than UDP allows, 65,507 bytes over IPv4 and 65,527 over IPv6, or than the path carries
   * (EMSGSIZE).
   */
  UDPR_E_MESSAGE_TOO_LONG = -16,
  /** The socket and the send queue are full. write_ready is called when writes are accepted again (EAGAIN). */
  UDPR_E_WOULD_BLOCK = -17,
  /** No socket listens at the destination (ECONNREFUSED). */
  UDPR_E_CONNECTION_REFUSED = -18,
  /** Another socket has this address (EADDRINUSE). */
  UDPR_E_ADDRESS_IN_USE = -19,
  /** The address is not an address of this host (EADDRNOTAVAIL). */
  UDPR_E_ADDRESS_NOT_AVAILABLE = -20,
  /** Not permitted: for example a firewall rejects it (EPERM). */
  UDPR_E_PERMISSION = -21,
  /** Access denied: a broadcast that was not allowed, or a privileged port (EACCES). */
  UDPR_E_ACCESS = -22,
  /** The process has no descriptor left (EMFILE). */
  UDPR_E_NO_FILES = -23,
  /** There is no route to the network (ENETUNREACH). */
  UDPR_E_NETWORK_UNREACHABLE = -24,
  /** There is no route to the host (EHOSTUNREACH). */
  UDPR_E_HOST_UNREACHABLE = -25,
  /** The port has joined the group already. */
  UDPR_E_ALREADY_JOINED = -26,
  /** The port has not joined the group. */
  UDPR_E_NOT_JOINED = -27,
  /** The address to be joined is not a multicast address. */
  UDPR_E_NOT_MULTICAST = -28,
  /** There is no such network interface (ENODEV). */
  UDPR_E_NO_INTERFACE = -29,
  /** The name does not exist. */
  UDPR_E_NAME_NOT_FOUND = -30,
  /** The name cannot be looked up at the moment. */
  UDPR_E_NAME_TRY_AGAIN = -31,
  /** It took too long (ETIMEDOUT). */
  UDPR_E_TIMED_OUT = -32,
  /** It was cancelled (ECANCELED). */
  UDPR_E_CANCELLED = -33,
  /** This system, or this version of the library, cannot do it (EOPNOTSUPP). */
  UDPR_E_NOT_SUPPORTED = -34,
  /** A struct or a flag asks for more than this version of the library knows. */
  UDPR_E_VERSION = -35,
  /** The library has a bug: this reactor is unusable, and only udpr_reactor_free is allowed. */
  UDPR_E_PANIC = -36,
  /** UDPR_E_SYSTEM - errno stands for an errno that has no status of its own. */
  UDPR_E_SYSTEM = -65536
} udpr_status_code;

/** The values of udpr_addr.family. They are the same on every system. */
typedef enum udpr_family_code {
  /** No address. */
  UDPR_AF_UNSPEC = 0,
  /** IPv4. */
  UDPR_AF_INET = 4,
  /** IPv6. */
  UDPR_AF_INET6 = 6
} udpr_family_code;

/** The phases of an event: when its triggers are called. */
typedef enum udpr_phase_code {
  /** First. A trigger that returns UDPR_PENDING holds the other phases back. */
  UDPR_PHASE_BEFORE = 0,
  /** Next. At shutdown, the ports have stopped. */
  UDPR_PHASE_DURING = 1,
  /** Last. */
  UDPR_PHASE_AFTER = 2
} udpr_phase_code;

/** The events of a reactor. */
typedef enum udpr_event_code {
  /** The reactor begins to run. */
  UDPR_EVENT_STARTUP = 0,
  /** The reactor was stopped. */
  UDPR_EVENT_SHUTDOWN = 1
} udpr_event_code;

/** The events of a watched descriptor. */
typedef enum udpr_watch_flag {
  /** It can be read (EPOLLIN). */
  UDPR_WATCH_READABLE = 1,
  /** It can be written to (EPOLLOUT). */
  UDPR_WATCH_WRITABLE = 2,
  /** It has an error, or the other side is gone (EPOLLERR, EPOLLHUP). This is always reported. */
  UDPR_WATCH_HANGUP = 4
} udpr_watch_flag;

/** The severity of a log record. */
typedef enum udpr_log_code {
  /** Something was lost or failed, and no function returned it. */
  UDPR_LOG_ERROR = 1,
  /** It works, but not as requested. */
  UDPR_LOG_WARN = 2,
  /** Something began or ended. */
  UDPR_LOG_INFO = 3,
  /** Details for debugging. */
  UDPR_LOG_DEBUG = 4
} udpr_log_code;

/** The values of udpr_error_report.origin: who found the error. */
typedef enum udpr_origin_code {
  /** Our own kernel. */
  UDPR_ORIGIN_LOCAL = 0,
  /** An ICMP message. */
  UDPR_ORIGIN_ICMP = 4,
  /** An ICMPv6 message. */
  UDPR_ORIGIN_ICMP6 = 6
} udpr_origin_code;

/** The bits of udpr_datagram.flags. */
typedef enum udpr_datagram_flag {
  /** The datagram was longer than max_packet_size: only len of its full_len bytes are at data. */
  UDPR_DATAGRAM_TRUNCATED = 1
} udpr_datagram_flag;

/** The bits of udpr_message.flags. */
typedef enum udpr_message_flag {
  /** The field tos is used. */
  UDPR_MESSAGE_TOS = 1,
  /** The message is sent at once, and not gathered. */
  UDPR_MESSAGE_NOW = 2
} udpr_message_flag;

/** The bits of udpr_reactor_options.flags. */
typedef enum udpr_reactor_flag {
  /**
   * While run is running, SIGINT and SIGTERM stop the reactor. A second signal ends a run whose shutdown is held
   * back. The previous handlers are installed again when run returns. If the host restores our handler later, it
   * behaves like the previous one.
   */
  UDPR_REACTOR_SIGNALS = 1,
  /** Only udpr_reactor_advance moves the clock; sockets stay real. For tests. */
  UDPR_REACTOR_MANUAL_CLOCK = 2,
  /** The first thread in run or iterate owns the reactor, between turns too, until free or the end of that thread. */
  UDPR_REACTOR_PINNED = 4
} udpr_reactor_flag;

/** The bits of udpr_udp_options.flags. */
typedef enum udpr_udp_flag {
  /**
   * Several sockets share a port number, in one program or in many. Each of them receives every multicast datagram
   * of the groups that it joined; a unicast datagram goes to one of them, on Linux to the one that was bound last.
   * On Linux this is SO_REUSEADDR: all sockets that share the number must have it set. They may have SO_REUSEPORT,
   * too, as Twisted's listenMultiple has.
   */
  UDPR_UDP_LISTEN_MULTIPLE = 1,
  /** SO_REUSEADDR, on every system. On Linux it is the same as UDPR_UDP_LISTEN_MULTIPLE. */
  UDPR_UDP_REUSE_ADDRESS = 2,
  /**
   * SO_REUSEPORT: the kernel distributes unicast flows among the sockets of one user that have it set, for example a
   * reactor per core. It may distribute multicast datagrams from the network as well, so that a port receives only
   * some of those of its groups (Linux 6.9 and later), also together with UDPR_UDP_LISTEN_MULTIPLE. Twisted's
   * listenMultiple sets both.
   */
  UDPR_UDP_REUSE_PORT = 4,
  /** IPv6 only. Without it an IPv6 port on "::" receives IPv4 too, whatever the system's default is. */
  UDPR_UDP_V6_ONLY = 8,
  /** Datagrams may be sent to broadcast addresses (SO_BROADCAST). */
  UDPR_UDP_BROADCAST = 16,
  /** Sets destination and interface_index of received datagrams. */
  UDPR_UDP_PACKET_INFO = 32,
  /**
   * Sets timestamp of received datagrams. It turns GRO off for the port, since the kernel stamps a merged buffer
   * only once.
   */
  UDPR_UDP_TIMESTAMPS = 64,
  /** Sets tos of received datagrams; ECN is in its low two bits. */
  UDPR_UDP_TOS = 128,
  /** Sets ttl of received datagrams. */
  UDPR_UDP_TTL = 256,
  /** error_received is called with what the kernel reports about each failed datagram, including its destination. */
  UDPR_UDP_ERROR_REPORTS = 512,
  /** Path MTU discovery in probe mode (IP_PMTUDISC_PROBE), for IPv4 and IPv6. */
  UDPR_UDP_DONT_FRAGMENT = 1024,
  /**
   * If the socket is full, datagrams are dropped and counted instead of queued: for games and voice, which need no
   * old data.
   */
  UDPR_UDP_NO_QUEUE = 2048,
  /** Each write is one system call, made at once, with its exact result. Nothing is gathered or queued. */
  UDPR_UDP_UNBATCHED = 4096,
  /** Neither GSO nor GRO. */
  UDPR_UDP_NO_OFFLOAD = 8192,
  /** For adopted sockets: GRO too. It stays set for the other holders of the socket. */
  UDPR_UDP_OFFLOAD = 16384,
  /** For adopting: takes the descriptor over instead of duplicating it. */
  UDPR_UDP_TAKE_FD = 32768
} udpr_udp_flag;

/** Sizes. */
typedef enum udpr_limit {
  /** Bytes for any formatted address and its NUL. */
  UDPR_ADDR_TEXT_MAX = 80
} udpr_limit;

/** The bits of udpr_interface.flags. */
typedef enum udpr_interface_flag {
  /** The interface is up. */
  UDPR_INTERFACE_UP = 1,
  /** Its datagrams come back to this host. */
  UDPR_INTERFACE_LOOPBACK = 2,
  /** It carries multicast datagrams. */
  UDPR_INTERFACE_MULTICAST = 4,
  /** It carries broadcasts. */
  UDPR_INTERFACE_BROADCAST = 8,
  /** There is one other end, as with a tunnel. */
  UDPR_INTERFACE_POINT_TO_POINT = 16
} udpr_interface_flag;

/** A reactor. The program owns it: udpr_reactor_new makes it, udpr_reactor_free frees it. */
typedef struct udpr_reactor udpr_reactor;

/** A handle of a reactor for other threads. It is counted: udpr_remote_retain, udpr_remote_release. [any thread] */
typedef struct udpr_remote udpr_remote;

/** A UDP port, as Twisted's Port. It is counted: udpr_transport_retain, udpr_transport_release. */
typedef struct udpr_transport udpr_transport;

/** 0 is false, anything else true. */
typedef int32_t udpr_bool;

/**
 * The result of a function: 0 is success, above 0 is success with a note, below 0 is failure. The numbers are those of
 * udpr_status_code.
 */
typedef int32_t udpr_status;

/** An IP address and a UDP port. It has 32 bytes, and never changes. */
typedef struct udpr_addr {
  /** A udpr_family_code. */
  uint16_t family;
  /** The port, in host byte order. */
  uint16_t port;
  /** The interface's index for link-local IPv6, otherwise 0. */
  uint32_t scope_id;
  /** IPv6: sin6_flowinfo, in network byte order. */
  uint32_t flow_info;
  /** The address in network byte order. IPv4 uses the first four bytes; the others are zero. */
  uint8_t bytes[16];
  /** Zero. */
  uint32_t reserved;
} udpr_addr;

/** An address of a network interface, or an interface without addresses. The library fills it; fields are only ever appended. */
typedef struct udpr_interface {
  /** The size of this struct in bytes. */
  size_t size;
  /** The index of the interface. */
  uint32_t index;
  /** Bits of udpr_interface_flag. */
  uint32_t flags;
  /** The most bytes of a packet, with its IP header. */
  uint32_t mtu;
  /** How many of the first bits of the address are the network's; 0 without an address. */
  uint32_t prefix_length;
  /** Its port is 0, and its scope_id is filled in; UDPR_AF_UNSPEC for an interface without addresses. */
  struct udpr_addr address;
  /** The broadcast address, or the peer of a point-to-point interface; UDPR_AF_UNSPEC without one. */
  struct udpr_addr broadcast;
  /** The hardware address. */
  uint8_t hardware[32];
  /** Bytes at hardware: 6 for Ethernet, 0 without a hardware address. */
  uint32_t hardware_len;
  /** Zero. */
  uint32_t reserved;
  /** NUL-terminated. */
  char name[64];
} udpr_interface;

/** The options of a reactor. NULL stands for the defaults. */
typedef struct udpr_reactor_options {
  /** The size of this struct in bytes. */
  size_t size;
  /** Bits of udpr_reactor_flag. */
  uint32_t flags;
  /** The most threads of the pool; 0 means 10. */
  uint32_t thread_pool_size;
} udpr_reactor_options;

/** The id of a timer, trigger, look-up or watch. An id is never reused, and 0 is never valid. */
typedef uint64_t udpr_id;

/** A watched descriptor is ready. `events` are bits of udpr_watch_flag. */
typedef void (*udpr_watch_fn)(struct udpr_reactor *reactor, udpr_id id, int32_t fd, uint32_t events, void *user);

/** Frees a user pointer. It is called exactly once. */
typedef void (*udpr_free_fn)(void *user);

/**
 * The port is bound. If this does not return UDPR_OK, listen_* fails with the status it returned
 * (UDPR_E_INVALID_ARGUMENT for a positive one), and stop_protocol is not called.
 */
typedef udpr_status (*udpr_start_fn)(struct udpr_transport *transport, void *user);

/** A received datagram. The library fills it; fields are only ever appended. */
typedef struct udpr_datagram {
  /** The size of this struct in bytes. */
  size_t size;
  /**
   * The payload. It is never NULL, and valid until the callback returns. It must not be written to: datagrams that
   * are sent on may be sent from here after the callback has returned.
   */
  const uint8_t *data;
  /** Bytes at data. */
  size_t len;
  /** The length of the datagram as it was sent. It is more than len if UDPR_DATAGRAM_TRUNCATED is set. */
  size_t full_len;
  /** The sender. On a dual-stack port an IPv4 sender is ::ffff:a.b.c.d. */
  struct udpr_addr sender;
  /** The destination, which may be a group. UDPR_AF_UNSPEC without UDPR_UDP_PACKET_INFO. */
  struct udpr_addr destination;
  /** The interface that received it; 0 without UDPR_UDP_PACKET_INFO. */
  uint32_t interface_index;
  /** Bits of udpr_datagram_flag. */
  uint32_t flags;
  /** When the kernel received it, in nanoseconds since 1970; 0 without UDPR_UDP_TIMESTAMPS. */
  uint64_t timestamp;
  /** The TOS byte or traffic class; -1 without UDPR_UDP_TOS. */
  int32_t tos;
  /** The TTL or hop limit; -1 without UDPR_UDP_TTL. */
  int32_t ttl;
} udpr_datagram;

/** A datagram was received. */
typedef void (*udpr_datagram_fn)(struct udpr_transport *transport, const struct udpr_datagram *datagram, void *user);

/**
 * Datagrams were received. Returns how many it took. The others are delivered in a later turn, or after resume if the
 * port was paused, or discarded if it has stopped.
 */
typedef size_t (*udpr_datagrams_fn)(struct udpr_transport *transport, const struct udpr_datagram *const *datagrams, size_t count, void *user);

/** Something happened to a port. */
typedef void (*udpr_protocol_fn)(struct udpr_transport *transport, void *user);

/** An error about datagrams that were sent. One report may stand for all datagrams of a GSO send. */
typedef struct udpr_error_report {
  /** The size of this struct in bytes. */
  size_t size;
  /** UDPR_E_CONNECTION_REFUSED, _HOST_UNREACHABLE, _MESSAGE_TOO_LONG, _PERMISSION, ... */
  udpr_status status;
  /** A udpr_origin_code: our own kernel, or an ICMP message. */
  uint32_t origin;
  /** The destination that failed. */
  struct udpr_addr to;
  /** The sender of the ICMP message; UDPR_AF_UNSPEC if there is none. */
  struct udpr_addr reporter;
  /** The type of the ICMP message, otherwise 0. */
  uint32_t icmp_type;
  /** The code of the ICMP message, otherwise 0. */
  uint32_t icmp_code;
  /**
   * With UDPR_E_MESSAGE_TOO_LONG, the MTU of the datagram's path in bytes, all headers included, or 0 if it is not
   * known. Otherwise 0.
   */
  uint32_t mtu;
  /** Zero. */
  uint32_t reserved;
  /** The part of the datagram that was returned. It is never NULL. */
  const uint8_t *data;
  /** Bytes at data. */
  size_t len;
} udpr_error_report;

/** A write has failed after it was accepted, or the network has reported an error. */
typedef void (*udpr_error_fn)(struct udpr_transport *transport, const struct udpr_error_report *report, void *user);

/**
 * The port has stopped. `reason` is UDPR_OK if the program stopped it, otherwise the error that ended it: the host has
 * closed the socket or shut it down, or a sandbox refuses every way to receive (UDPR_E_NOT_SUPPORTED).
 */
typedef void (*udpr_stopped_fn)(struct udpr_transport *transport, udpr_status reason, void *user);

/** The callbacks of a port. The struct is copied; every callback may be NULL. */
typedef struct udpr_protocol {
  /** The size of this struct in bytes. */
  size_t size;
  /** Passed to every callback. */
  void *user;
  /** Called once with user, after the last callback has returned, also if listening fails. */
  udpr_free_fn free_user;
  /** Called inside listen_*, once the socket is bound. */
  udpr_start_fn start_protocol;
  /** Called for each datagram. */
  udpr_datagram_fn datagram_received;
  /** If it is set, it is called instead of datagram_received, once for each batch of at most 256 datagrams. */
  udpr_datagrams_fn datagrams_received;
  /**
   * The peer of a connected port has refused an earlier datagram. It is called after error_received, once a turn.
   * The port stays open.
   */
  udpr_protocol_fn connection_refused;
  /**
   * Called for the kernel's reports with UDPR_UDP_ERROR_REPORTS, and for writes that the kernel refused after they
   * were accepted (UDPR_ORIGIN_LOCAL), also while reading is paused. Reports that wait to be delivered take at most
   * send_queue_bytes; further ones are lost.
   */
  udpr_error_fn error_received;
  /** The send queue is empty again after a write returned UDPR_E_WOULD_BLOCK. */
  udpr_protocol_fn write_ready;
  /** The last callback of a port. Its socket is closed already, so its number can be bound again. */
  udpr_stopped_fn stop_protocol;
} udpr_protocol;

/** The options of a port. NULL stands for the defaults. */
typedef struct udpr_udp_options {
  /** The size of this struct in bytes. */
  size_t size;
  /** Bits of udpr_udp_flag. Adopting refuses those that must be set before a socket is bound. */
  uint32_t flags;
  /** Longer datagrams are truncated and flagged. 0 means 65535, the maximum. */
  uint32_t max_packet_size;
  /**
   * The size of the receive buffer (SO_RCVBUF) in bytes; 0: the system's default. If the system grants less, that is
   * logged as a warning.
   */
  uint32_t receive_buffer;
  /** The size of the send buffer (SO_SNDBUF) in bytes; as receive_buffer. */
  uint32_t send_buffer;
  /** The bound of the send queue in bytes, in which a datagram counts at least 64; 0 means 1 MiB. */
  uint32_t send_queue_bytes;
  /** Zero. */
  uint32_t reserved;
  /**
   * The name of an interface (SO_BINDTODEVICE), or NULL. The port receives and sends by that interface or not at
   * all, also after a connect, a disconnect, or a change of the interface's name: the port is bound to the
   * interface's index. If the interface is removed, writes fail and connects return UDPR_E_NO_INTERFACE or
   * UDPR_E_NETWORK_UNREACHABLE. Another interface that gets the name later is another device;
   * udpr_transport_set_option can bind the port to it. A datagram that names another interface, by interface_index
   * or by the zone of a link-local destination, is refused with UDPR_E_NETWORK_UNREACHABLE, unless the device is a
   * VRF that the interface belongs to.
   */
  const char *bind_device;
} udpr_udp_options;

/** Called with each transport by udpr_reactor_each_transport. */
typedef void (*udpr_visit_fn)(struct udpr_transport *transport, void *user);

/** A piece of a datagram. It never changes. */
typedef struct udpr_bytes {
  /** It may be NULL if len is 0. */
  const void *data;
  /** Bytes at data. */
  size_t len;
} udpr_bytes;

/**
 * One datagram to be sent, with its options. If all fields but size, data, len and to are zero, the port's settings
 * are used.
 */
typedef struct udpr_message {
  /** The size of this struct in bytes. */
  size_t size;
  /** The payload. It may be NULL if len is 0. */
  const void *data;
  /** Bytes at data. */
  size_t len;
  /** The destination; NULL on a connected port. */
  const struct udpr_addr *to;
  /** The local address to send from, whose port is ignored; NULL: the kernel chooses. */
  const struct udpr_addr *source;
  /**
   * The interface to send by; 0: the kernel chooses. A port that is bound to a device cannot use another interface:
   * see bind_device. Linux treats the interface as a preference, and may send by one with a better route, if the
   * destination is an IPv6 unicast address that is not link-local and the source address is fixed: by `source`, by a
   * connection, or because the port is bound to an address. bind_device is obeyed in that case, too.
   */
  uint32_t interface_index;
  /** Bits of udpr_message_flag. */
  uint32_t flags;
  /** The TOS byte or traffic class, with UDPR_MESSAGE_TOS. */
  uint32_t tos;
  /** 0: one datagram. Otherwise data is cut into datagrams of this size, of which the last may be shorter. */
  uint32_t segment_size;
} udpr_message;

/** Nanoseconds: a duration, or an instant of the reactor's monotonic clock. */
typedef uint64_t udpr_ns;

/** A delayed call, or a call from another thread. */
typedef void (*udpr_call_fn)(struct udpr_reactor *reactor, void *user);

/** A periodic call. `beats` is 1 plus the number of beats that were missed since the last call. */
typedef void (*udpr_repeat_fn)(struct udpr_reactor *reactor, udpr_id id, uint64_t beats, void *user);

/** A periodic call of a port. `beats` is as in udpr_repeat_fn. */
typedef void (*udpr_transport_repeat_fn)(struct udpr_transport *transport, udpr_id id, uint64_t beats, void *user);

/** A trigger of startup or shutdown. Returns UDPR_OK or, from the before phase, UDPR_PENDING. A failure is logged. */
typedef udpr_status (*udpr_trigger_fn)(struct udpr_reactor *reactor, udpr_id id, void *user);

/** Work for a thread of the pool. */
typedef void (*udpr_work_fn)(void *user);

/** The result of a look-up: `count` addresses, or the status that says why there are none. */
typedef void (*udpr_resolved_fn)(struct udpr_reactor *reactor, udpr_id id, udpr_status status, const struct udpr_addr *addrs, size_t count, void *user);

/** A record of the log. */
typedef struct udpr_log_record {
  /** The size of this struct in bytes. */
  size_t size;
  /** A udpr_log_code. */
  uint32_t level;
  /** The status that it is about, or UDPR_OK. */
  udpr_status status;
  /** The part of the library that logs it: NUL-terminated UTF-8, valid during the call. */
  const char *target;
  /** The text: NUL-terminated UTF-8, valid during the call. */
  const char *message;
} udpr_log_record;

/** Called with each log record. */
typedef void (*udpr_log_fn)(const struct udpr_log_record *record, void *user);

/** The counters of a reactor since it was made. */
typedef struct udpr_reactor_stats {
  /** The size of this struct in bytes. */
  size_t size;
  /** Turns. */
  uint64_t iterations;
  /** Turns in which something was ready. */
  uint64_t wakeups;
  /** Delayed calls that were made. */
  uint64_t timers_fired;
  /** Calls from other threads that were made. */
  uint64_t calls_from_thread;
  /** Ports whose stop_protocol was not called yet. */
  uint64_t transports;
  /** Delayed calls that are pending. */
  uint64_t timers_pending;
} udpr_reactor_stats;

/** The counters of a port since it was made. */
typedef struct udpr_transport_stats {
  /** The size of this struct in bytes. */
  size_t size;
  /** Datagrams received. */
  uint64_t datagrams_in;
  /** Their bytes, after truncation. */
  uint64_t bytes_in;
  /** Datagrams that the kernel accepted. */
  uint64_t datagrams_out;
  /** Their bytes. */
  uint64_t bytes_out;
  /**
   * Datagrams that the kernel dropped at the socket (SO_MEMINFO): because the receive buffer was full, because a
   * filter of the socket rejected them (SO_ATTACH_FILTER, SO_ATTACH_BPF), or because a checksum was wrong. Datagrams
   * that were merged (GRO) count as one. Without merging (UDPR_UDP_NO_OFFLOAD), the number of datagrams that were
   * sent to the port is datagrams_in + dropped_in.
   */
  uint64_t dropped_in;
  /**
   * Received, but not delivered: the port had stopped, or was connected to another peer; or the datagram was sent to
   * an IPv6 group that the port has not joined on that interface; or there was no memory to keep it.
   */
  uint64_t discarded_in;
  /** Accepted by a write, but not sent. */
  uint64_t dropped_out;
  /** Longer than max_packet_size. */
  uint64_t truncated_in;
  /** Refusals that the kernel has reported. */
  uint64_t refused;
  /** Receiving system calls. */
  uint64_t syscalls_in;
  /** Sending system calls. */
  uint64_t syscalls_out;
  /** Bytes that wait for a full socket. */
  uint64_t queued_bytes;
  /** Datagrams that wait for a full socket. */
  uint64_t queued_datagrams;
  /** Received while the port was paused; they wait for resume. */
  uint64_t kept_datagrams;
} udpr_transport_stats;

#ifdef __cplusplus
extern "C" {
#endif /* __cplusplus */

/* ---- library ---- */

/** Gets the version of the loaded library: major << 16 | minor << 8 | patch. Compare it with UDPR_VERSION. [any thread] */
UDPR_API uint32_t udpr_version(void);

/** Gets the version of the loaded library as text, such as "0.1.0". The text is static. [any thread] */
UDPR_API const char *udpr_version_string(void);

/**
 * Finds out by trying whether this library can do something on this system: "recvmmsg", "sendmmsg", "gso", "gro",
 * "packet_info", "dual_stack", "bind_device", "wipe_on_fork". If a system call is missing or a sandbox refuses it, the
 * library uses another way if there is one (docs/linking.md). [any thread]
 *
 * Returns: 1 or 0; 0 for NULL and for names that this version does not know.
 */
UDPR_API udpr_bool udpr_has_feature(const char *name);

/**
 * Gets the name of a status, such as "UDPR_E_CLOSED". The text is static. [any thread]
 *
 * Returns: the name, never NULL; "UDPR_E_SYSTEM" for every errno without a name, "UDPR_E_UNKNOWN" for numbers that are
 * no status.
 */
UDPR_API const char *udpr_status_name(udpr_status status);

/**
 * Gets the meaning of a status, one line in English. The text is static. [any thread]
 *
 * Returns: the text, never NULL, for any number.
 */
UDPR_API const char *udpr_status_message(udpr_status status);

/**
 * Gets the errno that a status stands for. [any thread]
 *
 * Returns: the errno, or 0 if there is none.
 */
UDPR_API int32_t udpr_status_errno(udpr_status status);

/**
 * The errno that comes nearest to a status, for callers that know nothing else (an `OSError`, a host's own error codes). It is the
 * number of this system's C library, on Windows too. Several statuses may have the same one. A status that udpr_status_errno knows
 * keeps that errno, as UDPR_E_SYSTEM - n keeps n; the others have one of this table. [any thread]
 *
 *  EINVAL          UDPR_E_INVALID_ARGUMENT, UDPR_E_INVALID_ADDRESS, UDPR_E_NOT_MULTICAST
 *  EBUSY           UDPR_E_WRONG_THREAD
 *  ESRCH           UDPR_E_NOT_RUNNING
 *  EALREADY        UDPR_E_ALREADY_RUNNING, UDPR_E_ALREADY_CALLED
 *  EDEADLK         UDPR_E_REENTRANT
 *  EBADF           UDPR_E_CLOSED
 *  ENOENT          UDPR_E_NOT_FOUND, UDPR_E_NAME_NOT_FOUND
 *  ECANCELED       UDPR_E_ALREADY_CANCELLED
 *  EPROTOTYPE      UDPR_E_SOCKET_TYPE
 *  EISCONN         UDPR_E_WRONG_PEER
 *  EADDRINUSE      UDPR_E_ALREADY_JOINED
 *  EADDRNOTAVAIL   UDPR_E_NOT_JOINED
 *  EAGAIN          UDPR_E_NAME_TRY_AGAIN
 *  ENOSYS          UDPR_E_VERSION
 *  ENOTRECOVERABLE UDPR_E_PANIC
 *
 * Returns: the errno; EIO for UDPR_E_SYSTEM itself and for numbers that are no status; 0 for UDPR_OK and above.
 */
UDPR_API int32_t udpr_status_nearest_errno(udpr_status status);

/* ---- addresses ---- */

/**
 * Reads an address: "1.2.3.4", "1.2.3.4:53", "::1", "[::1]:53", "fe80::1%eth0" or "[fe80::1%2]:53". If the text has no
 * port, `port` is used. Only a zone is looked up. Nothing is allocated. [any thread]
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT for NULL; UDPR_E_INVALID_ADDRESS for any other text, such as a host name;
 * UDPR_E_NO_FILES, UDPR_E_NOT_SUPPORTED or UDPR_E_PERMISSION if a zone cannot be looked up.
 */
UDPR_API udpr_status udpr_addr_parse(const char *text, uint16_t port, struct udpr_addr *out);

/**
 * Reads an address without brackets and port. Otherwise it is as udpr_addr_parse. [any thread]
 *
 * Returns: as udpr_addr_parse.
 */
UDPR_API udpr_status udpr_addr_parse_host(const char *host, uint16_t port, struct udpr_addr *out);

/**
 * Writes an address in the form that udpr_addr_parse reads, with the zone as a number, and without the port if that is
 * 0. `buffer` gets at most `capacity` bytes, NUL-terminated unless `capacity` is 0; UDPR_ADDR_TEXT_MAX is always
 * enough. `buffer` may be NULL if `capacity` is 0. If `out_len` is not NULL, it gets the length of the whole text
 * without NUL. [any thread]
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT if the text does not fit, in which case `buffer` has as much as fits, and
 * for an address that is not valid; UDPR_E_VERSION if its reserved word is not zero.
 */
UDPR_API udpr_status udpr_addr_format(const struct udpr_addr *addr, char *buffer, size_t capacity, size_t *out_len);

/**
 * Reads a struct sockaddr_in or sockaddr_in6 of `len` bytes. [any thread]
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT for NULL, or if it is too short; UDPR_E_ADDRESS_FAMILY for other families.
 */
UDPR_API udpr_status udpr_addr_from_sockaddr(const void *sockaddr, size_t len, struct udpr_addr *out);

/**
 * Writes a struct sockaddr_in or sockaddr_in6 to `buffer`. If `out_len` is not NULL, it gets the length, even if
 * `capacity` is too small. [any thread]
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT if `capacity` is too small, in which case nothing is written to `buffer`,
 * and for an address that is not valid; UDPR_E_VERSION if its reserved word is not zero.
 */
UDPR_API udpr_status udpr_addr_to_sockaddr(const struct udpr_addr *addr, void *buffer, size_t capacity, size_t *out_len);

/**
 * Compares family, port, address and scope of two addresses. [any thread]
 *
 * Returns: 1 if they are equal; 0 if they are not, or one is NULL.
 */
UDPR_API udpr_bool udpr_addr_equal(const struct udpr_addr *a, const struct udpr_addr *b);

/**
 * A hash of an address, for hash tables. It is the same for addresses that udpr_addr_equal calls equal. If `seed` is a random
 * number that is kept with the table, peers cannot choose addresses that collide. It is not stable between releases or byte
 * orders, so it should not be stored or sent. Nothing is allocated and no lock is taken. [any thread]
 *
 * Returns: the hash; 0 for NULL.
 */
UDPR_API uint64_t udpr_addr_hash(const struct udpr_addr *addr, uint64_t seed);

/**
 * Compares two addresses, for sorting and for search trees: by family, then by address, scope and port. NULL comes first, and
 * two NULLs are equal. Nothing is allocated and no lock is taken. [any thread]
 *
 * Returns: a number below 0 if `a` comes before `b`; 0 if udpr_addr_equal calls them equal; a number above 0 if `a` comes after
 * `b`.
 */
UDPR_API int32_t udpr_addr_compare(const struct udpr_addr *a, const struct udpr_addr *b);

/**
 * Maps an IPv4 address to IPv6: 1.2.3.4 becomes ::ffff:1.2.3.4, with the same port. A dual-stack port writes to an
 * IPv4 host by this form. [any thread]
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT for NULL; UDPR_E_ADDRESS_FAMILY if it is not an IPv4 address.
 */
UDPR_API udpr_status udpr_addr_map_v4(const struct udpr_addr *v4, struct udpr_addr *out);

/**
 * Maps an IPv6 address back to IPv4: ::ffff:1.2.3.4 becomes 1.2.3.4, with the same port. [any thread]
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT for NULL; UDPR_E_ADDRESS_FAMILY for every other address.
 */
UDPR_API udpr_status udpr_addr_unmap_v4(const struct udpr_addr *mapped, struct udpr_addr *out);

/**
 * Gets the index of a network interface by its name ("eth0"), by a local address ("192.0.2.1"; "fe80::1%eth0" by its
 * zone) or by its number ("2"). "0.0.0.0" and "::" give 0, the system's choice. [any thread]
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_NO_INTERFACE if there is none; UDPR_E_NO_FILES if the process has
 * no descriptor left to ask with; UDPR_E_NOT_SUPPORTED or UDPR_E_PERMISSION if a sandbox refuses the socket for it
 * (local addresses need AF_NETLINK).
 */
UDPR_API udpr_status udpr_interface_index(const char *name_or_address, uint32_t *out);

/**
 * Lists the network interfaces of the calling thread's network namespace: one element for each address of each interface, and
 * one for each interface without addresses. The elements of an interface follow each other. At most `capacity` elements are
 * stored in the array `out`, which may be NULL if `capacity` is 0. The caller sets out[0].size, which is the distance from each
 * element to the next one, and the library stores it in each. out_count is always written: how many elements there are, which
 * may be more than `capacity`; 0 if they cannot be listed. The list may have changed by the next call. [any thread]
 *
 * Returns: UDPR_OK, also if there are more than `capacity`; UDPR_E_INVALID_ARGUMENT if out_count is NULL, or, with a `capacity`
 * that is not 0, `out` is NULL or out[0].size is wrong; UDPR_E_NO_MEMORY; UDPR_E_NO_FILES if the process has no descriptor left
 * to ask with; UDPR_E_NOT_SUPPORTED or UDPR_E_PERMISSION if a sandbox refuses the socket for it (AF_NETLINK).
 */
UDPR_API udpr_status udpr_interfaces(struct udpr_interface *out, size_t capacity, size_t *out_count);

/* ---- reactor: life ---- */

/**
 * Makes a reactor. `options` may be NULL. Reactors are independent of each other: a program may have any number of
 * them, each on its own thread. Free it with udpr_reactor_free. [any thread]
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_VERSION for unknown flags; UDPR_E_NO_FILES; UDPR_E_NO_MEMORY.
 */
UDPR_API udpr_status udpr_reactor_new(const struct udpr_reactor_options *options, struct udpr_reactor **out);

/**
 * Frees a reactor. It closes the ports, for which stop_protocol is called, and calls the free_user of everything that
 * is still pending. NULL has no effect. Transports and remotes that are still retained return UDPR_E_CLOSED from then
 * on. In a forked child it only closes descriptors.
 *
 * Returns: UDPR_OK; UDPR_E_REENTRANT inside a callback, and UDPR_E_WRONG_THREAD while another thread uses it, in which
 * case nothing was freed; in a forked child UDPR_E_WRONG_THREAD while another thread is inside this or
 * udpr_reactor_after_fork.
 */
UDPR_API udpr_status udpr_reactor_free(struct udpr_reactor *reactor);

/**
 * Runs turns until udpr_reactor_stop, even if nothing is registered, and through EINTR. Callbacks are called inside
 * it. It may be called again afterwards.
 *
 * Returns: UDPR_OK after a stop or a crash; UDPR_E_ALREADY_RUNNING after udpr_reactor_start; UDPR_E_REENTRANT inside a
 * callback; UDPR_E_WRONG_THREAD; another status if the kernel cannot wait any more.
 */
UDPR_API udpr_status udpr_reactor_run(struct udpr_reactor *reactor);

/**
 * Stops the reactor: the shutdown begins at the end of this turn. The before-triggers are called, which may hold it
 * back; then every port stops; then the other triggers are called, and run returns.
 *
 * Returns: UDPR_OK; UDPR_E_NOT_RUNNING if the reactor is not running, or was stopped before.
 */
UDPR_API udpr_status udpr_reactor_stop(struct udpr_reactor *reactor);

/**
 * Makes run return after this turn, even if a callback starts the reactor again before that: then it goes on by
 * udpr_reactor_iterate. Ports stay open, and are served when the reactor is run again.
 *
 * Returns: UDPR_OK; UDPR_E_NOT_RUNNING.
 */
UDPR_API udpr_status udpr_reactor_crash(struct udpr_reactor *reactor);

/**
 * Makes the reactor usable in a forked child. Call it there before anything else. The reactor gets descriptors of its
 * own, and everything is registered again. Ports, watches, delayed calls and triggers go on; the sockets are shared
 * with the parent, which is not disturbed. Look-ups in progress get UDPR_E_CANCELLED, and work on the pool stays the
 * parent's. The C library does not release the locks of getaddrinfo(3) in a child: if a thread of the parent was
 * looking a name up at the fork, look-ups in the child may time out.
 *
 * Returns: UDPR_OK; UDPR_E_NOT_SUPPORTED if this is not a forked child; UDPR_E_REENTRANT inside a callback that has
 * forked; UDPR_E_WRONG_THREAD if another thread used the reactor at the fork, or was just leaving a call or a post:
 * then it cannot be used in this child; UDPR_E_WRONG_THREAD also while another thread of the child is inside this or
 * udpr_reactor_free, or after another thread has freed it.
 */
UDPR_API udpr_status udpr_reactor_after_fork(struct udpr_reactor *reactor);

/**
 * Tells whether the reactor is between startup and shutdown. [any thread]
 *
 * Returns: 1 or 0; 0 for NULL.
 */
UDPR_API udpr_bool udpr_reactor_is_running(const struct udpr_reactor *reactor);

/**
 * Keeps a pointer for udpr_reactor_user. The library does not free it.
 *
 * Returns: UDPR_OK; UDPR_E_WRONG_THREAD.
 */
UDPR_API udpr_status udpr_reactor_set_user(struct udpr_reactor *reactor, void *user);

/**
 * Gets the pointer that udpr_reactor_set_user has kept.
 *
 * Returns: the pointer; NULL on a wrong thread.
 */
UDPR_API void *udpr_reactor_user(const struct udpr_reactor *reactor);

/* ---- reactor: inside another loop ---- */

/**
 * Starts a run without running it, for a program that calls udpr_reactor_iterate itself: it fires the startup event,
 * as run does before its first turn. A stop then finishes in later turns.
 *
 * Returns: UDPR_OK; UDPR_E_ALREADY_RUNNING.
 */
UDPR_API udpr_status udpr_reactor_start(struct udpr_reactor *reactor);

/**
 * Runs one turn. It waits at most `timeout_ns`, or without a bound if that is below 0, but not past the next delayed
 * call, and not at all if something is due. Then it does I/O, calls from threads, delayed calls that are due, and a
 * shutdown that is due. It returns after one wait, also if a signal or a wake ends it.
 *
 * Returns: UDPR_OK; UDPR_E_REENTRANT inside a callback; UDPR_E_WRONG_THREAD; another status if the kernel cannot wait
 * any more.
 */
UDPR_API udpr_status udpr_reactor_iterate(struct udpr_reactor *reactor, int64_t timeout_ns);

/**
 * Gets one descriptor for a foreign loop. It is readable whenever a turn has anything to do, delayed calls and kept
 * datagrams included; then call udpr_reactor_iterate(reactor, 0). The descriptor belongs to the reactor, and stays the
 * same.
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_NOT_SUPPORTED if a sandbox refuses timerfd_create(2), without
 * which delayed calls would not make it readable.
 */
UDPR_API udpr_status udpr_reactor_backend_fd(struct udpr_reactor *reactor, int32_t *out);

/**
 * Gets the time in nanoseconds until a turn has something to do that no descriptor reports: 0 if it has now, -1 if it
 * never will.
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT.
 */
UDPR_API udpr_status udpr_reactor_next_timeout(const struct udpr_reactor *reactor, int64_t *out);

/**
 * Watches a foreign descriptor in this loop: `fn` is called when one of `events` (bits of udpr_watch_flag, not 0) is
 * there. Watching is level-triggered. A descriptor can have one watch. UDPR_WATCH_HANGUP stands for EPOLLHUP and
 * EPOLLERR; it is always reported, and never becomes UDPR_WATCH_READABLE. End the watch before the descriptor is
 * closed. A number that was closed and reused may be watched again: then the old id is UDPR_E_NOT_FOUND. `out_id` may
 * be NULL.
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; EEXIST as a system status if the descriptor has a watch already; EBADF as
 * a system status if it is not open; UDPR_E_NOT_SUPPORTED for a regular file.
 */
UDPR_API udpr_status udpr_reactor_watch(struct udpr_reactor *reactor, int32_t fd, uint32_t events, udpr_watch_fn fn, void *user, udpr_free_fn free_user, udpr_id *out_id);

/**
 * Changes the events of a watch.
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_NOT_FOUND.
 */
UDPR_API udpr_status udpr_reactor_change_watch(struct udpr_reactor *reactor, udpr_id id, uint32_t events);

/**
 * Ends a watch. Its free_user is called inside this, or after its callback has returned if this is called inside it.
 * The descriptor stays open.
 *
 * Returns: UDPR_OK; UDPR_E_NOT_FOUND.
 */
UDPR_API udpr_status udpr_reactor_unwatch(struct udpr_reactor *reactor, udpr_id id);

/* ---- reactor: ports ---- */

/**
 * Listens on a UDP port. `local_address` is an IP address of this host, "::", or NULL or "" for every IPv4 address. If
 * `port` is 0, the kernel chooses one. `options` may be NULL. start_protocol is called inside this, with the transport
 * that `out` will get, which is not set yet. It may write, connect, join, stop and close; after a close this returns
 * UDPR_OK, and the transport has stopped. If start_protocol or anything else fails, nothing is left, and free_user has
 * been called. `out` may be NULL; otherwise the transport is retained for the caller, who releases it once.
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_VERSION; UDPR_E_INVALID_ADDRESS; UDPR_E_ADDRESS_IN_USE;
 * UDPR_E_ADDRESS_NOT_AVAILABLE; UDPR_E_ACCESS; UDPR_E_NO_FILES; UDPR_E_NO_MEMORY; UDPR_E_CLOSED while the reactor is
 * freed; what start_protocol returned; another status of the system.
 */
UDPR_API udpr_status udpr_reactor_listen_udp(struct udpr_reactor *reactor, uint16_t port, const char *local_address, const struct udpr_protocol *protocol, const struct udpr_udp_options *options, struct udpr_transport **out);

/**
 * Listens as udpr_reactor_listen_udp does; it is Twisted's name for a port that is meant for groups. Groups can be
 * joined on any port, preferably in start_protocol. From its first join on, a port receives only the groups that it
 * joined (IP_MULTICAST_ALL is off). Several programs of one host share the port number of a group with
 * UDPR_UDP_LISTEN_MULTIPLE.
 *
 * Returns: as udpr_reactor_listen_udp.
 */
UDPR_API udpr_status udpr_reactor_listen_multicast(struct udpr_reactor *reactor, uint16_t port, const char *local_address, const struct udpr_protocol *protocol, const struct udpr_udp_options *options, struct udpr_transport **out);

/**
 * Listens on an address of this host and its port; port 0 lets the kernel choose one. For everything else it is
 * udpr_reactor_listen_udp. `local` is copied. Its scope_id is used, its flow_info is not. ::ffff:a.b.c.d binds an IPv6 socket
 * to the IPv4 address.
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT if `local` is NULL, or its family is UDPR_AF_UNSPEC or unknown, or its reserved
 * word is not zero; otherwise as udpr_reactor_listen_udp.
 */
UDPR_API udpr_status udpr_reactor_listen_addr(struct udpr_reactor *reactor, const struct udpr_addr *local, const struct udpr_protocol *protocol, const struct udpr_udp_options *options, struct udpr_transport **out);

/**
 * Makes a port of a UDP socket that was made elsewhere: bound or not (its first write binds it), connected or not,
 * blocking or not. The descriptor is duplicated: the caller keeps `fd`, and may close it at once. With
 * UDPR_UDP_TAKE_FD the library takes it over, even if this fails; only if `options` itself cannot be read, it stays
 * the caller's. Family, type, protocol and peer are read from the socket. `family` is UDPR_AF_UNSPEC, or the family
 * that is expected.
 *
 * Socket options and a connection that are changed here are restored when the port stops, for the other holders of the
 * socket, except those that udpr_transport_set_option sets. A socket that was not bound keeps the port number that it
 * got. An outgoing interface that was set by its index alone cannot be read (ip(7), IP_MULTICAST_IF): if
 * udpr_transport_set_outgoing_interface has changed it, the system chooses the interface afterwards. Otherwise this is
 * as udpr_reactor_listen_udp.
 *
 * A socket that is bound to a device becomes a port that is bound to it (see bind_device). That includes a socket that
 * was connected to a link-local address: the kernel does not report whether the maker or the connection has bound it.
 *
 * Returns: as udpr_reactor_listen_udp; UDPR_E_SOCKET_TYPE if it is not a UDP socket; UDPR_E_ADDRESS_FAMILY if its
 * family is not IPv4, IPv6 or `family`; EBADF as a system status; UDPR_E_INVALID_ARGUMENT for options that have to be
 * set before bind: UDPR_UDP_LISTEN_MULTIPLE, UDPR_UDP_REUSE_ADDRESS, UDPR_UDP_REUSE_PORT, UDPR_UDP_V6_ONLY,
 * bind_device.
 */
UDPR_API udpr_status udpr_reactor_adopt_datagram_port(struct udpr_reactor *reactor, int32_t fd, uint16_t family, const struct udpr_protocol *protocol, const struct udpr_udp_options *options, struct udpr_transport **out);

/**
 * Calls `fn` for every port whose stop_protocol was not called yet. It goes through a snapshot, so `fn` may close
 * ports and listen. The transport is borrowed: retain it to keep it.
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT.
 */
UDPR_API udpr_status udpr_reactor_each_transport(struct udpr_reactor *reactor, udpr_visit_fn fn, void *user);

/* ---- transport: handle and IUDPTransport ---- */

/**
 * Adds a reference, for udpr_transport_release. NULL has no effect. [any thread]
 *
 * Returns: `transport`.
 */
UDPR_API struct udpr_transport *udpr_transport_retain(struct udpr_transport *transport);

/**
 * Releases a reference. It never closes the port, which listens until it is stopped, and calls no callback. NULL has
 * no effect. [any thread]
 */
UDPR_API void udpr_transport_release(struct udpr_transport *transport);

/**
 * Gets the reactor of a transport. It is borrowed.
 *
 * Returns: the reactor; NULL once stop_protocol has returned, and on a wrong thread.
 */
UDPR_API struct udpr_reactor *udpr_transport_reactor(const struct udpr_transport *transport);

/**
 * Gets the user pointer of the transport's protocol.
 *
 * Returns: the pointer; NULL once stop_protocol has returned, and on a wrong thread.
 */
UDPR_API void *udpr_transport_user(const struct udpr_transport *transport);

/**
 * Gets the descriptor of the socket. It is borrowed, for options that the library has no function for.
 *
 * Returns: the descriptor; -1 once the socket is closed, and on a wrong thread.
 */
UDPR_API int32_t udpr_transport_fileno(const struct udpr_transport *transport);

/**
 * Sends one datagram of `len` bytes to `to`, an address of the port's family. `len` may be 0, and then `data` may be
 * NULL.
 *
 * Inside a callback, writes are gathered until the present dispatch is done (one port's batch, or all delayed calls,
 * watches or calls of the turn), whichever port they are made on, and are sent by few system calls. Outside callbacks
 * a write is sent at once. Datagrams to one destination are sent in the order in which they were written; between
 * destinations no order is promised. If the socket is full, up to send_queue_bytes are queued; after that writes
 * return UDPR_E_WOULD_BLOCK, and write_ready is called later. What was gathered is sent before connect, disconnect,
 * stop_listening, close, or a message with UDPR_MESSAGE_NOW takes effect; close and the end of stop_listening drop and
 * count what a full socket refuses. A datagram that the kernel refuses after UDPR_OK is reported to error_received and
 * counted in dropped_out. A write never returns the error of an earlier datagram.
 *
 * A connected port accepts NULL or its peer as `to`: the address that udpr_transport_connect was given, or that
 * udpr_transport_get_peer returns. The zone of an address that needs none is ignored.
 *
 * Returns: UDPR_OK if the datagram was handed to the kernel, gathered or queued; UDPR_E_CLOSED; UDPR_E_WOULD_BLOCK;
 * UDPR_E_NOT_CONNECTED for NULL as `to`; UDPR_E_WRONG_PEER; UDPR_E_ADDRESS_FAMILY; UDPR_E_MESSAGE_TOO_LONG;
 * UDPR_E_ACCESS for a broadcast that was not allowed; UDPR_E_INVALID_ARGUMENT, for example for port 0;
 * UDPR_E_NETWORK_UNREACHABLE, for example for a zone other than the device that the port is bound to;
 * UDPR_E_NO_MEMORY; outside callbacks also what the kernel returned. If it fails, nothing was sent.
 * never answers for an earlier datagram's error.
 */
UDPR_API udpr_status udpr_transport_write(struct udpr_transport *transport, const void *data, size_t len, const struct udpr_addr *to);

/**
 * Sends the pieces one after the other as one datagram. Otherwise it is as udpr_transport_write. `pieces` may be NULL
 * if `count` is 0, which sends an empty datagram.
 *
 * Returns: as udpr_transport_write.
 */
UDPR_API udpr_status udpr_transport_write_sequence(struct udpr_transport *transport, const struct udpr_bytes *pieces, size_t count, const struct udpr_addr *to);

/**
 * Sends many datagrams, each as udpr_transport_write does. The stride of the array is messages[0].size, which every
 * element has to have. `out_taken` is always written: the number of messages that were accepted. A source that is not
 * an address of this host, or an interface that does not exist, is found when the datagram is sent. A message that is
 * cut into segments is accepted whole or not at all; if it is sent at once, the status is that of its first datagram,
 * and further ones that are lost count as dropped_out.
 *
 * Returns: UDPR_OK; otherwise the status of messages[*out_taken], behind which nothing was read: that of
 * udpr_transport_write; UDPR_E_VERSION for unknown flags; UDPR_E_INVALID_ARGUMENT for a tos above 255, and for a group
 * as source; UDPR_E_ADDRESS_FAMILY for a source of another family than the destination's (on a dual-stack port IPv4 is
 * ::ffff:a.b.c.d in both).
 */
UDPR_API udpr_status udpr_transport_write_messages(struct udpr_transport *transport, const struct udpr_message *messages, size_t count, size_t *out_taken);

/**
 * Copies a datagram, which is sent in the reactor's next turn, in order for each thread. Posts that wait are bounded
 * by send_queue_bytes; if none waits, a larger one is accepted. After UDPR_E_WOULD_BLOCK, and after a post that is
 * larger than the bound, write_ready is called once all of them were sent. [any thread]
 *
 * Returns: UDPR_OK; UDPR_E_WOULD_BLOCK if too much waits; UDPR_E_NO_MEMORY; the statuses of udpr_transport_write that
 * can be known at once.
 */
UDPR_API udpr_status udpr_transport_post(struct udpr_transport *transport, const void *data, size_t len, const struct udpr_addr *to);

/**
 * Sends what was gathered.
 *
 * Returns: UDPR_OK; UDPR_E_CLOSED; UDPR_E_WOULD_BLOCK if a full socket keeps some of it waiting.
 */
UDPR_API udpr_status udpr_transport_flush(struct udpr_transport *transport);

/**
 * Connects the port to `peer`: writes without an address go to it, and datagrams of other senders are not delivered
 * any more. Those that wait already are discarded (discarded_in). Connecting again changes the peer; the port keeps
 * its number. What was gathered or queued before goes to its own destinations. An unspecified address is this host;
 * udpr_transport_get_peer returns the address that the kernel chose. Nothing is sent: whether the peer listens shows
 * after a write (connection_refused).
 *
 * The port stays bound to its device, however it was bound: by bind_device, by udpr_transport_set_option at any time,
 * or before it was adopted. If the kernel does not bind it again, writes return UDPR_E_NO_INTERFACE until a connect
 * succeeds or the option is set. A link-local peer binds the port to the interface of its zone while it is connected.
 *
 * Returns: UDPR_OK; UDPR_E_ADDRESS_FAMILY (for an IPv4 peer of a dual-stack port see udpr_addr_map_v4);
 * UDPR_E_INVALID_ARGUMENT, for example for port 0; UDPR_E_NETWORK_UNREACHABLE; UDPR_E_ACCESS for a broadcast that was
 * not allowed; UDPR_E_CLOSED; another error of connect(2). If it fails, the port is as it was, or has no peer if the
 * former peer cannot be reached any more either.
 */
UDPR_API udpr_status udpr_transport_connect(struct udpr_transport *transport, const struct udpr_addr *peer);

/**
 * Ends the connection: the port sends to any address and receives from any address again. It keeps its number and its
 * device (see udpr_transport_connect).
 *
 * Returns: UDPR_OK; UDPR_E_NOT_CONNECTED; UDPR_E_CLOSED.
 */
UDPR_API udpr_status udpr_transport_disconnect(struct udpr_transport *transport);

/**
 * Gets the peer that the port is connected to.
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_NOT_CONNECTED; UDPR_E_CLOSED once the socket is closed.
 */
UDPR_API udpr_status udpr_transport_get_peer(const struct udpr_transport *transport, struct udpr_addr *out);

/**
 * Turns the reports of the kernel and the network to error_received on or off, as UDPR_UDP_ERROR_REPORTS does from the
 * start. Accepted writes that fail are reported in any case.
 *
 * Returns: UDPR_OK; UDPR_E_CLOSED; another status of the system.
 */
UDPR_API udpr_status udpr_transport_set_error_reports(struct udpr_transport *transport, udpr_bool on);

/**
 * Gets the local address. It asks the kernel each time.
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_CLOSED once the socket is closed.
 */
UDPR_API udpr_status udpr_transport_get_host(const struct udpr_transport *transport, struct udpr_addr *out);

/**
 * Stops the port: no datagram is delivered after this, and no write is accepted. stop_protocol is called in a later
 * turn. Until then, calling it again has no effect.
 *
 * Returns: UDPR_OK; UDPR_E_CLOSED once stop_protocol has returned.
 */
UDPR_API udpr_status udpr_transport_stop_listening(struct udpr_transport *transport);

/**
 * Stops the port at once: stop_protocol has been called when this returns. It may be called in any callback, also in
 * the port's own: then free_user waits until that has returned. A logger that receives the record of this close, and
 * closes the port itself, gets UDPR_OK before stop_protocol is called.
 *
 * Returns: UDPR_OK; UDPR_E_CLOSED once stop_protocol has returned.
 */
UDPR_API udpr_status udpr_transport_close(struct udpr_transport *transport);

/**
 * Pauses the delivery of datagrams until udpr_transport_resume_reading. The rest of the batch is kept for it, in
 * order. Error reports are still delivered. Calling it again has no effect.
 *
 * Returns: UDPR_OK; UDPR_E_CLOSED.
 */
UDPR_API udpr_status udpr_transport_pause_reading(struct udpr_transport *transport);

/**
 * Resumes the delivery of datagrams in a later turn, beginning with those that were kept. Calling it again has no
 * effect.
 *
 * Returns: UDPR_OK; UDPR_E_CLOSED.
 */
UDPR_API udpr_status udpr_transport_resume_reading(struct udpr_transport *transport);

/**
 * Allows or forbids broadcasts (SO_BROADCAST). If they are forbidden, a write to 255.255.255.255 returns UDPR_E_ACCESS
 * at once. A write to the broadcast address of a network, which only the kernel knows, fails when it is sent.
 *
 * Returns: UDPR_OK; UDPR_E_CLOSED; another status of the system.
 */
UDPR_API udpr_status udpr_transport_set_broadcast_allowed(struct udpr_transport *transport, udpr_bool allowed);

/**
 * Tells whether broadcasts are allowed: 1 or 0.
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_CLOSED.
 */
UDPR_API udpr_status udpr_transport_get_broadcast_allowed(const struct udpr_transport *transport, udpr_bool *out);

/**
 * Sets the TTL or hop limit, 1 to 255, of datagrams that are not sent to groups. On a dual-stack port it is that of
 * IPv4 and IPv6.
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_CLOSED; another status of the system.
 */
UDPR_API udpr_status udpr_transport_set_unicast_ttl(struct udpr_transport *transport, uint32_t ttl);

/**
 * Gets the TTL or hop limit that was set, or the system's default. On a dual-stack port it is that of IPv6.
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_CLOSED.
 */
UDPR_API udpr_status udpr_transport_get_unicast_ttl(const struct udpr_transport *transport, uint32_t *out);

/**
 * Sets a socket option by the system's numbers, as setsockopt(2). `value` may be NULL if `len` is 0.
 *
 * SO_BINDTODEVICE and SO_BINDTOIFINDEX have the effect of bind_device, also on a connected port; an empty name, or
 * index 0, ends it. Without CAP_NET_RAW, Linux allows a process only to bind a port that is not bound.
 *
 * Returns: UDPR_OK; UDPR_E_NOT_SUPPORTED for options that the library manages itself: UDP_GRO, UDP_SEGMENT,
 * IP_RECVERR, IPV6_RECVERR, SO_ERROR, SO_BROADCAST, memberships of groups, their outgoing interface, and those that
 * make control data, which are packet info, TOS, TTL and timestamps; UDPR_E_CLOSED; what the kernel returned, which is
 * UDPR_E_SYSTEM - ENOPROTOOPT for an option that it does not know.
 */
UDPR_API udpr_status udpr_transport_set_option(struct udpr_transport *transport, int32_t level, int32_t name, const void *value, size_t len);

/**
 * Gets a socket option by the system's numbers, as getsockopt(2). `len` is the size of `value`, and gets how many
 * bytes were filled.
 *
 * Returns: as udpr_transport_set_option.
 */
UDPR_API udpr_status udpr_transport_get_option(const struct udpr_transport *transport, int32_t level, int32_t name, void *value, size_t *len);

/* ---- transport: IMulticastTransport ---- */

/**
 * Sets the TTL or hop limit of datagrams that are sent to groups: 0 (this host) to 255. The default is 1, the local
 * network. On a dual-stack port it is that of IPv4 and IPv6. For other datagrams see udpr_transport_set_unicast_ttl.
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_CLOSED; another status of the system.
 */
UDPR_API udpr_status udpr_transport_set_ttl(struct udpr_transport *transport, uint32_t ttl);

/**
 * Gets the TTL or hop limit for groups. On a dual-stack port it is that of IPv6.
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_CLOSED.
 */
UDPR_API udpr_status udpr_transport_get_ttl(const struct udpr_transport *transport, uint32_t *out);

/**
 * Sets whether datagrams that this port sends to groups are also received by the ports of this host, including itself.
 * By default they are.
 *
 * Returns: UDPR_OK; UDPR_E_CLOSED; another status of the system.
 */
UDPR_API udpr_status udpr_transport_set_loopback_mode(struct udpr_transport *transport, udpr_bool on);

/**
 * Gets whether datagrams to groups are received by this host, too: 1 or 0.
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_CLOSED.
 */
UDPR_API udpr_status udpr_transport_get_loopback_mode(const struct udpr_transport *transport, udpr_bool *out);

/**
 * Sets the interface by which datagrams to groups are sent (udpr_interface_index finds it). 0, the default, leaves the
 * choice to the system. Over IPv4 they also get that interface's first address as their source. If the address is
 * removed (by DHCP, or in another network), they get the address that the interface has then. A port that is connected
 * to a group keeps the address of the connection until it is connected again; an address that another interface of
 * this host has taken over is kept until this is called again. The index is one of the network namespace of the port's
 * socket. If the interface is removed, writes to groups fail until another one is set.
 *
 * Returns: UDPR_OK; UDPR_E_NO_INTERFACE if there is no such interface; UDPR_E_INVALID_ARGUMENT if the port is bound to another
 * device; UDPR_E_CLOSED.
 */
UDPR_API udpr_status udpr_transport_set_outgoing_interface(struct udpr_transport *transport, uint32_t interface_index);

/**
 * Gets the interface that was set.
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_CLOSED.
 */
UDPR_API udpr_status udpr_transport_get_outgoing_interface(const struct udpr_transport *transport, uint32_t *out);

/**
 * Joins a group, whose port is ignored, on an interface. Interface 0 means the interface of the group's zone
 * (ff02::1%eth0), otherwise the device that the port is bound to, otherwise the interface of the system's present
 * route to the group. Any port may join. From its first join on it receives only the groups that it joined, each from
 * the interfaces on which it joined it. On a dual-stack port the IPv4 group 228.0.0.5 is ::ffff:228.0.0.5
 * (udpr_addr_map_v4).
 *
 * Linux does not check the interface of IPv6 datagrams, so the port does: datagrams of a group that it joined on other
 * interfaces are not delivered, and are counted in discarded_in.
 *
 * A membership stays on its interface when routes, addresses or names change. It ends when the interface is removed:
 * then the group can be joined again by interface 0 without leaving it first. If a new interface gets the index of the
 * former one, the group has to be left first.
 *
 * Returns: UDPR_OK; UDPR_E_NOT_MULTICAST; UDPR_E_NO_INTERFACE, also if interface 0 is given and there is no route;
 * UDPR_E_ADDRESS_FAMILY; UDPR_E_ALREADY_JOINED, also if chosen sources of the group were joined there (leave them first) and,
 * for an IPv6 group and interface 0, if it was joined on any interface; UDPR_E_SYSTEM - ENOBUFS for more than the 20 IPv4
 * groups that Linux lets a socket join.
 */
UDPR_API udpr_status udpr_transport_join_group(struct udpr_transport *transport, const struct udpr_addr *group, uint32_t interface_index);

/**
 * Leaves a group, named as it was joined, or by the interface on which it was joined. Interface 0 means what was
 * joined by interface 0, whatever the routes are now. A port that stops leaves its groups; what an adopted socket had
 * joined before stays joined.
 *
 * Returns: UDPR_OK; UDPR_E_NOT_JOINED, also if another holder of an adopted socket has left the group; UDPR_E_NO_INTERFACE
 * if it was not joined and there is no such interface; UDPR_E_NOT_MULTICAST; UDPR_E_ADDRESS_FAMILY.
 */
UDPR_API udpr_status udpr_transport_leave_group(struct udpr_transport *transport, const struct udpr_addr *group, uint32_t interface_index);

/**
 * Joins a group for the datagrams of one source (RFC 4607). Call it again for each further source. A further source of
 * an IPv6 group by interface 0 is joined on the interface of the others. Linux uses one membership of a socket in an
 * IPv6 group to decide whether a source is wanted: to receive different sources of one IPv6 group on several
 * interfaces, use a port for each interface. Otherwise it is as udpr_transport_join_group.
 *
 * Returns: as udpr_transport_join_group.
 */
UDPR_API udpr_status udpr_transport_join_source_group(struct udpr_transport *transport, const struct udpr_addr *group, const struct udpr_addr *source, uint32_t interface_index);

/**
 * Leaves one source of a group, and with the last source the group. Otherwise it is as udpr_transport_leave_group.
 *
 * Returns: as udpr_transport_leave_group.
 */
UDPR_API udpr_status udpr_transport_leave_source_group(struct udpr_transport *transport, const struct udpr_addr *group, const struct udpr_addr *source, uint32_t interface_index);

/* ---- time: IReactorTime ---- */

/** The reactor's clock in nanoseconds: CLOCK_MONOTONIC, or manual. 0 for NULL. [any thread] */
UDPR_API udpr_ns udpr_reactor_now(const struct udpr_reactor *reactor);

/**
 * Calls `fn` once, `delay` from now, and never early.
 *
 * Calls that are due together are made in the order in which they were created. A call with a delay of 0 that is created inside a
 * delayed call is made in the next turn, after one poll. UDPR_NEVER never comes due. free_user is called after `fn`, or when the call
 * is cancelled, or when the reactor ends. `out_id` may be NULL. Inside its own call the id is UDPR_E_ALREADY_CALLED, but
 * udpr_reactor_reset_call, udpr_reactor_reset_call_at and udpr_reactor_delay_call make the call pending again, and free_user is called
 * after its last call.
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT without `fn`, and for a delay above INT64_MAX other than UDPR_NEVER, which is a negative
 * difference; UDPR_E_CLOSED while the reactor is freed; UDPR_E_NO_MEMORY. If it fails, free_user has been called.
 */
UDPR_API udpr_status udpr_reactor_call_later(struct udpr_reactor *reactor, udpr_ns delay, udpr_call_fn fn, void *user, udpr_free_fn free_user, udpr_id *out_id);

/**
 * Calls `fn` once, at `instant` of udpr_reactor_now, as udpr_reactor_call_later does. If the instant has passed, the call is due at
 * once.
 *
 * Returns: as udpr_reactor_call_later, of an instant instead of a delay.
 */
UDPR_API udpr_status udpr_reactor_call_at(struct udpr_reactor *reactor, udpr_ns instant, udpr_call_fn fn, void *user, udpr_free_fn free_user, udpr_id *out_id);

/**
 * Calls `fn` every `interval`, the first time one interval from now.
 *
 * The beats lie on a fixed grid, which does not drift. If a turn is late, `fn` is called once, with the number of beats since its last
 * call; udpr_reactor_advance calls it at each beat. udpr_reactor_stop and udpr_reactor_crash do not end the call: the next turn calls `fn`
 * once for all beats that have passed. It is pending until it is cancelled, also inside its own call, where it is due at its next
 * beat; after udpr_reactor_cancel_call there, free_user is called once it has returned, and nothing makes it pending again.
 * udpr_reactor_reset_call, udpr_reactor_reset_call_at and udpr_reactor_delay_call move the grid. If it is moved to an instant that has
 * passed, the call is due at once, and beats of the new grid that passed before the move do not count. Otherwise as
 * udpr_reactor_call_later.
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT without `fn`, and for an interval that is 0 or above INT64_MAX, UDPR_NEVER too;
 * UDPR_E_CLOSED while the reactor is freed; UDPR_E_NO_MEMORY. If it fails, free_user has been called.
 */
UDPR_API udpr_status udpr_reactor_call_every(struct udpr_reactor *reactor, udpr_ns interval, udpr_repeat_fn fn, void *user, udpr_free_fn free_user, udpr_id *out_id);

/**
 * Cancels a delayed call. Its free_user is called inside this, or after the call has returned if this is called inside it.
 *
 * Returns: UDPR_OK; UDPR_E_ALREADY_CALLED, also inside the call itself unless it is pending again or periodic;
 * UDPR_E_ALREADY_CANCELLED; UDPR_E_NOT_FOUND for other ids, and for all but the last 4096 calls that ended.
 */
UDPR_API udpr_status udpr_reactor_cancel_call(struct udpr_reactor *reactor, udpr_id id);

/**
 * Moves a delayed call to `delay_from_now`. Inside the call itself this makes it pending again, also if it was created to be made
 * once.
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT for a delay that udpr_reactor_call_later does not take; UDPR_E_NO_MEMORY;
 * UDPR_E_ALREADY_CALLED outside the call, UDPR_E_ALREADY_CANCELLED and UDPR_E_NOT_FOUND as udpr_reactor_cancel_call.
 */
UDPR_API udpr_status udpr_reactor_reset_call(struct udpr_reactor *reactor, udpr_id id, udpr_ns delay_from_now);

/**
 * Moves a delayed call to `instant` of udpr_reactor_now. If that has passed, the call is due at once. Inside the call itself this makes
 * it pending again, as udpr_reactor_reset_call does.
 *
 * Returns: as udpr_reactor_reset_call, of an instant instead of a delay.
 */
UDPR_API udpr_status udpr_reactor_reset_call_at(struct udpr_reactor *reactor, udpr_id id, udpr_ns instant);

/**
 * Moves a delayed call by `more_ns` from the instant at which it is due; below 0 is earlier. Inside the call itself this makes it
 * pending again, `more_ns` after the instant at which it was due.
 *
 * Returns: UDPR_OK; UDPR_E_NO_MEMORY; other statuses as udpr_reactor_reset_call.
 */
UDPR_API udpr_status udpr_reactor_delay_call(struct udpr_reactor *reactor, udpr_id id, int64_t more_ns);

/**
 * Gets the instant at which a delayed call is due.
 *
 * Returns: UDPR_OK while the call is pending; UDPR_E_INVALID_ARGUMENT if `out_due` is NULL; otherwise as udpr_reactor_cancel_call.
 */
UDPR_API udpr_status udpr_reactor_call_time(const struct udpr_reactor *reactor, udpr_id id, udpr_ns *out_due);

/**
 * The ids of pending delayed calls, in no order: at most `capacity` are stored (`ids` may be NULL where that is 0).
 * out_count is always written: how many are pending.
 */
UDPR_API udpr_status udpr_reactor_delayed_calls(const struct udpr_reactor *reactor, udpr_id *ids, size_t capacity, size_t *out_count);

/**
 * Moves a manual clock by `by`, and runs what falls due, in order, calls made meanwhile too. UDPR_E_NOT_SUPPORTED without
 * UDPR_REACTOR_MANUAL_CLOCK, UDPR_E_REENTRANT inside a callback, UDPR_E_INVALID_ARGUMENT for more than INT64_MAX.
 */
UDPR_API udpr_status udpr_reactor_advance(struct udpr_reactor *reactor, udpr_ns by);

/* ---- time: delayed calls of a transport ---- */

/**
 * Calls `fn` once, `delay` from now, as udpr_reactor_call_later does; but the call belongs to the transport.
 *
 * It is not made after udpr_transport_stop_listening or udpr_transport_close, or after a shutdown has stopped the port. Calls that
 * are pending then end right before stop_protocol: their free_user is called, and their ids are UDPR_E_ALREADY_CANCELLED. If a call
 * closes its own port, its free_user is called once it has returned, before that of the protocol. May be called in
 * start_protocol; if listening fails then, free_user is called inside listen_*. The call counts as one of the reactor's, whose
 * functions take its id. `out_id` may be NULL.
 *
 * Returns: UDPR_OK; UDPR_E_CLOSED once the port does not listen any more, in stop_protocol too; UDPR_E_INVALID_ARGUMENT as
 * udpr_reactor_call_later; UDPR_E_NO_MEMORY. If it fails, free_user has been called.
 */
UDPR_API udpr_status udpr_transport_call_later(struct udpr_transport *transport, udpr_ns delay, udpr_protocol_fn fn, void *user, udpr_free_fn free_user, udpr_id *out_id);

/**
 * Calls `fn` every `interval`, as udpr_reactor_call_every does; but the call belongs to the transport, as one of
 * udpr_transport_call_later does.
 *
 * Returns: UDPR_OK; UDPR_E_CLOSED once the port does not listen any more, in stop_protocol too; UDPR_E_INVALID_ARGUMENT as
 * udpr_reactor_call_every; UDPR_E_NO_MEMORY. If it fails, free_user has been called.
 */
UDPR_API udpr_status udpr_transport_call_every(struct udpr_transport *transport, udpr_ns interval, udpr_transport_repeat_fn fn, void *user, udpr_free_fn free_user, udpr_id *out_id);

/* ---- core: events ---- */

/**
 * Calls `fn` once. If the reactor is running, it is called inside this, and `out_id` gets 0. Otherwise it is called at
 * the next startup, among its after-triggers, in the order in which they were added; udpr_reactor_remove_trigger
 * removes it until then. `out_id` may be NULL.
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_CLOSED while the reactor is freed; UDPR_E_NO_MEMORY. If it fails,
 * free_user has been called.
 */
UDPR_API udpr_status udpr_reactor_call_when_running(struct udpr_reactor *reactor, udpr_call_fn fn, void *user, udpr_free_fn free_user, udpr_id *out_id);

/**
 * Calls `fn` at every startup or shutdown (`event`, a udpr_event_code), in one of its phases (`phase`, a
 * udpr_phase_code). Within a phase, triggers are called in the order in which they were added. A before-trigger may
 * return UDPR_PENDING: the rest of the event then waits until udpr_reactor_finish_trigger, while the loop goes on. A
 * failure is logged, and the other triggers are called. At shutdown the ports stop between before and during. `out_id`
 * may be NULL.
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_CLOSED while the reactor is freed; UDPR_E_NO_MEMORY. If it fails,
 * free_user has been called.
 */
UDPR_API udpr_status udpr_reactor_add_trigger(struct udpr_reactor *reactor, uint32_t phase, uint32_t event, udpr_trigger_fn fn, void *user, udpr_free_fn free_user, udpr_id *out_id);

/**
 * Removes a trigger, even if its event is in progress. If it was pending, it holds nothing back any more. Its
 * free_user is called inside this, or after its callback has returned if this is called inside it.
 *
 * Returns: UDPR_OK; UDPR_E_NOT_FOUND.
 */
UDPR_API udpr_status udpr_reactor_remove_trigger(struct udpr_reactor *reactor, udpr_id id);

/**
 * A trigger that returned UDPR_PENDING has finished. If it was the last one, the rest of the event is called inside
 * this.
 *
 * Returns: UDPR_OK; UDPR_E_NOT_FOUND if it is not pending.
 */
UDPR_API udpr_status udpr_reactor_finish_trigger(struct udpr_reactor *reactor, udpr_id id);

/**
 * Fires an event inside this: a shutdown stops the ports and ends a run, a startup calls its triggers and does nothing
 * else.
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_ALREADY_RUNNING while an event is in progress, but a shutdown ends
 * a startup.
 */
UDPR_API udpr_status udpr_reactor_fire_event(struct udpr_reactor *reactor, uint32_t event);

/* ---- threads and names ---- */

/**
 * Calls `fn` on the reactor's thread in its next turn, in order for each calling thread. The call is kept until there
 * is a turn. The caller has to know that the reactor is alive; a remote can be used without knowing that. [any thread]
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_CLOSED; UDPR_E_NO_MEMORY. If it fails, free_user has been called.
 */
UDPR_API udpr_status udpr_reactor_call_from_thread(struct udpr_reactor *reactor, udpr_call_fn fn, void *user, udpr_free_fn free_user);

/**
 * Calls `work` on a thread of the pool, then `done`, which may be NULL, on the reactor's thread, where free_user is
 * called as well. udpr_reactor_free waits for work in progress and drops work that has not begun; then `done` is not
 * called. Work has the signal mask of the thread that calls this, and a stack of 2 MiB.
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_CLOSED while the reactor is freed; UDPR_E_NO_MEMORY if no thread
 * can be made. If it fails, free_user has been called.
 */
UDPR_API udpr_status udpr_reactor_call_in_thread(struct udpr_reactor *reactor, udpr_work_fn work, udpr_call_fn done, void *user, udpr_free_fn free_user);

/**
 * Sets the most threads of the pool, 1 to 1024; 0 means 10. Threads are made when they are needed. Look-ups have
 * threads of their own.
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_NO_MEMORY.
 */
UDPR_API udpr_status udpr_reactor_suggest_thread_pool_size(struct udpr_reactor *reactor, uint32_t size);

/**
 * Looks a host name up. `fn` is called in a later turn, exactly once, with every address in the system's order and
 * with `port` filled in. `family` (a udpr_family_code) is one family, or 0 for both. An IP address needs no look-up;
 * one of the other family gets UDPR_E_ADDRESS_FAMILY. "" is every address of this host. `timeout` is in nanoseconds
 * from this call; 0 means 60 s, UDPR_NEVER no timeout. `out_id` may be NULL.
 *
 * `fn` receives UDPR_OK, UDPR_E_NAME_NOT_FOUND, UDPR_E_NAME_TRY_AGAIN, UDPR_E_TIMED_OUT, UDPR_E_CANCELLED,
 * UDPR_E_ADDRESS_FAMILY, or another status that the system reports. It receives addresses with UDPR_OK only; they are
 * valid until it returns.
 *
 * Each look-up has a thread of its own, apart from the pool. At most 16 look-ups of a reactor are in progress at once,
 * and the others wait in order. A look-up that was cancelled or has timed out holds up neither work nor other
 * look-ups, though its thread stays until the system gives up. Such threads are bounded: 32 for each reactor, 64 for
 * the process. udpr_reactor_free does not wait for them.
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT for what cannot be a name (over 253 bytes, an empty label, a byte other
 * than letters, digits, "-" and "_", or a number as the last label, as in "127.1"; none of this reaches the system),
 * and for a timeout above INT64_MAX other than UDPR_NEVER; UDPR_E_CLOSED while the reactor is freed; UDPR_E_NO_MEMORY
 * if no thread can be made, and none of this reactor's look-ups has one. If it fails, free_user has been called.
 */
UDPR_API udpr_status udpr_reactor_resolve(struct udpr_reactor *reactor, const char *host, uint16_t port, uint16_t family, udpr_ns timeout, udpr_resolved_fn fn, void *user, udpr_free_fn free_user, udpr_id *out_id);

/**
 * Cancels a look-up: its callback is called in a later turn with UDPR_E_CANCELLED.
 *
 * Returns: UDPR_OK; UDPR_E_NOT_FOUND if its result was delivered, or if it was cancelled before.
 */
UDPR_API udpr_status udpr_reactor_cancel_resolve(struct udpr_reactor *reactor, udpr_id id);

/**
 * Gets a reactor's remote, the handle for other threads. The remote may outlive the reactor: then every function that
 * takes it returns UDPR_E_CLOSED, and free_user is called inside the failing call. It is retained for the caller, who
 * releases it once. The caller has to know that the reactor is alive. [any thread]
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT.
 */
UDPR_API udpr_status udpr_reactor_remote(struct udpr_reactor *reactor, struct udpr_remote **out);

/**
 * Adds a reference, for udpr_remote_release. NULL has no effect. [any thread]
 *
 * Returns: `remote`.
 */
UDPR_API struct udpr_remote *udpr_remote_retain(struct udpr_remote *remote);

/** Releases a reference. NULL has no effect. [any thread] */
UDPR_API void udpr_remote_release(struct udpr_remote *remote);

/**
 * Calls `fn` on the reactor's thread in its next turn, in order for each calling thread. The call is kept until there
 * is a turn. Calls that are added while these are made wait for the turn after. [any thread]
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_CLOSED; UDPR_E_NO_MEMORY. If it fails, free_user has been called.
 */
UDPR_API udpr_status udpr_remote_call(struct udpr_remote *remote, udpr_call_fn fn, void *user, udpr_free_fn free_user);

/**
 * Stops the reactor in its next turn, but never a run that begins after this has returned. [any thread]
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_NOT_RUNNING; UDPR_E_CLOSED.
 */
UDPR_API udpr_status udpr_remote_stop(struct udpr_remote *remote);

/**
 * Ends the present wait of run or iterate, or the next one if there is none. [any thread, signal safe, keeps errno]
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_CLOSED.
 */
UDPR_API udpr_status udpr_remote_wake(struct udpr_remote *remote);

/* ---- watching it ---- */

/**
 * Sends log records up to `max_level` (a udpr_log_code; 0: none) to `fn`, on the reactor's thread. NULL as `fn` ends
 * logging. The previous logger's free_user is called inside this, or after its callback has returned if this is called
 * inside it. The library itself prints nothing.
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_CLOSED while the reactor is freed. If it fails, free_user has been
 * called.
 */
UDPR_API udpr_status udpr_reactor_set_logger(struct udpr_reactor *reactor, uint32_t max_level, udpr_log_fn fn, void *user, udpr_free_fn free_user);

/**
 * Gets the counters of a reactor. The caller sets out->size.
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT.
 */
UDPR_API udpr_status udpr_reactor_get_stats(const struct udpr_reactor *reactor, struct udpr_reactor_stats *out);

/**
 * Gets the counters of a port. The caller sets out->size. The last chance to read them is inside stop_protocol.
 *
 * Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_CLOSED once stop_protocol has returned.
 */
UDPR_API udpr_status udpr_transport_get_stats(const struct udpr_transport *transport, struct udpr_transport_stats *out);

#ifdef __cplusplus
} /* extern "C" */
#endif /* __cplusplus */

#endif  /* UDPR_H */
