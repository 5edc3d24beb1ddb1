# Builds ${udpr_archive}: all the Rust code as cargo's static library.

find_program(UDPR_CARGO cargo NO_CMAKE_FIND_ROOT_PATH DOC "The cargo that builds the Rust code")

set(UDPR_RUST_TARGET "" CACHE STRING "The Rust target triple to build for; empty: that of the C compiler")

set(UDPR_BACKEND "" CACHE STRING "Empty, or for tests on Linux \"portable\": the backend of other systems")

function(udpr_check_cargo)
  set(need "udpr needs Rust ${udpr_rust_version} or later (https://rustup.rs)")
  set(hint "Put a newer cargo into PATH, or name one with -DUDPR_CARGO=/path/to/cargo.")
  if(NOT UDPR_CARGO)
    message(FATAL_ERROR "${need}, and no cargo was found. ${hint}")
  endif()
  execute_process(COMMAND ${UDPR_CARGO} --version --verbose RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT output MATCHES "^cargo ([0-9.]+)")
    message(FATAL_ERROR "${need}, and \"${UDPR_CARGO} --version\" failed: ${result}. ${output}${hint}")
  elseif(CMAKE_MATCH_1 VERSION_LESS udpr_rust_version)
    message(FATAL_ERROR "${need}, and ${UDPR_CARGO} is version ${CMAKE_MATCH_1}. ${hint}")
  elseif(NOT output MATCHES "\nhost: ([^\n]+)")
    message(FATAL_ERROR "${need}, and \"${UDPR_CARGO} --version --verbose\" names no host. ${hint}")
  endif()
  set(udpr_rust_host ${CMAKE_MATCH_1} PARENT_SCOPE)
endfunction()

# Sets udpr_rust_target to UDPR_RUST_TARGET, or when cross compiling to the target of the C compiler, or to cargo's host. The C
# compiler's triple differs from Rust's in the vendor, and for some processors in the name.
function(udpr_find_rust_target)
  set(target ${udpr_rust_host})
  if(UDPR_RUST_TARGET)
    set(target ${UDPR_RUST_TARGET})
  elseif(CMAKE_CROSSCOMPILING)
    set(machine ${CMAKE_C_COMPILER_TARGET})
    if(NOT machine)
      execute_process(COMMAND ${CMAKE_C_COMPILER} -dumpmachine OUTPUT_VARIABLE machine OUTPUT_STRIP_TRAILING_WHITESPACE)
    endif()
    if(machine MATCHES "^([^-]+)-w64-mingw32$")
      set(udpr_rust_target ${CMAKE_MATCH_1}-pc-windows-gnu PARENT_SCOPE)
      return()
    elseif(NOT machine MATCHES "^([^-]+)-(.+-)?linux(-([a-z0-9]+))?$")
      message(FATAL_ERROR "The C compiler makes code for \"${machine}\": name the Rust target with -DUDPR_RUST_TARGET=<triple>.")
    endif()
    set(processor ${CMAKE_MATCH_1})
    set(environment "${CMAKE_MATCH_4}")
    if(NOT environment)
      set(environment gnu)
    endif()
    string(REGEX REPLACE "^i[345]86$" "i686" processor ${processor})
    string(REGEX REPLACE "^riscv64$" "riscv64gc" processor ${processor})
    if(environment MATCHES "eabihf$")
      string(REGEX REPLACE "^arm.*" "armv7" processor ${processor})
    endif()
    set(target ${processor}-unknown-linux-${environment})
  endif()
  if(CMAKE_SIZEOF_VOID_P EQUAL 4 AND target MATCHES "^[a-z0-9_]*64|^s390x")
    message(FATAL_ERROR "The C compiler makes 32-bit code, and cargo would for ${target}: "
      "name the Rust target with -DUDPR_RUST_TARGET=<triple>.")
  endif()
  set(udpr_rust_target ${target} PARENT_SCOPE)
endfunction()

udpr_check_cargo()
udpr_find_rust_target()

set(UDPR_CARGO_TARGET_DIR ${CMAKE_CURRENT_BINARY_DIR} CACHE PATH "Where cargo builds; several build directories may share it")

# The Rust code is built in three ways, each in a directory of its own, since the second differs from the third only by an
# environment variable: debug, relwithdebinfo, release.
set(udpr_rust_build
  $<IF:$<CONFIG:Debug>,debug,$<IF:$<OR:$<CONFIG:RelWithDebInfo>,$<BOOL:${UDPR_DEBUG_FILE}>>,relwithdebinfo,release>>)
set(udpr_cargo_dir ${UDPR_CARGO_TARGET_DIR}/cargo-${udpr_rust_build})
set(udpr_archive ${udpr_cargo_dir}/${udpr_rust_target}/$<IF:$<CONFIG:Debug>,debug,release>/libudpr.a)

# MAKEFLAGS is unset, since cargo cannot use make's job server and would print a warning.
# cargo does not touch an archive that is current, and make would run it every time, so UdprTouch.cmake updates its time stamp.
# The target is always named, so that neither cargo's configuration nor the environment chooses another one.
# udpr_no_backtraces removes the code that reads debug information, which is a third of the library: src/capi/guard.rs.
# cargo looks for its configuration in the working directory. That of a release tarball names the crates in the tarball.
add_custom_command(
  OUTPUT ${udpr_archive}
  COMMAND ${CMAKE_COMMAND} -E env --unset=MAKEFLAGS
          $<$<STREQUAL:${udpr_rust_build},relwithdebinfo>:CARGO_PROFILE_RELEASE_DEBUG=true>
          "$<$<STREQUAL:${UDPR_BACKEND},portable>:RUSTFLAGS=$ENV{RUSTFLAGS} --cfg udpr_portable>"
          ${UDPR_CARGO} rustc --locked --lib --crate-type staticlib --profile $<IF:$<CONFIG:Debug>,dev,release>
          --manifest-path ${PROJECT_SOURCE_DIR}/Cargo.toml --target-dir ${udpr_cargo_dir} --target ${udpr_rust_target}
          "$<$<BOOL:${UDPR_OFFLINE}>:--offline>" ${UDPR_CARGO_FLAGS}
          "$<$<NOT:$<CONFIG:Debug>>:--;--cfg;udpr_no_backtraces>"
  COMMAND ${CMAKE_COMMAND} -D archive=${udpr_archive} -P ${PROJECT_SOURCE_DIR}/cmake/UdprTouch.cmake
  DEPENDS ${PROJECT_SOURCE_DIR}/Cargo.toml ${PROJECT_SOURCE_DIR}/Cargo.lock
  DEPFILE ${udpr_cargo_dir}/${udpr_rust_target}/$<IF:$<CONFIG:Debug>,debug,release>/libudpr.d
  WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
  COMMENT "Building the Rust code of udpr"
  COMMAND_EXPAND_LISTS USES_TERMINAL VERBATIM)
