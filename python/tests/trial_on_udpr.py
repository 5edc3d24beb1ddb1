"""trial_on_udpr.py ARGUMENT...: trial, with udpr's reactor as the global one and as the only one that tests are made for."""

import udpr.twisted

udpr.twisted.install()

from twisted.internet.test import reactormixins
from twisted.scripts import trial

reactormixins.ReactorBuilder._reactors = ["udpr.twisted.reactor.UdprReactor"]

from twisted.internet.test.test_fdset import ReactorFDSetTestsBuilder

# Twisted skips it for its own epoll reactor. It would run into its time limit of two minutes.
ReactorFDSetTestsBuilder.test_lostFileDescriptor.skip = "epoll forgets a descriptor that is closed"
trial.run()
