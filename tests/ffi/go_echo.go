// The echo program of echo.py with cgo, Go's own signals, and the batch callback.
package main

/*
#include <stdlib.h>
#include <udpr/udpr.h>

// The C declarations of the exported functions below.
extern size_t goDatagramsReceived(udpr_transport *, udpr_datagram **, size_t, void *);
extern void goFreeUser(void *);

// In C, since Go has no C function pointers, and only C may convert a cgo.Handle, which is a number, to a pointer.
static inline udpr_status listen_udp(udpr_reactor *reactor, const char *address, uintptr_t user, udpr_transport **out) {
  udpr_protocol protocol = {.size = sizeof protocol, .user = (void *)user, .free_user = goFreeUser,
                            .datagrams_received = (udpr_datagrams_fn)goDatagramsReceived};
  return udpr_reactor_listen_udp(reactor, 0, address, &protocol, NULL, out);
}
*/
import "C"

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/cgo"
	"unsafe"
)

type status C.int32_t

func (s status) Error() string {
	return C.GoString(C.udpr_status_name(C.int32_t(s)))
}

func must(s C.int32_t) {
	if s < 0 {
		panic(status(s))
	}
}

type reactor struct {
	pointer *C.udpr_reactor
	raised  interface{}
	freed   int
}

// The object of the handle in `user`, until goFreeUser deletes the handle.
type port struct {
	reactor  *reactor
	received func(transport *C.udpr_transport, data []byte, sender *C.udpr_addr)
}

type transport struct{ pointer *C.udpr_transport }

//export goDatagramsReceived
func goDatagramsReceived(t *C.udpr_transport, datagrams **C.udpr_datagram, count C.size_t, user unsafe.Pointer) (taken C.size_t) {
	taken = count
	p := cgo.Handle(uintptr(user)).Value().(*port)
	defer p.reactor.endOnPanic()
	for _, d := range unsafe.Slice(datagrams, int(count)) {
		p.received(t, unsafe.Slice((*byte)(d.data), int(d.len)), &d.sender)
	}
	return count
}

//export goFreeUser
func goFreeUser(user unsafe.Pointer) {
	handle := cgo.Handle(uintptr(user))
	handle.Value().(*port).reactor.freed++
	handle.Delete()
}

// A panic must not pass through C: it ends the run, which returns it.
func (r *reactor) endOnPanic() {
	if raised := recover(); raised != nil {
		r.raised = raised
		C.udpr_reactor_stop(r.pointer)
	}
}

func (r *reactor) listen(address string, p *port) (status, *transport) {
	text := C.CString(address)
	defer C.free(unsafe.Pointer(text))
	var out *C.udpr_transport
	s := C.listen_udp(r.pointer, text, C.uintptr_t(cgo.NewHandle(p)), &out)
	if s < 0 {
		return status(s), nil
	}
	return status(s), &transport{out}
}

func (t *transport) write(data []byte, to *C.udpr_addr) C.int32_t {
	defer runtime.KeepAlive(t) // otherwise the finalizer might run while C still uses the pointer
	return write(t.pointer, data, to)
}

// The data is not copied, since C keeps no pointer to it.
func write(t *C.udpr_transport, data []byte, to *C.udpr_addr) C.int32_t {
	var first unsafe.Pointer
	if len(data) > 0 {
		first = unsafe.Pointer(&data[0])
	}
	return C.udpr_transport_write(t, first, C.size_t(len(data)), to)
}

// run keeps the goroutine on its thread: otherwise Go might move it to another one between two calls.
func (r *reactor) run() (raised interface{}) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var remote *C.udpr_remote
	must(C.udpr_reactor_remote(r.pointer, &remote))
	signals, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, os.Interrupt)
	go func() { // a goroutine has another thread, so it may use only the remote
		defer close(done)
		defer C.udpr_remote_release(remote)
		if _, caught := <-signals; caught {
			C.udpr_remote_stop(remote)
		}
	}()
	must(C.udpr_reactor_run(r.pointer))
	signal.Stop(signals)
	close(signals)
	<-done
	return r.raised
}

func otherThread(call func() C.int32_t) C.int32_t {
	answer := make(chan C.int32_t)
	go func() { answer <- call() }() // this goroutine is locked to its thread
	return <-answer
}

func main() {
	r := &reactor{}
	must(C.udpr_reactor_new(nil, &r.pointer))
	failed, _ := r.listen("no address", &port{reactor: r})
	fmt.Printf("a failed listen: %s, user freed: %d\n", failed.Error(), r.freed)
	r.freed = 0

	echo := &port{reactor: r}
	echo.received = func(t *C.udpr_transport, data []byte, sender *C.udpr_addr) {
		switch string(data) {
		case "thread":
			data = []byte(status(otherThread(func() C.int32_t { return C.udpr_reactor_stop(r.pointer) })).Error())
		case "raise":
			panic("boom")
		case "stop":
			must(C.udpr_reactor_stop(r.pointer))
		}
		must(write(t, data, sender))
	}
	s, t := r.listen("127.0.0.1", echo)
	must(C.int32_t(s))
	released := make(chan struct{})
	runtime.SetFinalizer(t, func(t *transport) { // on a goroutine of its own
		C.udpr_transport_release(t.pointer)
		close(released)
	})
	var host C.udpr_addr
	must(C.udpr_transport_get_host(t.pointer, &host))
	fmt.Printf("listening on 127.0.0.1:%d\n", host.port)

	if raised := r.run(); raised != nil {
		fmt.Println("run: raised", raised)
	} else {
		fmt.Println("run: UDPR_OK")
	}
	fmt.Println("user freed:", r.freed)
	fmt.Println("a stopped transport:", status(t.write([]byte("x"), &host)).Error())
	must(C.udpr_reactor_free(r.pointer))
	fmt.Println("without its reactor:", status(t.write([]byte("x"), &host)).Error())
	for collected := false; !collected; {
		runtime.GC()
		select {
		case <-released:
			collected = true
		default:
			runtime.Gosched()
		}
	}
	fmt.Println("released by a finalizer")
}
