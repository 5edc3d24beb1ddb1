# cmake -D archive=PATH -P UdprTouch.cmake: makes what cargo left as new as the build.
if(NOT EXISTS ${archive})
  message(FATAL_ERROR "cargo has not made ${archive}: UDPR_RUST_TARGET and UDPR_CARGO_FLAGS must name one target and profile.")
endif()
file(TOUCH ${archive})
