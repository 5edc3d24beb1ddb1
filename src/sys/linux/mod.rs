//! Linux: epoll, eventfd, timerfd, recvmmsg and sendmmsg, segmentation offload, the error queue. The rest is in `unix`.

pub(super) mod alarm;
pub(super) mod control;
pub mod device;
pub(super) mod epoll;
pub mod error_queue;
mod eventfd;
pub mod feature;
mod gso;
pub mod interface_monitor;
pub mod interfaces;
pub mod managed_options;
pub(super) mod mmsg;
mod mmsg_headers;
pub(super) mod multicast;
pub mod netdevice;
mod netlink;
pub(super) mod options;
pub(super) mod sockaddr;
pub mod socket;
pub(super) mod wiped_page;

pub use epoll::Poller;
pub(super) use eventfd::wake_descriptors;
pub(super) use mmsg_headers::{RecvHeaders, SendHeaders};

use super::interface;
use super::unix::{check, fd, pipe, replace};
