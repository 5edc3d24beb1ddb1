"""compilers.py LIBRARY_DIR: what C++ compilers, standards and flags of users make of udpr.hpp and coro.hpp, and the examples with each."""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from harness import Skip, bound_socket, case, equal, main, read_line_starting, running

LIBRARY_DIR = sys.argv[1]
ROOT = pathlib.Path(__file__).parents[2]
HEADERS = sorted((ROOT / "include/udpr").glob("**/*.hpp"))
CORO_HEADERS = [header for header in HEADERS if "coro" in (header.stem, header.parent.name)]
FLAGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror", f"-I{ROOT}/include"]
SMALL = """
#include <udpr/udpr.hpp>
int main() {
  udpr::reactor reactor;
  reactor.call_later(std::chrono::nanoseconds(0), [](udpr::reactor_ref at) { at.stop(); });
  std::error_code error;
  reactor.run(error);
  return error ? 1 : 0;
}
"""


def compiled(*command, source=None):
    ended = subprocess.run(command, input=source, text=True, stderr=subprocess.PIPE)
    equal(("", 0), (ended.stderr, ended.returncode))


def link():
    return [f"-L{LIBRARY_DIR}", "-ludpr", "-lpthread", f"-Wl,-rpath,{LIBRARY_DIR}"]


def each_header_alone(compiler, standard):
    for header in HEADERS:
        if header in CORO_HEADERS and standard == "c++17":
            continue
        compiled(compiler, f"-std={standard}", *FLAGS, "-fsyntax-only", "-x", "c++", "-", source=f'#include "{header}"\n')


def without_exceptions_and_rtti(compiler, standard):
    with tempfile.TemporaryDirectory() as directory:
        program = f"{directory}/program"
        flags = [f"-std={standard}", "-fno-exceptions", "-fno-rtti", *FLAGS]
        compiled(compiler, *flags, "-x", "c++", "-", "-o", program, *link(), source=SMALL)
        compiled(program)


def echoes(compiler, standard, example="echo"):
    with tempfile.TemporaryDirectory() as directory:
        program = f"{directory}/echo"
        compiled(compiler, f"-std={standard}", *FLAGS, str(ROOT / f"c_examples/{example}.cpp"), "-o", program, *link())
        peer, _ = bound_socket()
        with peer, running(program, "0") as echo:
            peer.sendto(b"hello", ("127.0.0.1", int(read_line_starting(echo, "listening on 0.0.0.0:"))))
            equal(b"hello", peer.recv(100))


def echoes_as_coroutines(compiler, standard):
    echoes(compiler, standard, "coro_echo")


def coroutines_without_exceptions(compiler, standard):
    source = """
#include <udpr/coro.hpp>
udpr::coro::task<int> one() { co_return 1; }
udpr::coro::task<> tasks(udpr::reactor_ref reactor, udpr::coro::port port) {
  std::error_code error;
  co_await udpr::coro::delay(reactor, std::chrono::seconds(co_await one()), error);
  co_await port.receive(error);
}
"""
    compiled(compiler, f"-std={standard}", "-fno-exceptions", "-fno-rtti", *FLAGS, "-fsyntax-only", "-x", "c++", "-", source=source)


def awaiting_nothing_is_a_warning(compiler, standard):
    for forgotten in ["udpr::coro::delay(reactor, std::chrono::seconds(1))", "port.receive()", "task()"]:
        source = f"""
#include <udpr/coro.hpp>
udpr::coro::task<> task();
void uses(udpr::reactor_ref reactor, udpr::coro::port &port);
void uses(udpr::reactor_ref reactor, udpr::coro::port &port) {{ {forgotten}; static_cast<void>(port), static_cast<void>(reactor); }}
"""
        errors = errors_of(compiler, standard, source, *FLAGS)
        assert "nodiscard" in errors, (forgotten, errors)


def coroutines_of_an_older_standard_are_one_error(compiler, standard):
    errors = errors_of(compiler, standard, "#include <udpr/coro.hpp>\nint main() {}\n", *FLAGS)
    equal(1, errors.count("error:"))
    assert "udpr/coro.hpp needs C++20" in errors, errors


