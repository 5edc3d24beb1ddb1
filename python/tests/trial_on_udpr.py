"""trial_on_udpr.py ARGUMENT...: trial, with udpr's reactor as the global one and as the only one that tests are made for."""

from excused import SKIPPED

import udpr.twisted

udpr.twisted.install()

from twisted.internet.test import reactormixins
from twisted.scripts import trial

reactormixins.ReactorBuilder._reactors = ["udpr.twisted.reactor.UdprReactor"]

from twisted.internet.test.test_fdset import ReactorFDSetTestsBuilder

for name, why in SKIPPED.items():
    getattr(ReactorFDSetTestsBuilder, name).skip = why
trial.run()
