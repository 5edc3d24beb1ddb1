//! The control data of this system.

use super::system::SYSTEM;
use crate::sys::cmsg::Layout;
use crate::sys::recv_meta::Kinds;

/// The layout.
pub(in crate::sys) const LAYOUT: Layout = SYSTEM.layout;

/// What it has.
pub(in crate::sys) const KINDS: Kinds = SYSTEM.kinds;
