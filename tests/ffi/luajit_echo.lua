-- luajit_echo.lua LIBRARY HEADER: the echo program of echo.py with LuaJIT's FFI and the library's signal handlers.
local ffi = require("ffi")

local function read(path)
  local file = assert(io.open(path))
  local text = file:read("*a")
  file:close()
  return text
end

ffi.cdef(read(arg[2]))
ffi.cdef [[
  int pthread_create(unsigned long *thread, const void *attributes, void *(*start)(void *), void *argument);
  int pthread_join(unsigned long thread, void **answer);
]]
local udpr = ffi.load(arg[1])
io.stdout:setvbuf("line")

-- A function that calls C code with callbacks must not be compiled: a callback from compiled code is a panic ("bad
-- callback"). This turns compilation off for all functions; jit.off(FUNCTION) does so for one.
jit.off()

local function name(status) return ffi.string(udpr.udpr_status_name(status)) end

local function ok(status)
  if status < 0 then error(name(status), 2) end
end

local function sized(type, fields)
  local struct = ffi.new(type, fields or {})
  struct.size = ffi.sizeof(type)
  return struct
end

-- Runs a C function on another thread. Lua has only one thread, and crashes on a callback on another one.
local function status_of_other_thread(fn, argument)
  local thread, answer = ffi.new("unsigned long[1]"), ffi.new("void *[1]")
  assert(ffi.C.pthread_create(thread, nil, ffi.cast("void *(*)(void *)", fn), ffi.cast("void *", argument)) == 0)
  assert(ffi.C.pthread_join(thread[0], answer) == 0)
  return tonumber(ffi.cast("int32_t", ffi.cast("intptr_t", answer[0])))
end

local out = ffi.new("udpr_reactor *[1]")
ok(udpr.udpr_reactor_new(sized("udpr_reactor_options", { flags = udpr.UDPR_REACTOR_SIGNALS }), out))
local reactor = out[0]
local freed, raised = 0, nil
local callbacks = {} -- LuaJIT has some hundred slots for callbacks: each is freed when C no longer calls it

local function callback(type, fn)
  local made = ffi.cast(type, fn)
  callbacks[#callbacks + 1] = made
  return made
end

local function on_datagram(transport, datagram)
  local data = ffi.string(datagram.data, datagram.len)
  if data == "thread" then
    data = name(status_of_other_thread(udpr.udpr_reactor_stop, reactor))
  elseif data == "raise" then
    error("boom", 0)
  elseif data == "stop" then
    ok(udpr.udpr_reactor_stop(reactor))
  end
  ok(udpr.udpr_transport_write(transport, data, #data, datagram.sender))
end

-- The batch callback is one call from C into Lua for each batch. An error must not pass through C: it ends the run, which
-- reports it.
local datagrams_received = callback("udpr_datagrams_fn", function(transport, datagrams, count)
  local went_well, problem = pcall(function()
    for i = 0, tonumber(count) - 1 do on_datagram(transport, datagrams[i]) end
  end)
  if not went_well then
    raised = problem
    udpr.udpr_reactor_stop(reactor)
  end
  return count
end)
local free_user = callback("udpr_free_fn", function() freed = freed + 1 end)

local function release(transport)
  udpr.udpr_transport_release(transport)
  print("released by a finalizer")
end

local function listen(address)
  local protocol = sized("udpr_protocol", { datagrams_received = datagrams_received, free_user = free_user })
  local got = ffi.new("udpr_transport *[1]")
  local status = udpr.udpr_reactor_listen_udp(reactor, 0, address, protocol, nil, got)
  return status, status == 0 and ffi.gc(got[0], release) or nil
end

print(("a failed listen: %s, user freed: %d"):format(name((listen("no address"))), freed))
freed = 0

local status, transport = listen("127.0.0.1")
ok(status)
local host = ffi.new("udpr_addr")
ok(udpr.udpr_transport_get_host(transport, host))
print("listening on 127.0.0.1:" .. host.port)

ok(udpr.udpr_reactor_run(reactor))
print("run: " .. (raised and "raised " .. raised or "UDPR_OK"))
print("user freed: " .. freed)
print("a stopped transport: " .. name(udpr.udpr_transport_write(transport, "x", 1, host)))
ok(udpr.udpr_reactor_free(reactor))
print("without its reactor: " .. name(udpr.udpr_transport_write(transport, "x", 1, host)))
for _, made in ipairs(callbacks) do made:free() end
transport = nil
collectgarbage()
