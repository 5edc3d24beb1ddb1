# The man pages: udpr(7), and one of section 3 for each function and type of the header. Without Python there are none.
find_package(Python3 3.9 COMPONENTS Interpreter)
if(NOT Python3_Interpreter_FOUND)
  message(STATUS "udpr: there is no Python 3.9, so no man pages are installed")
  return()
endif()

set(udpr_reference ${PROJECT_SOURCE_DIR}/docs/reference)
set(udpr_header ${PROJECT_SOURCE_DIR}/include/udpr/udpr.h)
set(udpr_overview ${PROJECT_SOURCE_DIR}/docs/udpr.7.in)
set(udpr_man ${PROJECT_BINARY_DIR}/man)
add_custom_command(
  OUTPUT ${udpr_man}/man7/udpr.7
  COMMAND Python3::Interpreter -B ${udpr_reference}/man.py ${udpr_header} ${PROJECT_VERSION} ${udpr_overview} ${udpr_man}
  DEPENDS ${udpr_reference}/man.py ${udpr_reference}/header.py ${udpr_header} ${udpr_overview}
  COMMENT "Making the man pages"
  VERBATIM)
add_custom_target(udpr-man ALL DEPENDS ${udpr_man}/man7/udpr.7)
install(DIRECTORY ${udpr_man}/man3 ${udpr_man}/man7 DESTINATION ${CMAKE_INSTALL_MANDIR} COMPONENT dev)
