"""udpr called from Python by ctypes: a callback and a write for each batch of datagrams. Python gets the data as bytes."""

import ctypes

import server
from udpr_ctypes import Datagram, DatagramsFn, Message, serve, udpr

SENDER = Datagram.sender.offset
messages = (Message * 256)()  # the longest batch
fields = list(messages)  # the same memory, with one wrapper object for each element
accepted = ctypes.c_size_t()
for message in fields:
    message.size = ctypes.sizeof(Message)


@DatagramsFn
def datagrams_received(transport, addresses, count, _user):
    server.served += count
    for message, address in zip(fields, (ctypes.c_void_p * count).from_address(addresses)):
        datagram = Datagram.from_address(address)
        message.data = data = ctypes.string_at(datagram.data, datagram.len)
        message.len = len(data)
        message.to = address + SENDER
    for _ in range(server.REPLIES):
        udpr.udpr_transport_write_messages(transport, messages, count, ctypes.byref(accepted))
    return count


serve(datagrams_received=datagrams_received)
