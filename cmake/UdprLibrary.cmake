# The targets udpr::shared, udpr::static, and udpr::udpr, which is the shared one unless UDPR_LINK_STATIC is set.

option(UDPR_LINK_STATIC "Make udpr::udpr the static library" OFF)
set(UDPR_UNWINDER "" CACHE FILEPATH "An archive with the functions _Unwind_*, if the C compiler has none for the target")

function(udpr_add_library name kind)
  add_library(udpr-${name} ${kind} ${udpr_object})
  add_library(udpr::${name} ALIAS udpr-${name})
  add_dependencies(udpr-${name} udpr-object)
  set_source_files_properties(${udpr_object} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
  set_target_properties(udpr-${name} PROPERTIES OUTPUT_NAME udpr EXPORT_NAME ${name} LINKER_LANGUAGE C)
  target_include_directories(udpr-${name} INTERFACE
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
endfunction()

# The system libraries that Rust's standard library needs: cargo rustc -- --print native-static-libs. gcc_s is left out, since
# the C compiler adds it or, for static programs, gcc_eh.
set(udpr_system_libs util rt pthread m dl)

udpr_add_library(static STATIC)
target_link_libraries(udpr-static INTERFACE ${udpr_system_libs})

# The objects of UDPR_UNWINDER become members of the archive, and stay global: the whole program must use one unwinder, since
# exceptions of C++ unwind functions of Rust.
if(UDPR_UNWINDER)
  set(udpr_join ${CMAKE_CURRENT_BINARY_DIR}/join-$<LOWER_CASE:$<CONFIG>>.mri)
  file(GENERATE OUTPUT ${udpr_join} CONTENT
    "open $<TARGET_FILE:udpr-static>\naddlib ${UDPR_UNWINDER}\nsave\nend\n")
  add_custom_command(TARGET udpr-static POST_BUILD COMMAND ${CMAKE_AR} -M <${udpr_join})
endif()

# nodelete: the code must stay loaded for threads and thread-local destructors when a plug-in is unloaded.
udpr_add_library(shared SHARED)
set(udpr_map ${PROJECT_SOURCE_DIR}/cmake/udpr.map)
target_link_libraries(udpr-shared PRIVATE ${udpr_system_libs} ${UDPR_UNWINDER})
target_link_options(udpr-shared PRIVATE
  LINKER:--version-script=${udpr_map} LINKER:--gc-sections LINKER:-z,defs LINKER:-z,nodelete LINKER:-z,relro,-z,now
  $<$<STREQUAL:${udpr_rust_build},release>:LINKER:--strip-all>)
set_target_properties(udpr-shared PROPERTIES
  VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR} LINK_DEPENDS ${udpr_map})

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
