// node_echo.js LIBRARY: the echo program of echo.py with koffi, in Node's own event loop.
"use strict";
const koffi = require("koffi");

const library = koffi.load(process.argv[2]);
const libc = koffi.load("libc.so.6");

const Addr = koffi.struct("udpr_addr", {
  family: "uint16_t", port: "uint16_t", scope_id: "uint32_t", flow_info: "uint32_t",
  bytes: koffi.array("uint8_t", 16), reserved: "uint32_t",
});
const ReactorOptions = koffi.struct("udpr_reactor_options", {
  size: "size_t", flags: "uint32_t", thread_pool_size: "uint32_t",
});
const Datagram = koffi.struct("udpr_datagram", { // the fields that are read here
  size: "size_t", data: "void *", len: "size_t", full_len: "size_t", sender: Addr,
});
const FreeFn = koffi.proto("void udpr_free_fn(void *user)");
const DatagramFn = koffi.proto("void udpr_datagram_fn(void *transport, const udpr_datagram *datagram, void *user)");
const Protocol = koffi.struct("udpr_protocol", {
  size: "size_t", user: "uintptr_t", free_user: "udpr_free_fn *", start_protocol: "void *",
  datagram_received: "udpr_datagram_fn *", datagrams_received: "void *", connection_refused: "void *",
  error_received: "void *", write_ready: "void *", stop_protocol: "void *",
});
const PollFd = koffi.struct("pollfd", { fd: "int", events: "short", revents: "short" });
const POLLIN = 1;
const PINNED = 4; // UDPR_REACTOR_PINNED: only this thread may use it, also between turns

const poll = libc.func("int poll(pollfd *fds, unsigned long count, int timeout)");
const statusName = library.func("const char *udpr_status_name(int32_t status)");
const reactorNew = library.func("int32_t udpr_reactor_new(const udpr_reactor_options *options, _Out_ void **out)");
const reactorFree = library.func("int32_t udpr_reactor_free(void *reactor)");
const reactorStart = library.func("int32_t udpr_reactor_start(void *reactor)");
const reactorStop = library.func("int32_t udpr_reactor_stop(void *reactor)");
const reactorIsRunning = library.func("int32_t udpr_reactor_is_running(void *reactor)");
const reactorIterate = library.func("int32_t udpr_reactor_iterate(void *reactor, int64_t timeout_ns)");
const reactorBackendFd = library.func("int32_t udpr_reactor_backend_fd(void *reactor, _Out_ int32_t *out)");
const listenUdp = library.func("int32_t udpr_reactor_listen_udp(void *reactor, uint16_t port, const char *address," +
  " const udpr_protocol *protocol, const void *options, _Out_ void **out)");
const write = library.func("int32_t udpr_transport_write(void *transport, const uint8_t *data, size_t len," +
  " const udpr_addr *to)");
const getHost = library.func("int32_t udpr_transport_get_host(void *transport, _Out_ udpr_addr *out)");
const release = library.func("void udpr_transport_release(void *transport)");

function ok(status) {
  if (status < 0) throw new Error(statusName(status));
}

// Calls a function on a thread of Node's pool.
function otherThread(func, ...values) {
  return new Promise((resolve, reject) =>
    func.async(...values, (error, answer) => (error ? reject(error) : resolve(answer))));
}

// Copies the data, which is valid only until the callback returns. koffi does not support empty arrays.
function bytesAt(pointer, length) {
  return Buffer.from(length ? koffi.decode(pointer, koffi.array("uint8_t", length, "Typed")) : []);
}

class Reactor {
  freed = 0;
  live = new Map(); // the callbacks that C may still call, by `user`

  constructor() {
    const out = [null];
    ok(reactorNew({ size: koffi.sizeof(ReactorOptions), flags: PINNED, thread_pool_size: 0 }, out));
    this.pointer = out[0];
    this.freeUser = koffi.register((user) => this.onFree(Number(user)), "udpr_free_fn *");
  }

  // Returns the status and the transport. `received` is called with the borrowed transport, the data and the sender.
  listen(address, received) {
    const onDatagram = koffi.register((transport, pointer) => this.guarded(() => {
      const datagram = koffi.decode(pointer, Datagram);
      received(transport, bytesAt(datagram.data, datagram.len), datagram.sender);
    }), "udpr_datagram_fn *");
    const user = this.live.size + 1, out = [null];
    this.live.set(user, onDatagram);
    const protocol = { size: koffi.sizeof(Protocol), user, free_user: this.freeUser, datagram_received: onDatagram };
    const status = listenUdp(this.pointer, 0, address, protocol, null, out);
    return [status, out[0]];
  }

  onFree(user) {
    const onDatagram = this.live.get(user);
    this.live.delete(user);
    this.freed += 1;
    setImmediate(() => koffi.unregister(onDatagram));
  }

  // An exception ends the run, which throws it again. Otherwise koffi would return 0 to C, and throw it after the turn.
  guarded(call) {
    try {
      call();
    } catch (error) {
      this.error = error;
      reactorStop(this.pointer);
    }
  }

  // A thread of Node's pool waits for the reactor's descriptor, and this thread runs the turns, so Node's loop is not blocked.
  async run() {
    const fd = [0];
    ok(reactorBackendFd(this.pointer, fd));
    ok(reactorStart(this.pointer));
    while (reactorIsRunning(this.pointer)) {
      await otherThread(poll, { fd: fd[0], events: POLLIN, revents: 0 }, 1, -1);
      ok(reactorIterate(this.pointer, 0));
    }
    if (this.error) throw this.error;
  }

  free() {
    ok(reactorFree(this.pointer));
    koffi.unregister(this.freeUser);
  }
}

async function main() {
  const reactor = new Reactor();
  const [failed] = reactor.listen("no address", null);
  console.log(`a failed listen: ${statusName(failed)}, user freed: ${reactor.freed}`);
  reactor.freed = 0;

  const [status, transport] = reactor.listen("127.0.0.1", (port, data, sender) => {
    const word = data.toString("latin1");
    if (word === "thread") {
      otherThread(reactorStop, reactor.pointer).then((refused) => {
        const answer = Buffer.from(statusName(refused));
        ok(write(transport, answer, answer.length, sender));
      });
      return;
    }
    if (word === "raise") throw new Error("boom");
    if (word === "stop") ok(reactorStop(reactor.pointer));
    ok(write(port, data, data.length, sender));
  });
  ok(status);
  const host = {};
  ok(getHost(transport, host));
  process.on("SIGINT", () => ok(reactorStop(reactor.pointer)));
  console.log(`listening on 127.0.0.1:${host.port}`);
  try {
    await reactor.run();
    console.log("run: UDPR_OK");
  } catch (error) {
    console.log(`run: raised ${error.message}`);
  }
  const x = Buffer.from("x");
  console.log(`user freed: ${reactor.freed}`);
  console.log(`a stopped transport: ${statusName(write(transport, x, 1, host))}`);
  reactor.free();
  console.log(`without its reactor: ${statusName(write(transport, x, 1, host))}`);
  await otherThread(release, transport);
  console.log("released by another thread");
  process.exitCode = reactor.live.size; // 0: nothing is kept that C no longer calls
}

main();
