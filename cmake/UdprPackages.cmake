# cpack -G DEB: libudpr0.1 for running programs, libudpr-dev for building them. Configure for /usr:
# cmake -DCMAKE_INSTALL_PREFIX=/usr -DCMAKE_INSTALL_LIBDIR=lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH)
set(CPACK_PACKAGE_NAME udpr)
set(CPACK_PACKAGE_VENDOR "The udpr authors")
# Debian requires an address, and the project has none: RFC 2606 reserves .invalid for that.
set(CPACK_PACKAGE_CONTACT "udpr developers <nobody@udpr.invalid>" CACHE STRING "Maintainer of the packages, with an address")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "UDP reactor in the manner of Twisted")
set(CPACK_PACKAGING_INSTALL_PREFIX ${CMAKE_INSTALL_PREFIX})
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE-MIT)
set(CPACK_VERBATIM_VARIABLES ON)

set(CPACK_COMPONENTS_ALL runtime dev)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_STRIP_FILES ON)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/debian/finish.cmake)
set(CPACK_UDPR_CHANGELOG ${PROJECT_SOURCE_DIR}/CHANGELOG.md)
set(CPACK_UDPR_STRIP ${CMAKE_STRIP})

set(udpr_deb libudpr${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME ${udpr_deb})
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION "A program gives it a table of callbacks for each UDP port and runs it.
Datagrams are received and sent in batches. This is the shared library.")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_EXTRA ${CMAKE_CURRENT_LIST_DIR}/debian/triggers)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_STRICT_PERMISSION ON)

set(CPACK_DEBIAN_DEV_PACKAGE_NAME libudpr-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_COMPONENT_DEV_DESCRIPTION "A program gives it a table of callbacks for each UDP port and runs it.
Datagrams are received and sent in batches. These are the headers for C and
C++, the static library, and what CMake and pkg-config look for.")
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "${udpr_deb} (= ${PROJECT_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE}), libc6-dev")

include(CPack)
