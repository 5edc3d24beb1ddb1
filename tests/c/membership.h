/* membership.h: joining and leaving a group, for every source or, if `source` is not NULL, for one source. */
#ifndef UDPR_TESTS_MEMBERSHIP_H
#define UDPR_TESTS_MEMBERSHIP_H

#include "check.h"

static inline udpr_status join_group(udpr_transport *transport, const udpr_addr *group,
                                     const udpr_addr *source, uint32_t interface) {
  return source ? udpr_transport_join_source_group(transport, group, source, interface)
                : udpr_transport_join_group(transport, group, interface);
}

static inline udpr_status leave_group(udpr_transport *transport, const udpr_addr *group,
                                      const udpr_addr *source, uint32_t interface) {
  return source ? udpr_transport_leave_source_group(transport, group, source, interface)
                : udpr_transport_leave_group(transport, group, interface);
}

#endif