CALLBACKS = ["start_protocol", "datagram_received", "datagrams_received", "connection_refused", "error_received", "write_ready", "stop_protocol", "configure_socket"]
# Each S has a member NAME that cannot be called, next to one that can, in FINE: without a check it would be left out.
WRONG = [
    "struct S : FINE { void NAME(int) {} };",
    "struct S : FINE { void NAME() {} };",
    "struct S : FINE { int NAME = 0; };",
    "class S : public FINE { template <class... T> void NAME(T &&...) {} };",
    "struct S : FINE { protected: template <class... T> void NAME(T &&...) {} };",
    "struct S_BASE { template <class... T> void NAME(T &&...) {} }; class S : public FINE, S_BASE {};",
    "struct S : FINE { void NAME(int) {} void NAME(int, int) {} };",
    "struct S : FINE { template <class T> void NAME(T *) {} };",
    "struct S : FINE { void NAME(int) const {} }; using S = const S;",
    "struct S final : FINE { void NAME(int) {} };",
]


def errors_of(compiler, standard, source, *flags):
    of_compiler = ["-fmax-errors=0", "-fno-diagnostics-show-caret"] if compiler == "g++" else ["-ferror-limit=0", "-fno-caret-diagnostics"]
    flags = [*flags, *of_compiler, f"-I{ROOT}/include"]
    command = [compiler, f"-std={standard}", *flags, "-fsyntax-only", "-x", "c++", "-"]
    return subprocess.run(command, input=source, text=True, stderr=subprocess.PIPE).stderr


def a_callback_that_cannot_be_called_does_not_compile(compiler, standard):
    source, uses = "#include <udpr/udpr.hpp>\n", ""
    for number, definition in enumerate(WRONG):
        for name in CALLBACKS:
            struct = f"wrong_{name}_{number}"
            fine = "write_ready" if name == "connection_refused" else "connection_refused"
            source += f"struct {struct}_fine {{ void {fine}(udpr::transport_ref) {{}} }};\n"
            source += re.sub(r"\bS\b", struct, definition.replace("NAME", name).replace("FINE", f"{struct}_fine").replace("S_BASE", f"{struct}_base")) + "\n"
            uses += f"  reactor.listen_udp(0, {struct}());\n"
    errors = errors_of(compiler, standard, source + f"void uses(udpr::reactor &reactor) {{\n{uses}}}\n")
    for name in CALLBACKS:
        equal((name, len(WRONG)), (name, errors.count(f"the protocol's {name} cannot be called with")))


CALLABLE = "the callable cannot be called with the parameters of this callback, nor without any"
KEPT = "what is given is kept in the library, and this can be neither copied nor moved there"
# Statements that do not compile, and the sentence that each gets.
REFUSED = {
    "reactor.call_later(1s, [](int) {});": CALLABLE,
    "reactor.call_later(1s, [](reactor_ref, int) {});": CALLABLE,
    "reactor.call_when_running([](int) {});": CALLABLE,
    "reactor.call_from_thread([](std::string) {});": CALLABLE,
    "reactor.remote().call([](int) {});": CALLABLE,
    "reactor.watch(0, watch_flag::readable, [](int) {});": CALLABLE,
    "reactor.watch_signal(1, [](std::string) {});": CALLABLE,
    "reactor.watch_interfaces([](int) {});": CALLABLE,
    "reactor.add_trigger(UDPR_PHASE_AFTER, UDPR_EVENT_STARTUP, [](int) {});": CALLABLE,
    "reactor.resolve(\"a\", 1, [](reactor_ref) {});": CALLABLE,
    "reactor.each_transport([](int) {});": CALLABLE,
    "reactor.set_logger(UDPR_LOG_INFO, [](std::string) {});": CALLABLE,
    "reactor.call_in_thread([] { return 1; }, [](std::string) {});": CALLABLE,
    "udpr::timer(reactor, 1s, [](int) {});": CALLABLE,
    "udpr::watch(reactor, 0, watch_flag::readable, [](reactor_ref) {});": CALLABLE,
    "udpr::signal(reactor, 1, [](int) {});": CALLABLE,
    "udpr::interface_watch(reactor, [](int) {});": CALLABLE,
    "udpr::lookup(reactor, \"a\", 1, [](int) {});": CALLABLE,
    "udpr::trigger(reactor, UDPR_PHASE_AFTER, UDPR_EVENT_STARTUP, [](int) {});": CALLABLE,
    "reactor.call_in_thread([](int) {});": "work for the pool is called without parameters",
    "reactor.add_trigger(UDPR_PHASE_AFTER, UDPR_EVENT_STARTUP, [] { return 1; });": "a trigger returns nothing, udpr::progress or a std::error_code",
    "reactor.listen_udp(0, [](int) {});": "a function that is given as protocol is called with (udpr::transport_ref, const udpr::datagram &)",
    "reactor.listen_udp(0, [](transport_ref, datagram &) {});": "a function that is given as protocol is called with",
    "reactor.listen_udp(0, wrong_function);": "a function that is given as protocol is called with",
    "struct none {}; reactor.listen_udp(0, none());": "a protocol needs at least one of the functions of udpr::protocol",
    "struct misspelt { void datagram_recieved(transport_ref, const datagram &) {} }; reactor.listen_udp(0, misspelt());": "a protocol needs at least one",
    "reactor.listen_udp(0, &fine);": "a pointer is no protocol: give a std::ref, a std::unique_ptr or a std::shared_ptr",
    "struct start { int start_protocol(transport_ref) { return 0; } }; reactor.listen_udp(0, start());": "start_protocol and configure_socket return nothing or a std::error_code",
    "struct configure { int configure_socket(int, const udpr::address &) { return 0; } }; reactor.listen_udp(0, configure());": "start_protocol and configure_socket return nothing or a std::error_code",
    "struct batch { bool datagrams_received(transport_ref, udpr::view<datagram>) { return true; } }; reactor.listen_udp(0, batch());": "datagrams_received returns nothing or how many",
    "auto kept = std::make_unique<protocol_base>(); reactor.listen_udp(0, kept);": KEPT,
    "reactor.listen_udp(0, static_cast<protocol_base &>(fine));": KEPT,
    "auto call = [only = std::make_unique<int>(1)] {}; reactor.call_later(1s, call);": KEPT,
    "auto call = [only = std::make_unique<int>(1)] {}; udpr::timer(reactor, 1s, call);": KEPT,
    "struct none : private protocol_base {}; reactor.listen_udp(0, none());": "the protocol's datagram_received cannot be called with",
    "struct hides : protocol_base { void write_ready(int) {} }; reactor.listen_udp(0, hides());": "the protocol's write_ready cannot be called with",
}


