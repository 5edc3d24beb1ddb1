# cpack -G DEB: libudpr0.1 for programs that run, libudpr-dev for those that are built. Configure for /usr:
# cmake -DCMAKE_INSTALL_PREFIX=/usr -DCMAKE_INSTALL_LIBDIR=lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH)
set(CPACK_PACKAGE_NAME udpr)
set(CPACK_PACKAGE_VENDOR "The udpr authors")
set(CPACK_PACKAGE_CONTACT "The udpr authors <udpr@localhost>" CACHE STRING "Maintainer of the packages, with an address")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "UDP reactor in the manner of Twisted")
set(CPACK_PACKAGING_INSTALL_PREFIX ${CMAKE_INSTALL_PREFIX})
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE-MIT)
set(CPACK_VERBATIM_VARIABLES ON)

set(CPACK_COMPONENTS_ALL runtime dev)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_STRIP_FILES ON)

set(udpr_deb libudpr${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME ${udpr_deb})
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION "A program gives it a table of callbacks for each UDP port and runs it.
Datagrams are received and sent in batches. This is the shared library.")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")

set(CPACK_DEBIAN_DEV_PACKAGE_NAME libudpr-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_COMPONENT_DEV_DESCRIPTION "The headers, the static library, and what CMake and pkg-config look for.")
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "${udpr_deb} (= ${PROJECT_VERSION}), libc6-dev")

# What Debian asks of every package; nobody else installs it.
foreach(component runtime dev)
  string(TOUPPER CPACK_DEBIAN_${component}_PACKAGE_NAME package)
  install(FILES ${PROJECT_SOURCE_DIR}/cmake/debian/copyright DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${${package}}
    COMPONENT ${component} EXCLUDE_FROM_ALL)
endforeach()

include(CPack)
