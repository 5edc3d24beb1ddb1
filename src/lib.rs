//! udpr: a UDP reactor in the manner of Twisted, with a C face.
