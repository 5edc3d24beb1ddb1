from twisted.application.reactors import Reactor

udpr = Reactor("udpr", "udpr.twisted", "udpr: UDP in batches, by a library written in Rust")
