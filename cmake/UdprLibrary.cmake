# The targets udpr::shared, udpr::static, and udpr::udpr, which is the shared one unless UDPR_LINK_STATIC is set.

option(UDPR_LINK_STATIC "Make udpr::udpr the static library" OFF)
set(UDPR_UNWINDER "" CACHE FILEPATH "An archive with the functions _Unwind_*, if the C compiler has none for the target")

function(udpr_add_library name kind)
  add_library(udpr-${name} ${kind} ${udpr_object})
  add_library(udpr::${name} ALIAS udpr-${name})
  add_dependencies(udpr-${name} udpr-object)
  set_source_files_properties(${udpr_object} PROPERTIES GENERATED ON)
  if(NOT udpr_code)
    set_source_files_properties(${udpr_object} PROPERTIES EXTERNAL_OBJECT ON)
  endif()
  set_target_properties(udpr-${name} PROPERTIES OUTPUT_NAME udpr EXPORT_NAME ${name} LINKER_LANGUAGE C)
  target_include_directories(udpr-${name} INTERFACE
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
endfunction()

# The system libraries that Rust's standard library needs: cargo rustc -- --print native-static-libs. gcc_s is left out, since
# the C compiler adds it or, for static programs, gcc_eh.
if(WIN32)
  set(udpr_system_libs kernel32 advapi32 ntdll userenv ws2_32 dbghelp)
elseif(APPLE)
  set(udpr_system_libs System m)
elseif(CMAKE_SYSTEM_NAME STREQUAL "FreeBSD")
  set(udpr_system_libs execinfo util rt pthread m)
else()
  set(udpr_system_libs util rt pthread m dl)
endif()

udpr_add_library(static STATIC)
target_link_libraries(udpr-static INTERFACE ${udpr_system_libs})
if(WIN32) # without it the header declares the functions as those of a DLL
  target_compile_definitions(udpr-static INTERFACE UDPR_STATIC)
endif()
if(udpr_code)
  add_custom_command(TARGET udpr-static POST_BUILD COMMAND ${CMAKE_COMMAND} -E copy ${udpr_code} $<TARGET_FILE:udpr-static> VERBATIM)
endif()

# The objects of UDPR_UNWINDER become members of the archive, and stay global: the whole program must use one unwinder, since
# exceptions of C++ unwind functions of Rust.
if(UDPR_UNWINDER)
  set(udpr_join ${CMAKE_CURRENT_BINARY_DIR}/join-$<LOWER_CASE:$<CONFIG>>.mri)
  file(GENERATE OUTPUT ${udpr_join} CONTENT
    "open $<TARGET_FILE:udpr-static>\naddlib ${UDPR_UNWINDER}\nsave\nend\n")
  add_custom_command(TARGET udpr-static POST_BUILD COMMAND ${CMAKE_AR} -M <${udpr_join})
endif()

udpr_add_library(shared SHARED)
target_link_libraries(udpr-shared PRIVATE ${udpr_code} ${udpr_system_libs} ${UDPR_UNWINDER})
set_target_properties(udpr-shared PROPERTIES
  VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})

# Only udpr_* is exported. The linker for Windows needs the names themselves, which the header has, and takes from the archive what
# they need. nodelete: the code must stay loaded for threads and thread-local destructors when a plug-in is unloaded.
if(WIN32)
  set(udpr_exports ${CMAKE_CURRENT_BINARY_DIR}/udpr.def)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/include/udpr/udpr.h)
  file(STRINGS ${PROJECT_SOURCE_DIR}/include/udpr/udpr.h udpr_names REGEX "^UDPR_API ")
  list(TRANSFORM udpr_names REPLACE "^[^(]*[ *](udpr_[a-z0-9_]+)\\(.*" "  \\1")
  list(JOIN udpr_names "\n" udpr_names)
  file(CONFIGURE OUTPUT ${udpr_exports} CONTENT "EXPORTS\n@udpr_names@\n" @ONLY)
  target_sources(udpr-shared PRIVATE ${udpr_exports})
  target_link_options(udpr-shared PRIVATE -static-libgcc)
  set_target_properties(udpr-shared PROPERTIES PREFIX "")
elseif(APPLE)
  target_link_options(udpr-shared PRIVATE LINKER:-force_load,${udpr_code} "LINKER:-exported_symbol,_udpr_*" LINKER:-dead_strip)
else()
  set(udpr_exports ${PROJECT_SOURCE_DIR}/cmake/udpr.map)
  target_link_options(udpr-shared PRIVATE
    LINKER:--version-script=${udpr_exports} LINKER:-z,defs LINKER:-z,nodelete LINKER:-z,relro,-z,now)
endif()
if(NOT APPLE)
  target_link_options(udpr-shared PRIVATE LINKER:--gc-sections $<$<STREQUAL:${udpr_rust_build},release>:LINKER:--strip-all>)
  set_target_properties(udpr-shared PROPERTIES LINK_DEPENDS ${udpr_exports})
endif()

# What gdb and addr2line read instead of the library itself: they look for the file next to it.
if(UDPR_DEBUG_FILE)
  set(udpr_debug_file $<TARGET_FILE:udpr-shared>.debug)
  add_custom_command(TARGET udpr-shared POST_BUILD
    COMMAND ${CMAKE_OBJCOPY} --only-keep-debug $<TARGET_FILE:udpr-shared> ${udpr_debug_file}
    COMMAND ${CMAKE_OBJCOPY} --strip-all --add-gnu-debuglink=${udpr_debug_file} $<TARGET_FILE:udpr-shared>
    VERBATIM)
endif()

if(UDPR_LINK_STATIC)
  add_library(udpr::udpr ALIAS udpr-static)
else()
  add_library(udpr::udpr ALIAS udpr-shared)
endif()
