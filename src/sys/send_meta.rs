//! What a datagram is sent with, besides its bytes and its destination.

use super::Control;
use crate::addr::Addr;

/// The settings of one datagram.
#[derive(Clone, Copy, Debug)]
pub struct SendMeta {
    /// Those that the system gets.
    pub control: Control,
    /// The interface that the control data names; 0 for none.
    pub interface: u32,
    /// The number that a report about the datagram carries; 0 for none.
    pub tag: u64,
}

impl SendMeta {
    /// The control data, unless it is empty.
    #[inline]
    pub fn control(&self) -> Option<&Control> {
        (!self.control.is_empty()).then_some(&self.control)
    }
}

/// A datagram that is not sent.
#[derive(Clone, Copy, Debug)]
pub struct Unsent<'a> {
    /// Its bytes.
    pub data: &'a [u8],
    /// Its destination; none for the connected peer.
    pub to: Option<&'a Addr>,
    /// Its control data.
    pub control: Option<&'a Control>,
    /// [`SendMeta::tag`].
    pub tag: u64,
}

impl Unsent<'_> {
    /// What it has to be sent with later; none if that is nothing. The interface was checked.
    pub fn meta(&self) -> Option<SendMeta> {
        let control = self.control.copied().unwrap_or(Control::EMPTY);
        let meta = SendMeta { control, interface: 0, tag: self.tag };
        (self.control.is_some() || self.tag != 0).then_some(meta)
    }
}