def what_does_not_fit_gets_a_sentence(compiler, standard):
    source = """
#include <memory>
#include <udpr/udpr.hpp>
using udpr::datagram, udpr::reactor_ref, udpr::transport_ref, udpr::watch_flag;
using namespace std::chrono_literals;
void wrong_function(int) {}
struct protocol_base : udpr::protocol_base {
  protocol_base() = default;
protected:
  protocol_base(const protocol_base &) = default;
};
"""
    equal("", errors_of(compiler, standard, source, *FLAGS))
    first = source.count("\n") + 1
    for number, statement in enumerate(REFUSED):
        source += f"void use_{number}(udpr::reactor &reactor, protocol_base &fine) {{ static_cast<void>(fine); {statement} }}\n"
    # g++ names the line before the error, clang++ behind it.
    errors = re.split(r"(?<=\n)(?=.*error:)" if compiler == "clang++" else r"(?<=error:)", errors_of(compiler, standard, source))
    if compiler == "g++":
        errors = [context.partition("\n")[2] + error.partition("\n")[0] for context, error in zip(errors, errors[1:])]
    for number, (statement, sentence) in enumerate(REFUSED.items()):
        at = f"<stdin>:{first + number}:"
        assert any(at in error and sentence in error for error in errors), (statement, [error for error in errors if at in error])


def override_finds_a_misspelt_callback(compiler, standard):
    for name, kind in {"datagram_recieved": "const udpr::datagram &", "datagram_received": "udpr::datagram &", "write_ready": "int"}.items():
        source = f"#include <udpr/udpr.hpp>\nstruct wrong : udpr::protocol_base {{ void {name}(udpr::transport_ref, {kind}) override; }};\n"
        errors = errors_of(compiler, standard, source)
        equal(1, errors.count("error:"))
        assert "override" in errors, errors


