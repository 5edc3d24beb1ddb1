"""udpr called from Python by ctypes: a callback and a write for each datagram. Python gets the data as bytes."""

import ctypes

import server
from udpr_ctypes import Datagram, DatagramFn, serve, udpr

SENDER = Datagram.sender.offset
write = udpr.udpr_transport_write


@DatagramFn
def datagram_received(transport, address, _user):
    server.served += 1
    datagram = Datagram.from_address(address)
    data = ctypes.string_at(datagram.data, datagram.len)
    for _ in range(server.REPLIES):
        write(transport, data, len(data), address + SENDER)


serve(datagram_received=datagram_received)
