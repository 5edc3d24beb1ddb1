# udpr.ffi.h: the header for readers without a preprocessor (cffi, LuaJIT), with declarations only.
set(udpr_ffi_header ${PROJECT_BINARY_DIR}/udpr.ffi.h)
add_custom_command(
  OUTPUT ${udpr_ffi_header}
  COMMAND ${CMAKE_C_COMPILER} -E -P -DUDPR_PLAIN ${PROJECT_SOURCE_DIR}/include/udpr/udpr.h -o ${udpr_ffi_header}
  DEPENDS ${PROJECT_SOURCE_DIR}/include/udpr/udpr.h
  COMMENT "Preprocessing the header for other languages"
  VERBATIM)
add_custom_target(udpr-ffi-header ALL DEPENDS ${udpr_ffi_header})
install(FILES ${udpr_ffi_header} DESTINATION ${CMAKE_INSTALL_DATADIR}/udpr COMPONENT dev)