def protocols_of_every_kind_compile(compiler, standard):
    source = """
#include <memory>
#include <udpr/udpr.hpp>
using udpr::transport_ref;
struct sealed final { void write_ready(transport_ref) {} };
struct overloaded { void write_ready(transport_ref) {} void write_ready(int) {} };
struct generic {
  template <class T> void datagram_received(transport_ref, T &) {}
  template <class T> void error_received(transport_ref, T &) const {}
};
struct base { virtual void write_ready(transport_ref) = 0; protected: ~base() = default; };
struct derived final : base { void write_ready(transport_ref) override {} };
class hidden_base { public: void write_ready(transport_ref) {} };
struct exposed : private hidden_base { using hidden_base::write_ready; };
class virtual_one : public udpr::protocol_base { public: void write_ready(transport_ref) override {} };
class virtual_final final : public udpr::protocol_base { public: void write_ready(transport_ref) override {} };
class virtual_batch : public udpr::batch_protocol_base { public: std::size_t datagrams_received(transport_ref, udpr::view<udpr::datagram> all) override { return all.size(); } };
struct callable_protocol { void operator()() {} void write_ready(transport_ref) {} };
void plain_function(transport_ref, const udpr::datagram &) {}
struct unmade { explicit unmade(int) {} unmade(const unmade &) = delete; void stop_protocol(transport_ref, std::error_code) {} };
union either { int number; void write_ready(transport_ref) {} };
void uses(udpr::reactor &reactor, derived &one, unmade &two) {
  reactor.listen_udp(0, sealed());
  reactor.listen_udp(0, overloaded());
  reactor.listen_udp(0, generic());
  reactor.listen_udp(0, std::ref(static_cast<base &>(one)));
  reactor.listen_udp(0, derived());
  reactor.listen_udp(0, exposed());
  reactor.listen_udp(0, std::ref(two));
  reactor.listen_udp(0, std::make_unique<unmade>(1));
  reactor.listen_udp(0, either());
  reactor.listen_udp(0, [](auto, auto &) {});
  reactor.listen_udp(0, [only = std::make_unique<int>(1)](transport_ref, udpr::datagram) {});
  reactor.listen_udp(0, plain_function);
  reactor.listen_udp(0, &plain_function);
  reactor.listen_udp(0, std::function<void(transport_ref, const udpr::datagram &)>(plain_function));
  reactor.listen_udp(0, callable_protocol());
  reactor.listen_udp(0, virtual_one());
  reactor.listen_udp(0, virtual_final());
  reactor.listen_udp(0, virtual_batch());
  reactor.listen_udp(0, std::unique_ptr<udpr::protocol_base>(new virtual_batch));
}
"""
    compiled(compiler, f"-std={standard}", *FLAGS, "-Wnon-virtual-dtor", "-Woverloaded-virtual", "-fsyntax-only", "-x", "c++", "-", source=source)


def a_buffer_of_char_is_no_text(compiler, standard):
    source = """
#include <udpr/udpr.hpp>
void uses(udpr::transport_ref port, const udpr::address &to) {
  char buffer[1500] = {};
  const char text[] = "text";
  unsigned char raw[4] = {};
  struct { char name[4]; } record = {};
  port.write("literal", to);
  port.write(text, to);
  port.write(raw, to);
  port.write({buffer, 5}, to);
  port.write(std::string_view(buffer, 5));
  port.write_sequence({"literal", {buffer, 5}, raw}, to);
  static_assert(!std::is_convertible_v<char (&)[1500], udpr::bytes>);
  static_cast<void>(record);
  %s
}
"""
    equal("", errors_of(compiler, standard, source % "", *FLAGS))
    for wrong in ["write(buffer, to)", "write(buffer)", "post(buffer, to)", "post(record.name)", "write_sequence({raw, buffer}, to)"]:
        errors = errors_of(compiler, standard, source % f"port.{wrong};")
        line = source[: source.index("%s")].count("\n") + 1
        assert "deleted" in errors and f"<stdin>:{line}:" in errors, f"{wrong}: {errors!r}"


def an_older_standard_is_one_error(compiler, standard):
    errors = errors_of(compiler, standard, "#include <udpr/udpr.hpp>\nint main() {}\n", *FLAGS)
    equal(1, errors.count("error:"))
    assert "udpr.hpp needs C++17" in errors, errors


def add(check, compiler, standard):
    def run():
        if not shutil.which(compiler):
            raise Skip(f"no {compiler}")
        check(compiler, standard)

    run.__name__ = f"{check.__name__}, {compiler} {standard}"
    case(run)


for each_compiler in ("g++", "clang++"):
    for each_standard in ("c++17", "c++20"):
        for each_check in (
            each_header_alone,
            echoes,
            a_callback_that_cannot_be_called_does_not_compile,
            what_does_not_fit_gets_a_sentence,
            override_finds_a_misspelt_callback,
            protocols_of_every_kind_compile,
            a_buffer_of_char_is_no_text,
        ):
            add(each_check, each_compiler, each_standard)
    add(each_header_alone, each_compiler, "c++2b")
    add(without_exceptions_and_rtti, each_compiler, "c++17")
    for each_check in (echoes_as_coroutines, coroutines_without_exceptions, awaiting_nothing_is_a_warning):
        add(each_check, each_compiler, "c++20")
    add(coroutines_of_an_older_standard_are_one_error, each_compiler, "c++17")
    for each_standard in ("c++98", "c++11", "c++14"):
        add(an_older_standard_is_one_error, each_compiler, each_standard)
main()
