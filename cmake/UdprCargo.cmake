# Makes ${udpr_object} (target udpr-object): all the Rust code as one relocatable object in which only udpr_* is
# global, so that a program may hold other Rust libraries beside this one. Both libraries are made of it.

find_program(UDPR_CARGO cargo DOC "The cargo that builds the Rust code")

function(udpr_check_cargo)
  set(need "udpr needs Rust ${udpr_rust_version} or later (https://rustup.rs)")
  set(hint "Put a newer cargo into PATH, or name one with -DUDPR_CARGO=/path/to/cargo.")
  if(NOT UDPR_CARGO)
    message(FATAL_ERROR "${need}, and no cargo was found. ${hint}")
  endif()
  execute_process(COMMAND ${UDPR_CARGO} --version RESULT_VARIABLE result OUTPUT_VARIABLE said ERROR_VARIABLE said)
  if(NOT said MATCHES "^cargo ([0-9.]+)")
    message(FATAL_ERROR "${need}, and \"${UDPR_CARGO} --version\" failed: ${result}. ${said}${hint}")
  elseif(CMAKE_MATCH_1 VERSION_LESS udpr_rust_version)
    message(FATAL_ERROR "${need}, and ${UDPR_CARGO} is of ${CMAKE_MATCH_1}. ${hint}")
  endif()
endfunction()

udpr_check_cargo()

# A directory for each configuration: RelWithDebInfo differs from Release by an environment variable only.
set(udpr_cargo_dir ${CMAKE_CURRENT_BINARY_DIR}/cargo-$<LOWER_CASE:$<CONFIG>>)
set(udpr_archive ${udpr_cargo_dir}/$<IF:$<CONFIG:Debug>,debug,release>/libudpr.a)
set(udpr_object ${udpr_cargo_dir}/udpr.o)

# cargo is no child of make's that may share its job slots, and would warn that it cannot.
# It leaves an archive alone that is as it should be: hence the touch, or make would ask again each time.
# Without backtraces nothing reads debug information, which is a third of the library: src/capi/guard.rs.
# It looks for its settings from where it is called: in a release, they name the crates that came with it.
add_custom_command(
  OUTPUT ${udpr_archive}
  COMMAND ${CMAKE_COMMAND} -E env --unset=MAKEFLAGS --unset=CARGO_BUILD_TARGET
          $<$<CONFIG:RelWithDebInfo>:CARGO_PROFILE_RELEASE_DEBUG=true>
          ${UDPR_CARGO} rustc --locked --lib --crate-type staticlib --profile $<IF:$<CONFIG:Debug>,dev,release>
          --manifest-path ${PROJECT_SOURCE_DIR}/Cargo.toml --target-dir ${udpr_cargo_dir}
          "$<$<BOOL:${UDPR_OFFLINE}>:--offline>" ${UDPR_CARGO_FLAGS}
          "$<$<NOT:$<CONFIG:Debug>>:--;--cfg;udpr_no_backtraces>"
  COMMAND ${CMAKE_COMMAND} -E touch ${udpr_archive}
  DEPENDS ${PROJECT_SOURCE_DIR}/Cargo.toml ${PROJECT_SOURCE_DIR}/Cargo.lock
  DEPFILE ${udpr_cargo_dir}/$<IF:$<CONFIG:Debug>,debug,release>/libudpr.d
  WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
  COMMENT "Building the Rust code of udpr"
  COMMAND_EXPAND_LISTS USES_TERMINAL VERBATIM)

# The sections with LLVM bitcode go, since ar's LLVM plugin crashes on them. Groups are dissolved: the linker would take one
# of ours, whose symbols are local by then, for one of the same name in another Rust archive.
add_custom_command(
  OUTPUT ${udpr_object}
  COMMAND ${CMAKE_LINKER} -r --force-group-allocation -o ${udpr_object} --whole-archive ${udpr_archive} --no-whole-archive
  COMMAND ${CMAKE_OBJCOPY} --wildcard --keep-global-symbol=udpr_* -R .llvmbc -R .llvmcmd ${udpr_object}
  DEPENDS ${udpr_archive}
  COMMENT "Joining it to one object"
  VERBATIM)
add_custom_target(udpr-object DEPENDS ${udpr_object})
