// asio: asynchronous receives, synchronous sends, on one thread, as the concurrency hint promises.
#include "server.h"

#include <asio.hpp>

using asio::ip::udp;

static char          data[65536];
static udp::endpoint sender;

static void receive(udp::socket &socket) {
  socket.async_receive_from(asio::buffer(data), sender, [&socket](std::error_code error, std::size_t len) {
    if (!error) {
      served = served + 1;
      for (unsigned i = 0; i < replies; i++) socket.send_to(asio::buffer(data, len), sender, 0, error);
    }
    receive(socket);
  });
}

int main(int argc, char **argv) {
  asio::io_context context(ASIO_CONCURRENCY_HINT_UNSAFE);
  udp::socket      socket(context, udp::endpoint(udp::v4(), server_arguments(argc, argv)));
  socket.non_blocking(true);
  receive(socket);
  server_ready(socket.native_handle());
  context.run();
}
