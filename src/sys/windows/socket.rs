//! The one place that makes sockets, and the calls on them that carry no datagrams.

use crate::addr::{Addr, family};
use crate::status::errno::{EINVAL, ENOTSOCK, ESHUTDOWN};
use crate::sys::sock_addr::{addr, name};
use crate::sys::{Handle, IpVersion, Kernel, OwnedHandle, SocketKind, handle_of};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::ffi::c_void;
use std::io;
use std::mem::offset_of;
use std::os::windows::io::{BorrowedSocket, FromRawSocket, OwnedSocket, RawSocket};
use std::ptr::null_mut;
use std::sync::Once;
use windows_sys::Win32::Networking::WinSock::{
    AF_INET, AF_INET6, FIONBIO, IPPROTO_UDP, MSG_PEEK, SIO_UDP_CONNRESET, SO_EXCLUSIVEADDRUSE,
    SO_PROTOCOL_INFOW, SOCK_DGRAM, SOCKET, WSADATA, WSAIoctl, WSAPROTOCOL_INFOW, WSAStartup, closesocket,
    getsockopt, ioctlsocket, recv, setsockopt,
};

pub(in crate::sys) use windows_sys::Win32::Networking::WinSock::{SO_ERROR, SO_TYPE, SOL_SOCKET};

/// mswsock.h: whether a TTL that has expired on the way fails a call, as [`SIO_UDP_CONNRESET`] for a port without a socket.
const SIO_UDP_NETRESET: u32 = 0x9800_000f;

/// A number of the dynamic range is free. A socket that holds one could not share it later: SO_EXCLUSIVEADDRUSE is for sockets that
/// are not bound.
pub const CHOOSES_SHARED_NUMBERS: bool = false;

/// Version 2.2.
const WINSOCK_VERSION: u16 = 0x0202;

/// Makes Winsock ready for this process. It stays so.
pub(super) fn start_winsock() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let mut data = WSADATA::default();
        // SAFETY: it writes one struct. If it fails, so does every other call.
        unsafe { WSAStartup(WINSOCK_VERSION, &mut data) };
    });
}

/// A UDP socket, non-blocking and not inherited. No other socket can have its port number, unless it is given
/// [`ReuseAddress`](crate::sys::SocketOption::ReuseAddress).
pub(in crate::sys) fn udp(version: u16) -> io::Result<OwnedHandle> {
    start_winsock();
    let domain = if version == family::INET6 { Domain::IPV6 } else { Domain::IPV4 };
    let socket = OwnedSocket::from(Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?);
    let handle = handle_of(&socket);
    set_nonblocking(handle)?;
    set_option(handle, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, &1i32.to_ne_bytes())?;
    report_refusals(handle, false);
    Ok(socket)
}

/// bind.
pub(in crate::sys) fn bind(handle: Handle, addr: &Addr) -> io::Result<()> {
    borrow(handle, |socket| socket.bind(&name(addr)?))
}

/// getsockname. A socket that is not bound has the address of any host, and port 0.
pub(in crate::sys) fn local_addr(handle: Handle) -> io::Result<Addr> {
    match borrow(handle, |socket| addr(&socket.local_addr()?)) {
        Err(error) if error.raw_os_error() == Some(EINVAL) => any_addr(handle),
        local => local,
    }
}

/// getpeername.
pub(in crate::sys) fn peer_addr(handle: Handle) -> io::Result<Addr> {
    borrow(handle, |socket| addr(&socket.peer_addr()?))
}

/// connect. From now on it is reported that a datagram was refused.
pub(in crate::sys) fn connect(handle: Handle, addr: &Addr) -> io::Result<()> {
    borrow(handle, |socket| socket.connect(&name(addr)?))?;
    report_refusals(handle, true);
    Ok(())
}

/// Ends a connection, if there is one: connect to an address of zeros.
pub(in crate::sys) fn disconnect(handle: Handle) -> io::Result<()> {
    let Ok(peer) = peer_addr(handle) else { return Ok(()) };
    let nobody = Addr { bytes: [0; 16], port: 0, scope_id: 0, ..peer };
    borrow(handle, |socket| socket.connect(&name(&nobody)?))?;
    report_refusals(handle, false);
    Ok(())
}

/// A second handle of the same socket, not inherited. It makes the socket non-blocking for all holders, which cannot be undone,
/// since no call can be made non-blocking alone, and what the socket was before cannot be asked.
pub(in crate::sys) fn duplicate(handle: Handle) -> io::Result<OwnedHandle> {
    let duplicate = borrow(handle, |socket| socket.try_clone().map(OwnedSocket::from))?;
    set_nonblocking(handle_of(&duplicate))?;
    Ok(duplicate)
}

/// The socket itself, from now on non-blocking and not inherited. Errors: WSAENOTSOCK.
///
/// # Safety
/// If it is open, its owner gives it up to the caller of this.
pub unsafe fn take_over(handle: Handle) -> io::Result<OwnedHandle> {
    borrow(handle, |socket| socket.set_no_inherit(true))?;
    set_nonblocking(handle)?;
    // SAFETY: it is open, and given up.
    Ok(unsafe { OwnedSocket::from_raw_socket(handle as RawSocket) })
}

/// closesocket of a number that we own; the host may have closed it before.
pub fn close(handle: Handle) {
    // SAFETY: it takes an integer.
    unsafe { closesocket(handle as SOCKET) };
}

