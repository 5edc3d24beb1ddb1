//! The opaque handles of the header.

/// A reactor. Owned: udpr_reactor_new makes it, udpr_reactor_free ends it.
pub struct udpr_reactor(());

/// A port; the Port of Twisted. Counted: udpr_transport_retain, udpr_transport_release.
pub struct udpr_transport(());

/// A reactor's door for other threads. Counted: udpr_remote_retain, udpr_remote_release. [any thread]
pub struct udpr_remote(());
