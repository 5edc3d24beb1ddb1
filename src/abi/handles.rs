//! The opaque handles of the header.

/// A reactor. The program owns it: udpr_reactor_new makes it, udpr_reactor_free frees it.
pub struct udpr_reactor(());

/// A UDP port, as Twisted's Port. It is counted: udpr_transport_retain, udpr_transport_release.
pub struct udpr_transport(());

/// A handle of a reactor for other threads. It is counted: udpr_remote_retain, udpr_remote_release. [any thread]
pub struct udpr_remote(());
