"""asyncio: the echo server of Python's documentation."""

import asyncio
import signal

import server


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        server.served += 1
        for _ in range(server.REPLIES):
            self.transport.sendto(data, addr)


async def main():
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    transport, _ = await loop.create_datagram_endpoint(Echo, local_addr=("0.0.0.0", server.PORT))
    server.ready(transport.get_extra_info("socket"))
    await stopped.wait()
    server.report()


def serve(loop):
    asyncio.set_event_loop(loop)
    loop.run_until_complete(main())


if __name__ == "__main__":
    serve(asyncio.new_event_loop())
