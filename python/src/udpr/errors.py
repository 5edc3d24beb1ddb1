"""Exceptions: each failure of the library is an OSError with its status, and of the class that Python has for it, if any."""

from __future__ import annotations

from udpr._udpr import ffi, lib


class Error(OSError):
    """A function of the library has failed. `errno` is the errno that comes nearest to the status.

    `status` is the number that C programs see, and `name` is its name, such as "UDPR_E_CLOSED".
    """

    status: int
    name: str

    def __init__(self, status: int, what: str = "") -> None:
        self.status = status
        self.name = ffi.string(lib.udpr_status_name(status)).decode()
        message = ffi.string(lib.udpr_status_message(status)).decode()
        super().__init__(lib.udpr_status_nearest_errno(status), f"{what}: {message}" if what else message)

    def __reduce__(self) -> tuple[type[Error], tuple[int]]:
        return type(self), (self.status,)


class InvalidArgumentError(Error, ValueError):
    """A value is out of range."""


class InvalidAddressError(Error, ValueError):
    """The text is not an IP address, or it is one of the wrong family."""


class ClosedError(Error):
    """The transport has stopped, the reactor was closed, or this is a forked child."""


class WouldBlockError(Error, BlockingIOError):
    """The socket and the send queue are full."""


class RefusedError(Error, ConnectionRefusedError):
    """No socket listens at the destination."""


class NotPermittedError(Error, PermissionError):
    """It is not permitted, for example a broadcast that was not allowed."""


class TimedOutError(Error, TimeoutError):
    """It took too long."""


class NotFoundError(Error, LookupError):
    """There is no such call, watch or look-up any more, or no such host name."""


class StateError(Error, RuntimeError):
    """The call is not possible now: on this thread, inside a callback, or while the reactor runs or does not run."""


_CLASSES: dict[int, type[Error]] = {
    lib.UDPR_E_INVALID_ARGUMENT: InvalidArgumentError,
    lib.UDPR_E_NOT_MULTICAST: InvalidArgumentError,
    lib.UDPR_E_WRONG_PEER: InvalidArgumentError,
    lib.UDPR_E_INVALID_ADDRESS: InvalidAddressError,
    lib.UDPR_E_ADDRESS_FAMILY: InvalidAddressError,
    lib.UDPR_E_CLOSED: ClosedError,
    lib.UDPR_E_WOULD_BLOCK: WouldBlockError,
    lib.UDPR_E_CONNECTION_REFUSED: RefusedError,
    lib.UDPR_E_PERMISSION: NotPermittedError,
    lib.UDPR_E_ACCESS: NotPermittedError,
    lib.UDPR_E_TIMED_OUT: TimedOutError,
    lib.UDPR_E_NOT_FOUND: NotFoundError,
    lib.UDPR_E_NAME_NOT_FOUND: NotFoundError,
    lib.UDPR_E_ALREADY_CALLED: NotFoundError,
    lib.UDPR_E_ALREADY_CANCELLED: NotFoundError,
    lib.UDPR_E_WRONG_THREAD: StateError,
    lib.UDPR_E_REENTRANT: StateError,
    lib.UDPR_E_NOT_RUNNING: StateError,
    lib.UDPR_E_ALREADY_RUNNING: StateError,
}


def error(status: int, what: str = "") -> Error:
    """Returns the exception for a status. `what` is put before the message."""
    return _CLASSES.get(status, Error)(status, what)


def check(status: int, what: str = "") -> None:
    """Raises the exception for a status that is a failure."""
    if status < 0:
        raise error(status, what)
