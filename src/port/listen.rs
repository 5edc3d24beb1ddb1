//! Making a port: socket, options, bind, `start_protocol`.

use super::destinations::Peer;
use super::errors::ErrorState;
use super::path_limits::Segmentation;
use super::posts::PortShared;
use super::registration::Registration;
use super::saved_options::SavedOptions;
use super::{Open, Options, Port, Protocol, State, bind, flag};
use crate::addr::{Addr, family};
use crate::context::{Context, ReasonSet};
use crate::log::Level;
use crate::status::{Result, Status};
use crate::sys::{Device, Handle, Kernel, OwnedHandle, SocketOption, handle_of};
use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

/// The number of messages that the first recvmmsg(2) of a port asks for.
const MESSAGES_FIRST: u8 = 8;

/// What a port is made of, apart from its options.
pub(super) struct Parts {
    pub(super) socket: OwnedHandle,
    pub(super) family: u16,
    pub(super) flags: u32,
    pub(super) peer: Option<Addr>,
    pub(super) saved_options: Option<SavedOptions>,
}

impl Port {
    /// Makes a port that is bound to `local`. Its reactor does not know it yet.
    ///
    /// # Errors
    /// Those of the options, and of bind(2).
    pub fn bind(
        context: &Rc<Context>,
        local: &Addr,
        options: &Options<'_>,
        protocol: Box<dyn Protocol>,
    ) -> Result<Arc<Port>> {
        options.check_listen()?;
        context.check_open()?;
        let kernel = &*context.kernel;
        let socket = kernel.socket(local.family)?;
        let fd = handle_of(&socket);
        set_options(kernel, fd, local.family, options)?;
        let (family, flags) = (local.family, options.flags);
        let parts = Parts { socket, family, flags, peer: None, saved_options: None };
        let port = Port::assemble(context, parts, options, protocol);
        let open = port.open()?;
        // Before bind(2), so that the first datagram has its control data.
        open.finish_options(options)?;
        if let Err(status) = bind::bind(context, fd, local, options) {
            if context.shared.owner.is_forked() {
                // configure_socket has forked: in the child nothing more is called, nor freed.
                open.fd.close();
                std::mem::forget(port);
            }
            return Err(status);
        }
        if options.may_have_device(local) {
            open.read_device()?;
        }
        open.learn_port()?;
        Ok(port)
    }

    /// Makes a port of its parts.
    pub(super) fn assemble(
        context: &Rc<Context>,
        parts: Parts,
        options: &Options<'_>,
        protocol: Box<dyn Protocol>,
    ) -> Arc<Port> {
        let Parts { socket, family, flags, peer, saved_options } = parts;
        let open = Open {
            context: context.clone(),
            token: Cell::new(0),
            state: Cell::new(State::Listening),
            fd: socket.into(),
            family,
            flags: Cell::new(flags),
            packet_size: options.packet_size(),
            queue_bytes: options.queue_bytes(),
            peer: Cell::new(peer),
            saved_options: saved_options.map(Box::new),
            errors: ErrorState::default(),
            protocol,
            drops: Cell::new(0),
            registration: Registration::default(),
            paused: Cell::new(false),
            messages: Cell::new(MESSAGES_FIRST),
            undelivered: Cell::new(0),
            merges: Cell::new(false),
            segmentation: Cell::new(Segmentation::Off),
            write_ready_due: Cell::new(false),
            backing_off: Cell::new(false),
            scheduled: ReasonSet::default(),
            send_blocked: Cell::new(false),
            constrained: Cell::new(false),
            meta_port: Cell::new(None),
            lazy: OnceCell::new(),
        };
        let shared = PortShared::new(context.shared.clone(), open.destinations(), open.queue_bytes);
        shared.set_peer(peer.map(Peer::of_kernel), None);
        if options.write_ready_bytes > 0 {
            open.lazy().write_ready_bytes.set(options.write_ready_bytes as usize);
        }
        #[allow(
            clippy::arc_with_non_send_sync,
            reason = "counted from any thread, used from one: see the module"
        )]
        Arc::new(Port { shared, append_cursor: OnceCell::new(), open: RefCell::new(Some(Rc::new(open))) })
    }

    /// Lets the port receive, under the token that its reactor has given it, and calls `start_protocol`. If anything fails, the
    /// port is closed, and `stop_protocol` is not called.
    pub fn start(self: &Arc<Port>, token: u64) -> Result {
        let open = self.open()?;
        open.token.set(token);
        self.shared.set_token(token);
        let context = &open.context;
        context.port_count.set(context.port_count.get() + 1);
        let started = open.watch().and_then(|()| open.protocol.start_protocol(self));
        // start_protocol may have forked. In the child, the port and its registration with epoll belong to the parent.
        context.shared.owner.check_open()?;
        if let Err(status) = started {
            self.abandon();
            return Err(status);
        }
        if let Ok(host) = self.get_host() {
            context.log_record(Level::Info, Status::OK, c"port", format_args!("listening on {host}"));
        }
        Ok(())
    }
}