/// Whether shutdown has ended receiving.
pub(in crate::sys) fn is_shut(handle: Handle) -> bool {
    let mut byte = 0;
    // SAFETY: it writes at most one byte.
    let peeked = check(unsafe { recv(handle as SOCKET, &mut byte, 1, MSG_PEEK) }.min(0));
    peeked.is_err_and(|error| error.raw_os_error() == Some(ESHUTDOWN))
}

/// setsockopt with any value. WSAEINVAL for a length above `i32::MAX`.
pub(in crate::sys) fn set_option(handle: Handle, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
    let len = i32::try_from(value.len()).map_err(|_| io::Error::from_raw_os_error(EINVAL))?;
    // SAFETY: the system reads `len` bytes.
    check(unsafe { setsockopt(handle as SOCKET, level, name, value.as_ptr(), len) })
}

/// getsockopt into any buffer. Returns how many bytes were filled.
pub(in crate::sys) fn option(handle: Handle, level: i32, name: i32, value: &mut [u8]) -> io::Result<usize> {
    let mut len = value.len() as i32;
    // SAFETY: the system writes at most `len` bytes, and how many to `len`.
    check(unsafe { getsockopt(handle as SOCKET, level, name, value.as_mut_ptr(), &mut len) })?;
    Ok(len as usize)
}

/// The pending error of a socket, which this removes.
pub(super) fn pending_error(handle: Handle) -> Option<io::Error> {
    let mut value = [0; 4];
    option(handle, SOL_SOCKET, SO_ERROR, &mut value).ok()?;
    Some(i32::from_ne_bytes(value)).filter(|error| *error != 0).map(io::Error::from_raw_os_error)
}

/// See [`Kernel::socket_kind`].
pub(in crate::sys) fn socket_kind(kernel: &(impl Kernel + ?Sized), handle: Handle) -> io::Result<SocketKind> {
    let mut info = [0; size_of::<WSAPROTOCOL_INFOW>()];
    match kernel.raw_option(handle, SOL_SOCKET, SO_PROTOCOL_INFOW, &mut info) {
        Err(error) if error.raw_os_error() == Some(ENOTSOCK) => return Ok(SocketKind::NotUdp),
        filled => filled?,
    };
    Ok(match (version(&info), number(&info, offset_of!(WSAPROTOCOL_INFOW, iSocketType))) {
        (None, _) => SocketKind::OtherFamily,
        (Some(version), SOCK_DGRAM)
            if number(&info, offset_of!(WSAPROTOCOL_INFOW, iProtocol)) == IPPROTO_UDP =>
        {
            SocketKind::Udp(version)
        }
        _ => SocketKind::NotUdp,
    })
}

fn any_addr(handle: Handle) -> io::Result<Addr> {
    let mut info = [0; size_of::<WSAPROTOCOL_INFOW>()];
    option(handle, SOL_SOCKET, SO_PROTOCOL_INFOW, &mut info)?;
    Ok(match version(&info) {
        Some(IpVersion::V6) => Addr::v6([0; 16], 0, 0),
        _ => Addr::v4([0; 4], 0),
    })
}

/// Of a WSAPROTOCOL_INFOW.
fn version(info: &[u8]) -> Option<IpVersion> {
    match u16::try_from(number(info, offset_of!(WSAPROTOCOL_INFOW, iAddressFamily))).ok()? {
        AF_INET => Some(IpVersion::V4),
        AF_INET6 => Some(IpVersion::V6),
        _ => None,
    }
}

fn number(info: &[u8], at: usize) -> i32 {
    info[at..].first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes))
}

fn set_nonblocking(handle: Handle) -> io::Result<()> {
    let mut on = 1;
    // SAFETY: it reads one integer.
    check(unsafe { ioctlsocket(handle as SOCKET, FIONBIO, &mut on) })
}

/// Whether the next call fails because an earlier datagram was refused. On a socket that sends to many, one of them would disturb
/// the others. If the system does not know the request, it stays as it is.
fn report_refusals(handle: Handle, on: bool) {
    for (request, value) in [(SIO_UDP_CONNRESET, u32::from(on)), (SIO_UDP_NETRESET, 0)] {
        // SAFETY: the request reads one integer.
        let _ = unsafe { ioctl(handle, request, ((&raw const value).cast(), 4), (null_mut(), 0)) };
    }
}

/// WSAIoctl.
///
/// # Safety
/// The request reads from the first memory of that size, and writes to the second.
pub(super) unsafe fn ioctl(
    handle: Handle,
    request: u32,
    (input, input_size): (*const c_void, usize),
    (output, output_size): (*mut c_void, usize),
) -> io::Result<()> {
    let (socket, mut written) = (handle as SOCKET, 0);
    let (input_size, output_size) = (input_size as u32, output_size as u32);
    // SAFETY: the caller's promise; nothing overlapped.
    check(unsafe {
        WSAIoctl(socket, request, input, input_size, output, output_size, &mut written, null_mut(), None)
    })
}

/// Turns the result of a call into the error that it left.
pub(super) fn check(result: i32) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn borrow<T>(handle: Handle, call: impl FnOnce(SockRef<'_>) -> io::Result<T>) -> io::Result<T> {
    if handle < 0 {
        return Err(io::Error::from_raw_os_error(ENOTSOCK));
    }
    // SAFETY: not INVALID_SOCKET; if it is not open, the system returns an error.
    call(SockRef::from(&unsafe { BorrowedSocket::borrow_raw(handle as RawSocket) }))
}
