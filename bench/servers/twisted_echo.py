"""Twisted: the echo server of its documentation, on its default reactor, which uses epoll on Linux."""

import server
from twisted.internet import protocol, reactor


class Echo(protocol.DatagramProtocol):
    def datagramReceived(self, datagram, addr):
        server.served += 1
        for _ in range(server.REPLIES):
            self.transport.write(datagram, addr)


server.ready(reactor.listenUDP(server.PORT, Echo()).getHandle())
reactor.run()
server.report()
