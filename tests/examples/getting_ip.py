"""getting_ip.py PROGRAM: the look-up of a name, by default localhost."""

import sys

from harness import case, equal, main, run

PROGRAM = sys.argv[1]


def ended(*arguments):
    program = run(PROGRAM, *arguments)
    return program.returncode, program.stdout, program.stderr


@case
def prints_the_ip_of_localhost():
    equal((0, "IP of 'localhost' is 127.0.0.1\n", ""), ended())


@case
def accepts_an_address():
    equal((0, "IP of '192.0.2.7' is 192.0.2.7\n", ""), ended("192.0.2.7"))


@case
def prints_why_a_look_up_failed():
    for name, why in (("a..b", "UDPR_E_INVALID_ARGUMENT"), ("::1", "UDPR_E_ADDRESS_FAMILY")):
        code, out, err = ended(name)
        equal((1, ""), (code, out))
        start = f"getting_ip: no IP of '{name}': {why}: "
        equal(start, err[: len(start)])
        equal(1, err.count("\n"))


@case
def wrong_arguments_get_the_usage():
    equal((2, "", "usage: getting_ip [NAME]\n"), ended("a", "b"))


main()
