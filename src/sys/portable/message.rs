//! One message, by recvmsg(2) or sendmsg(2).

use super::messages::ReceivedMessage;
use super::socket::unnamed;
use crate::sys::Handle;
use crate::sys::sock_addr::read_name;
use crate::sys::unix::socket::borrow;
use socket2::{MaybeUninitSlice, MsgHdr, MsgHdrMut, SockAddr};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;

/// Sends a message without waiting, to the connected peer if `to` is none.
pub(in crate::sys) fn send(
    handle: Handle,
    bytes: &[u8],
    to: Option<&SockAddr>,
    control: &[u8],
) -> io::Result<()> {
    let bytes = [IoSlice::new(bytes)];
    let mut header = MsgHdr::new().with_buffers(&bytes);
    if let Some(name) = to {
        header = header.with_addr(name);
    }
    if !control.is_empty() {
        header = header.with_control(control);
    }
    borrow(handle, |socket| socket.sendmsg(&header, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)).map(drop)
}

/// Receives a message without waiting.
pub(in crate::sys) fn receive(
    handle: Handle,
    buffer: &mut [MaybeUninit<u8>],
    control: &mut [u8],
) -> io::Result<ReceivedMessage> {
    // SAFETY: the system writes bytes only.
    let control = unsafe { &mut *(std::ptr::from_mut(control) as *mut [MaybeUninit<u8>]) };
    let (mut sender, mut buffers) = (unnamed(), [MaybeUninitSlice::new(buffer)]);
    let mut header = MsgHdrMut::new().with_addr(&mut sender).with_buffers(&mut buffers).with_control(control);
    let len = borrow(handle, |socket| socket.recvmsg(&mut header, libc::MSG_DONTWAIT))?;
    let len = (!header.flags().is_truncated()).then_some(len);
    let control_len = header.control_len();
    Ok(ReceivedMessage { len, control_len, sender: read_name(&sender) })
}
