//! One message, by WSARecvMsg or WSASendMsg.

use super::socket::{check, ioctl, pending_error};
use crate::status::errno::{EAGAIN, ECONNREFUSED, ECONNRESET, EMSGSIZE, ESHUTDOWN};
use crate::sys::Handle;
use crate::sys::imp::ReceivedMessage;
use crate::sys::sock_addr::read_name;
use socket2::{SockAddr, SockAddrStorage};
use std::io;
use std::mem::MaybeUninit;
use std::ptr::{null_mut, without_provenance_mut};
use std::sync::OnceLock;
use windows_sys::Win32::Networking::WinSock::{
    LPFN_WSARECVMSG, SIO_GET_EXTENSION_FUNCTION_POINTER, SOCKET, WSABUF, WSAID_WSARECVMSG, WSAMSG, WSASendMsg,
};

/// Sends a message without waiting, to the connected peer if `to` is none.
pub(in crate::sys) fn send(
    handle: Handle,
    bytes: &[u8],
    to: Option<&SockAddr>,
    control: &[u8],
) -> io::Result<()> {
    let mut data = WSABUF { len: bytes.len() as u32, buf: bytes.as_ptr().cast_mut() };
    let (name, namelen) = to.map_or((null_mut(), 0), |to| (to.as_ptr().cast_mut().cast(), to.len()));
    let message = WSAMSG {
        name,
        namelen,
        lpBuffers: &mut data,
        dwBufferCount: 1,
        Control: WSABUF { len: control.len() as u32, buf: control.as_ptr().cast_mut() },
        dwFlags: 0,
    };
    let mut sent = 0;
    // SAFETY: a message whose parts are borrowed for the call, which changes none of them; nothing overlapped.
    check(unsafe { WSASendMsg(handle as SOCKET, &message, 0, &mut sent, null_mut(), None) }).map_err(meaning)
}

/// Receives a message without waiting.
pub(in crate::sys) fn receive(
    handle: Handle,
    buffer: &mut [MaybeUninit<u8>],
    control: &mut [u8],
) -> io::Result<ReceivedMessage> {
    let Some(function) = receive_function(handle)? else { return Err(crate::sys::unsupported()) };
    let mut storage = SockAddrStorage::zeroed();
    let mut data = WSABUF { len: buffer.len() as u32, buf: buffer.as_mut_ptr().cast() };
    let mut message = WSAMSG {
        name: (&raw mut storage).cast(),
        namelen: size_of::<SockAddrStorage>() as i32,
        lpBuffers: &mut data,
        dwBufferCount: 1,
        Control: WSABUF { len: control.len() as u32, buf: control.as_mut_ptr() },
        dwFlags: 0,
    };
    let mut len = 0;
    // SAFETY: a message whose parts are borrowed for the call; nothing overlapped.
    let received = check(unsafe { function(handle as SOCKET, &mut message, &mut len, null_mut(), None) });
    let len = match received {
        Ok(()) => Some(len as usize),
        // The rest is lost, and its length is not reported.
        Err(error) if error.raw_os_error() == Some(EMSGSIZE) => None,
        Err(error) => return Err(failure(handle, error)),
    };
    let control_len = message.Control.len as usize;
    // SAFETY: zeros, or what the system has written, in a storage of that length.
    let sender = unsafe { SockAddr::new(storage, message.namelen) };
    Ok(ReceivedMessage { len, control_len: control_len.min(control.len()), sender: read_name(&sender) })
}

/// The system has no symbol for WSARecvMsg.
fn receive_function(handle: Handle) -> io::Result<LPFN_WSARECVMSG> {
    static FUNCTION: OnceLock<LPFN_WSARECVMSG> = OnceLock::new();
    if let Some(known) = FUNCTION.get() {
        return Ok(*known);
    }
    let (mut address, guid) = (0usize, WSAID_WSARECVMSG);
    let (input, output) = ((&raw const guid).cast(), (&raw mut address).cast());
    // SAFETY: the request reads a GUID and writes an address.
    unsafe {
        ioctl(
            handle,
            SIO_GET_EXTENSION_FUNCTION_POINTER,
            (input, size_of_val(&guid)),
            (output, size_of::<usize>()),
        )
    }?;
    // SAFETY: null, or the function that the GUID stands for.
    let function =
        unsafe { std::mem::transmute::<*mut (), LPFN_WSARECVMSG>(without_provenance_mut(address)) };
    Ok(*FUNCTION.get_or_init(|| function))
}

/// What has ended receiving. Wine reports a refusal as the error of the socket only.
fn failure(handle: Handle, error: io::Error) -> io::Error {
    let error = meaning(error);
    let is_empty = error.raw_os_error() == Some(EAGAIN);
    if is_empty { pending_error(handle).map_or(error, meaning) } else { error }
}

/// Winsock's errors as other systems have them.
fn meaning(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        // An earlier datagram was refused.
        Some(ECONNRESET) => io::Error::from_raw_os_error(ECONNREFUSED),
        // Receiving was shut down: nothing comes any more, and `is_shut` knows why.
        Some(ESHUTDOWN) => io::Error::from_raw_os_error(EAGAIN),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_meaning_of_other_systems() {
        let of = |errno| meaning(io::Error::from_raw_os_error(errno)).raw_os_error();
        assert_eq!(of(ECONNRESET), Some(ECONNREFUSED));
        assert_eq!(of(ESHUTDOWN), Some(EAGAIN));
        assert_eq!(of(EMSGSIZE), Some(EMSGSIZE));
    }
}
