# cmake --install: both libraries, the headers, a CMake package (find_package(udpr)), a pkg-config file, the man pages, the
# documents. The component "runtime" has the files that programs need to run, "dev" those that are needed to build them.
include(CMakePackageConfigHelpers)
include(${CMAKE_CURRENT_LIST_DIR}/UdprFfiHeader.cmake)

set(udpr_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/udpr)

install(TARGETS udpr-shared udpr-static EXPORT udpr-targets
  RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT runtime
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime NAMELINK_COMPONENT dev
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT dev)
if(UDPR_DEBUG_FILE)
  install(FILES ${udpr_debug_file} DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT dev)
endif()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/udpr DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev)
install(EXPORT udpr-targets NAMESPACE udpr:: DESTINATION ${udpr_package_dir} COMPONENT dev)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE-MIT ${PROJECT_SOURCE_DIR}/LICENSE-APACHE ${PROJECT_SOURCE_DIR}/README.md
  DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT dev)
# The documents and the examples, in the directories of the source, so that the links between them work.
install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs ${PROJECT_SOURCE_DIR}/c_examples DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT dev
  FILES_MATCHING PATTERN *.md PATTERN *.svg PATTERN *.c PATTERN *.cpp PATTERN reference EXCLUDE)

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/udprConfig.cmake.in ${PROJECT_BINARY_DIR}/udprConfig.cmake
  INSTALL_DESTINATION ${udpr_package_dir} NO_SET_AND_CHECK_MACRO)
# Before 1.0, a new minor version may be incompatible with the previous one.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/udprConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/udprConfig.cmake ${PROJECT_BINARY_DIR}/udprConfigVersion.cmake
  DESTINATION ${udpr_package_dir} COMPONENT dev)

include(${CMAKE_CURRENT_LIST_DIR}/UdprManPages.cmake)

# Relative paths in the .pc file, so that the installed tree can be moved.
foreach(dir LIBDIR INCLUDEDIR DATADIR)
  string(TOLOWER udpr_pc_${dir} variable)
  cmake_path(RELATIVE_PATH CMAKE_INSTALL_FULL_${dir} BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX} OUTPUT_VARIABLE ${variable})
endforeach()
cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX BASE_DIRECTORY ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig
  OUTPUT_VARIABLE udpr_pc_prefix)
list(TRANSFORM udpr_system_libs PREPEND -l OUTPUT_VARIABLE udpr_pc_private)
list(JOIN udpr_pc_private " " udpr_pc_private)
if(WIN32)
  set(udpr_pc_cflags_private "Cflags.private: -DUDPR_STATIC\n")
endif()
configure_file(${PROJECT_SOURCE_DIR}/cmake/udpr.pc.in ${PROJECT_BINARY_DIR}/udpr.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/udpr.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT dev)
