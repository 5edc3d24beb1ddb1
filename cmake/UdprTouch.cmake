# cmake -D archive=PATH -P UdprTouch.cmake: updates the time stamp of an archive that cargo did not have to build again.
if(NOT EXISTS ${archive})
  message(FATAL_ERROR "cargo has not made ${archive}: UDPR_RUST_TARGET and UDPR_CARGO_FLAGS must name one target and profile.")
endif()
file(TOUCH ${archive})
