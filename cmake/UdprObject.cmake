# Builds ${udpr_object} (target udpr-object), from which both libraries are made, and for other files than those of ELF
# ${udpr_code}, which contains the Rust code and is empty for ELF.

# In ELF, it is one relocatable object in which only udpr_* is global, so that a program may contain other Rust libraries. On Windows
# and macOS linkers cannot make that: it is compiled from an empty file that is newer than the Rust code, which stays in cargo's archive.
if(WIN32 OR APPLE)
  set(udpr_code ${udpr_archive})
  set(udpr_object ${CMAKE_CURRENT_BINARY_DIR}/udpr-${udpr_rust_build}.c)
  add_custom_command(OUTPUT ${udpr_object} COMMAND ${CMAKE_COMMAND} -E touch ${udpr_object} DEPENDS ${udpr_archive} VERBATIM)
  add_custom_target(udpr-object DEPENDS ${udpr_object})
  return()
endif()

set(udpr_object ${CMAKE_CURRENT_BINARY_DIR}/udpr-${udpr_rust_build}.o)

# The sections with LLVM bitcode are removed, since ar's LLVM plugin crashes on them, and in Release the debug information, which
# is only that of Rust's standard library and larger than all the code. Section groups are dissolved, since the linker would use
# one of this object, whose symbols are local by then, for a group of the same name in another Rust archive. The linker is called
# through the C compiler, which knows the target.
separate_arguments(udpr_machine_flags NATIVE_COMMAND "${CMAKE_C_FLAGS}")
list(FILTER udpr_machine_flags INCLUDE REGEX "^-m")
if(CMAKE_C_COMPILER_TARGET)
  list(APPEND udpr_machine_flags ${CMAKE_C_COMPILE_OPTIONS_TARGET}${CMAKE_C_COMPILER_TARGET})
endif()
add_custom_command(
  OUTPUT ${udpr_object}
  COMMAND ${CMAKE_C_COMPILER} ${udpr_machine_flags} -r -nostdlib -Wl,--force-group-allocation -o ${udpr_object}
          -Wl,--whole-archive ${udpr_archive} -Wl,--no-whole-archive
  COMMAND ${CMAKE_OBJCOPY} --wildcard --keep-global-symbol=udpr_* -R .llvmbc -R .llvmcmd
          "$<$<STREQUAL:${udpr_rust_build},release>:--strip-debug>" ${udpr_object}
  DEPENDS ${udpr_archive}
  COMMENT "Joining it to one object"
  COMMAND_EXPAND_LISTS VERBATIM)
add_custom_target(udpr-object DEPENDS ${udpr_object})
