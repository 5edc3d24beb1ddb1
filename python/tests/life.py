"""What a Python program does beside sending: signals, forks, threads, its end, sub-interpreters, and a million datagrams."""

import signal
import subprocess
import sys
import textwrap

import harness
from harness import Skip, case, equal, main, run

TIMEOUT = 300  # seconds, for a million datagrams

harness.TIMEOUT = TIMEOUT


def python(program, *options, timeout=50):
    """Runs a program, which has to succeed and to report nothing. Returns what it printed."""
    text = "import os, signal, sys, threading\nimport udpr\nLOCAL = '127.0.0.1'\n" + textwrap.dedent(program)
    ended = run(sys.executable, *(options or ("-X", "dev")), "-c", text, timeout=timeout)
    equal((0, ""), (ended.returncode, ended.stderr))
    return ended.stdout


@case
def control_c_raises_keyboard_interrupt_out_of_run():
    equal("KeyboardInterrupt\nruns again\n", python("""
        with udpr.Reactor() as reactor:
            reactor.call_later(0, os.kill, os.getpid(), signal.SIGINT)
            try:
                reactor.run()
            except KeyboardInterrupt:
                print("KeyboardInterrupt")
            reactor.call_later(0, reactor.stop)
            reactor.run()
            print("runs again")
    """))  # fmt: skip


@case
def a_signal_that_comes_while_the_loop_waits_calls_pythons_handler():
    program = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent("""
            import signal, udpr
            reactor = udpr.Reactor()
            signal.signal(signal.SIGUSR1, lambda *_: reactor.stop())
            reactor.add_trigger("after", "startup", lambda: print("running", flush=True))
            reactor.run()
            reactor.close()
            print("stopped")
        """)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with program:
        equal("running\n", program.stdout.readline())
        program.send_signal(signal.SIGUSR1)
        equal("stopped\n", program.stdout.read())
    equal(0, program.returncode)


@case
def with_signals_sigterm_stops_the_run():
    equal("stopped\n", python("""
        with udpr.Reactor(signals=True) as reactor:
            reactor.call_later(0, os.kill, os.getpid(), signal.SIGTERM)
            reactor.run()
        print("stopped")
    """))  # fmt: skip


@case
def a_reactor_runs_on_any_thread():
    equal("[b'hello']\n", python("""
        received = []
        reactor = udpr.Reactor()
        def take(transport, datagram):
            received.append(bytes(datagram))
            reactor.stop()
        transport = reactor.listen_udp(0, take, LOCAL)
        host = transport.host
        thread = threading.Thread(target=reactor.run)
        thread.start()
        transport.post(b"hello", host)
        thread.join()
        reactor.close()
        print(received)
    """))  # fmt: skip


@case
def the_interpreter_ends_with_a_live_port():
    python("""
        reactor = udpr.Reactor()
        transport = reactor.listen_udp(0, lambda transport, datagram: None, LOCAL)
        transport.write(b"nobody will read this", transport.host)
        reactor.call_later(1000, print)
        globals()["reactor"] = reactor
    """)


@case
def the_interpreter_ends_while_a_daemon_thread_runs_a_reactor():
    python(
        """
        reactor = udpr.Reactor()
        started = threading.Event()
        transport = reactor.listen_udp(0, lambda transport, datagram: transport.write(datagram.data, datagram.sender), LOCAL)
        transport.write(b"round and round", transport.host)
        reactor.call_later(0.01, started.set)
        threading.Thread(target=reactor.run, daemon=True).start()
        started.wait()
    """,
        "-W",
        "ignore::ResourceWarning",
    )


@case
def a_forked_child_gets_closed_error_until_after_fork():
    equal("child: closed, then 1 datagram\nparent goes on\n", python("""
        received = []
        with udpr.Reactor() as reactor:
            def take(transport, datagram):
                received.append(bytes(datagram))
                reactor.stop()
            transport = reactor.listen_udp(0, take, LOCAL)
            host = transport.host
            child = os.fork()
            if child == 0:
                try:
                    transport.write(b"x", host)
                except udpr.ClosedError:
                    reactor.after_fork()
                    transport.write(b"x", host)
                    reactor.run()
                    print("child: closed, then", len(received), "datagram", flush=True)
                    os._exit(0)
                os._exit(1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            transport.write(b"y", host)
            reactor.run()
            print("parent goes on")
    """))  # fmt: skip


@case
def multiprocessing_forks_beside_a_reactor():
    equal("[1, 4, 9]\n", python("""
        import multiprocessing, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        def square(n):
            return n * n
        with udpr.Reactor() as reactor:
            reactor.listen_udp(0, lambda transport, datagram: None, LOCAL)
            with multiprocessing.get_context("fork").Pool(2) as pool:
                print(pool.map(square, [1, 2, 3]))
    """))  # fmt: skip


@case
def a_sub_interpreter_is_refused():
    modules = [name for name in ("_interpreters", "_xxsubinterpreters") if _exists(name)]
    if not modules:
        raise Skip("this Python has no sub-interpreters")
    said = python(f"""
        import {modules[0]} as interpreters
        interpreter = interpreters.create()
        script = '''
        try:
            import udpr
        except ImportError as error:
            import os
            os.write(1, b"refused")
        '''.replace("\\n        ", "\\n")
        interpreters.run_string(interpreter, script)
    """)
    equal("refused", said)


def _exists(name):
    try:
        __import__(name)
    except ImportError:
        return False
    return True


@case
def a_million_datagrams_leak_nothing():
    """Every datagram is an object, a view, an address; every tenth makes a call that is cancelled."""
    counts = python(
        """
        import gc, resource
        class Echo(udpr.Protocol):
            served = 0
            def datagram_received(self, datagram):
                self.served += 1
                if self.served % 10 == 0:
                    self.transport.reactor.call_later(1000, print).cancel()
                if self.served == self.limit:
                    self.transport.reactor.stop()
                elif datagram.data:
                    self.transport.write(datagram.data, datagram.sender)
        def descriptors():
            return len(os.listdir("/proc/self/fd"))
        def resident():
            with open("/proc/self/statm") as statm:
                return int(statm.read().split()[1]) * resource.getpagesize()
        with udpr.Reactor() as reactor:
            echo = Echo()
            transport = reactor.listen_udp(0, echo, LOCAL)
            before = None
            for limit in (100_000, 1_100_000):
                echo.limit = limit
                for _ in range(64):
                    transport.write(b"x" * 100, transport.host)
                reactor.run()
                gc.collect()
                now = len(gc.get_objects()), descriptors(), resident()
                if before:
                    print(now[0] - before[0], now[1] - before[1], (now[2] - before[2]) // 1024)
                before = now
                transport = reactor.listen_udp(0, echo, LOCAL)
    """,
        "-W",
        "ignore",
        timeout=TIMEOUT,
    ).split()
    objects, descriptors, kibibytes = map(int, counts)
    assert objects < 100 and descriptors == 0 and kibibytes < 2048, counts


main()
