# ruby_echo.rb LIBRARY: the echo program of echo.py with Ruby's Fiddle and Ruby's own signal handlers.
require "fiddle/import"

module Udpr
  extend Fiddle::Importer
  dlload ARGV.fetch(0)
  extern "const char *udpr_status_name(int)"
  extern "int udpr_reactor_new(void *, void **)"
  extern "int udpr_reactor_free(void *)"
  extern "int udpr_reactor_start(void *)"
  extern "int udpr_reactor_stop(void *)"
  extern "int udpr_reactor_is_running(void *)"
  extern "int udpr_reactor_iterate(void *, long long)"
  extern "int udpr_reactor_listen_udp(void *, unsigned short, const char *, void *, void *, void **)"
  extern "int udpr_transport_write(void *, const void *, size_t, const void *)"
  extern "int udpr_transport_get_host(void *, void *)"
  extern "void udpr_transport_release(void *)"
  Addr = struct ["unsigned short family", "unsigned short port", "unsigned int scope_id", "unsigned int flow_info",
                 "unsigned char bytes[16]", "unsigned int reserved"]
  Datagram = struct ["size_t size", "void *data", "size_t len", "size_t full_len"] # the fields that are read here
  SENDER = Datagram.size # the next field is the sender's address
  Protocol = struct ["size_t size", "void *user", "void *free_user", "void *start_protocol", "void *datagram_received",
                     "void *datagrams_received", "void *connection_refused", "void *error_received",
                     "void *write_ready", "void *stop_protocol"]
  SIGNAL_CHECK_NS = 100_000_000 # the longest wait, since a signal just before a wait does not end it

  def self.name(status) = udpr_status_name(status).to_s

  def self.ok(status)
    raise name(status) if status < 0
  end
end

# A reference to the port. The finalizer, which has only the pointer and not the object, releases it.
class Transport
  attr_reader :pointer

  def self.releaser(pointer)
    proc do
      Udpr.udpr_transport_release(pointer)
      puts "released by a finalizer"
    end
  end

  def initialize(pointer)
    @pointer = pointer
    ObjectSpace.define_finalizer(self, self.class.releaser(pointer))
  end

  def write(data, to) = Udpr.udpr_transport_write(@pointer, data, data.bytesize, to)
end

class Reactor
  attr_reader :pointer
  attr_accessor :freed

  def initialize
    out = Fiddle::Pointer.malloc(Fiddle::SIZEOF_VOIDP, Fiddle::RUBY_FREE)
    Udpr.ok Udpr.udpr_reactor_new(nil, out)
    @pointer, @freed, @live = out.ptr, 0, {}
    @free_user = Fiddle::Closure::BlockCaller.new(Fiddle::TYPE_VOID, [Fiddle::TYPE_VOIDP]) do |user|
      @live.delete(user.to_i)
      @freed += 1
    end
  end

  # Returns the status and the transport. The block is called with the borrowed transport, the data and the sender.
  def listen(address, &received)
    on_datagram = Fiddle::Closure::BlockCaller.new(Fiddle::TYPE_VOID, [Fiddle::TYPE_VOIDP] * 3) do |transport, pointer, _|
      datagram = Udpr::Datagram.new(pointer)
      guarded { received.call(transport, datagram.data[0, datagram.len], pointer + Udpr::SENDER) }
    end
    protocol = Udpr::Protocol.malloc(Fiddle::RUBY_FREE)
    protocol.to_ptr[0, Udpr::Protocol.size] = "\0" * Udpr::Protocol.size
    protocol.size, protocol.user = Udpr::Protocol.size, on_datagram.object_id
    protocol.free_user, protocol.datagram_received = @free_user.to_i, on_datagram.to_i
    @live[on_datagram.object_id] = on_datagram # if Ruby collected the closure, C would have a dangling pointer
    out = Fiddle::Pointer.malloc(Fiddle::SIZEOF_VOIDP, Fiddle::RUBY_FREE)
    status = Udpr.udpr_reactor_listen_udp(@pointer, 0, address, protocol, nil, out)
    [status, status.zero? ? Transport.new(out.ptr) : nil]
  end

  # An exception must not pass through C, since it would skip code of the library: it ends the run, which raises it again.
  def guarded
    yield
  rescue Exception => error
    @error = error
    Udpr.udpr_reactor_stop(@pointer)
  end

  # Runs turns, between which Ruby calls its signal handlers.
  def run
    Udpr.ok Udpr.udpr_reactor_start(@pointer)
    Udpr.ok Udpr.udpr_reactor_iterate(@pointer, Udpr::SIGNAL_CHECK_NS) until Udpr.udpr_reactor_is_running(@pointer).zero?
    raise @error if @error
  end
end

def serve(reactor)
  status, transport = reactor.listen("127.0.0.1") do |port, data, sender|
    case data
    when "thread" then data = Udpr.name(Thread.new { Udpr.udpr_reactor_stop(reactor.pointer) }.value)
    when "raise" then raise "boom"
    when "stop" then Udpr.ok Udpr.udpr_reactor_stop(reactor.pointer)
    end
    Udpr.ok Udpr.udpr_transport_write(port, data, data.bytesize, sender)
  end
  Udpr.ok status
  host = Udpr::Addr.malloc(Fiddle::RUBY_FREE)
  Udpr.ok Udpr.udpr_transport_get_host(transport.pointer, host)
  trap("INT") { Udpr.ok Udpr.udpr_reactor_stop(reactor.pointer) }
  puts "listening on 127.0.0.1:#{host.port}"
  begin
    reactor.run
    puts "run: UDPR_OK"
  rescue RuntimeError => error
    puts "run: raised #{error.message}"
  end
  puts "user freed: #{reactor.freed}"
  puts "a stopped transport: #{Udpr.name(transport.write("x", host))}"
  Udpr.ok Udpr.udpr_reactor_free(reactor.pointer)
  puts "without its reactor: #{Udpr.name(transport.write("x", host))}"
end

$stdout.sync = true
reactor = Reactor.new
status, = reactor.listen("no address")
puts "a failed listen: #{Udpr.name(status)}, user freed: #{reactor.freed}"
reactor.freed = 0
serve(reactor) # Ruby runs the remaining finalizers when the program ends
