"""Twisted, as its documentation echoes; its reactor on Linux is the epoll one."""

import server
from twisted.internet import protocol, reactor


class Echo(protocol.DatagramProtocol):
    def datagramReceived(self, datagram, addr):
        server.served += 1
        for _ in range(server.ANSWERS):
            self.transport.write(datagram, addr)


server.ready(reactor.listenUDP(server.PORT, Echo()).socket)
reactor.run()
server.report()
