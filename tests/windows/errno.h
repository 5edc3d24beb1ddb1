/* errno.h: the numbers of errors are those of Winsock and of the system, which the library uses (src/status/errno.rs). */
#ifndef UDPR_TESTS_WINDOWS_ERRNO_H
#define UDPR_TESTS_WINDOWS_ERRNO_H

#include_next <errno.h>

#undef ENOENT
#define ENOENT 2
#undef EPERM
#define EPERM 5
#undef EBADF
#define EBADF 6
#undef ENOMEM
#define ENOMEM 8
#undef ENODEV
#define ENODEV 55
#undef ENOSYS
#define ENOSYS 120
#undef EBUSY
#define EBUSY 170
#undef EEXIST
#define EEXIST 183
#undef ECANCELED
#define ECANCELED 995
#undef EIO
#define EIO 1117
#undef EDEADLK
#define EDEADLK 1131
#undef ESRCH
#define ESRCH 1168
#undef ENOTRECOVERABLE
#define ENOTRECOVERABLE 1359
#undef EINTR
#define EINTR 10004
#undef EACCES
#define EACCES 10013
#undef EFAULT
#define EFAULT 10014
#undef EINVAL
#define EINVAL 10022
#undef EMFILE
#define EMFILE 10024
#undef EAGAIN
#define EAGAIN 10035
#undef EINPROGRESS
#define EINPROGRESS 10036
#undef EALREADY
#define EALREADY 10037
#undef ENOTSOCK
#define ENOTSOCK 10038
#undef EDESTADDRREQ
#define EDESTADDRREQ 10039
#undef EMSGSIZE
#define EMSGSIZE 10040
#undef EPROTOTYPE
#define EPROTOTYPE 10041
#undef ENOPROTOOPT
#define ENOPROTOOPT 10042
#undef EPROTONOSUPPORT
#define EPROTONOSUPPORT 10043
#undef EOPNOTSUPP
#define EOPNOTSUPP 10045
#undef EAFNOSUPPORT
#define EAFNOSUPPORT 10047
#undef EADDRINUSE
#define EADDRINUSE 10048
#undef EADDRNOTAVAIL
#define EADDRNOTAVAIL 10049
#undef ENETDOWN
#define ENETDOWN 10050
#undef ENETUNREACH
#define ENETUNREACH 10051
#undef ENETRESET
#define ENETRESET 10052
#undef ECONNRESET
#define ECONNRESET 10054
#undef ENOBUFS
#define ENOBUFS 10055
#undef EISCONN
#define EISCONN 10056
#undef ENOTCONN
#define ENOTCONN 10057
#undef ESHUTDOWN
#define ESHUTDOWN 10058
#undef ETIMEDOUT
#define ETIMEDOUT 10060
#undef ECONNREFUSED
#define ECONNREFUSED 10061
#undef EHOSTUNREACH
#define EHOSTUNREACH 10065

#endif