impl Open {
    /// Sets the options that a listening port and an adopted one have in common.
    pub(super) fn finish_options(&self, options: &Options<'_>) -> Result {
        self.check_buffers(options);
        self.enable_meta()?;
        self.enable_merging();
        if options.has(flag::ERROR_REPORTS) { self.enable_error_queue(true) } else { Ok(()) }
    }

    /// Turns on the merging of received datagrams if the system can do it, unless they carry time stamps: merged datagrams have
    /// one stamp for all. The other holders of an adopted socket would receive merged datagrams too, so there it is done on
    /// request only.
    ///
    /// Sends are merged only if the system knows the option for it: a Linux without UDP_SEGMENT ignores it as control data, and
    /// would send the merged datagrams as one.
    fn enable_merging(&self) {
        let can_segment = || self.context.kernel.option(self.fd.get(), SocketOption::SegmentSize).is_ok();
        if !self.has(flag::NO_OFFLOAD) && can_segment() {
            self.segmentation.set(Segmentation::Full);
        }
        let wanted = self.saved_options.is_none() || self.has(flag::OFFLOAD);
        if wanted && !self.has(flag::NO_OFFLOAD | flag::TIMESTAMPS) {
            let on = self.set_option(SocketOption::MergeReceived, true);
            self.merges.set(on.is_ok() || self.merges.get());
        }
    }

    /// Logs that a buffer is smaller than requested: the kernel limits the sizes to net.core.rmem_max and wmem_max (socket(7)).
    fn check_buffers(&self, options: &Options<'_>) {
        for (option, wish) in options.buffers() {
            let name = if option == SocketOption::SendBuffer { "send" } else { "receive" };
            let granted = self.context.kernel.option(self.fd.get(), option);
            if let Some(granted) = granted.ok().filter(|granted| *granted < wish) {
                self.context.log_record(
                    Level::Warn,
                    Status::OK,
                    c"port",
                    format_args!("{name} buffer of {granted} bytes instead of {wish}"),
                );
            }
        }
    }
}

/// Allows other sockets with the same options to have the same port number.
///
/// LISTEN_MULTIPLE is SO_REUSEADDR only. With SO_REUSEPORT a datagram from the network to a multicast group would reach one of
/// the sockets: since Linux 6.9 the socket that the early demultiplexer finds is replaced by any member of its SO_REUSEPORT
/// group (`inet_steal_sock`). With SO_REUSEADDR each socket receives it, and the number can still be shared with a socket that
/// has both options.
pub(super) fn share_number(kernel: &dyn Kernel, fd: Handle, options: &Options<'_>) -> Result {
    if options.has(flag::REUSE_ADDRESS | flag::LISTEN_MULTIPLE) {
        kernel.set_option(fd, SocketOption::ReuseAddress, true.into())?;
    }
    if options.has(flag::REUSE_PORT) {
        kernel.set_option(fd, SocketOption::ReusePort, true.into())?;
    }
    Ok(())
}

/// Sets the options that must precede bind(2).
fn set_options(kernel: &dyn Kernel, fd: Handle, version: u16, options: &Options<'_>) -> Result {
    share_number(kernel, fd, options)?;
    if options.has(flag::BROADCAST) {
        kernel.set_option(fd, SocketOption::Broadcast, true.into())?;
    }
    for (option, size) in options.buffers() {
        kernel.set_option(fd, option, size.into())?;
    }
    confine(kernel, fd, version, options)
}

/// Restricts a socket to one IP version and one device, which decide which port numbers are free.
pub(super) fn confine(kernel: &dyn Kernel, fd: Handle, version: u16, options: &Options<'_>) -> Result {
    if version == family::INET6 {
        // Set either way, since the default depends on the system (net.ipv6.bindv6only).
        kernel.set_option(fd, SocketOption::V6Only, options.has(flag::V6_ONLY).into())?;
    }
    if let Some(name) = options.bind_device {
        kernel.bind_device(fd, &Device::named(name).ok_or(Status::NO_INTERFACE)?)?;
    }
    Ok(())
}
