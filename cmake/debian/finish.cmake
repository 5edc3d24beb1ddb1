# Debian's requirements for the files of a package. cpack runs this after installing the files of each component into a directory
# of its own. UdprPackages.cmake sets CPACK_UDPR_*.
if(NOT CPACK_GENERATOR STREQUAL "DEB")
  return()
endif()

string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC) # uses SOURCE_DATE_EPOCH if it is set
set(changelog "udpr (${CPACK_PACKAGE_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE}) unstable; urgency=medium

  * Made by cpack; what is new in this version is in changelog.gz.

 -- ${CPACK_PACKAGE_CONTACT}  ${date}
")

function(run)
  execute_process(COMMAND ${ARGV} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

foreach(component runtime dev)
  string(TOUPPER CPACK_DEBIAN_${component}_PACKAGE_NAME package)
  set(root ${CPACK_TEMPORARY_DIRECTORY}/${component}${CPACK_PACKAGING_INSTALL_PREFIX})
  set(docs ${root}/share/doc/${${package}})
  if(EXISTS ${root}/share/doc/udpr)
    file(RENAME ${root}/share/doc/udpr ${docs})
  endif()
  file(COPY ${CMAKE_CURRENT_LIST_DIR}/copyright DESTINATION ${docs})
  file(COPY_FILE ${CPACK_UDPR_CHANGELOG} ${docs}/changelog)
  file(WRITE ${docs}/changelog.Debian "${changelog}")
  file(GLOB_RECURSE to_compress ${docs}/changelog* ${root}/share/man/*)
  run(gzip -9n ${to_compress})

  # The modes are 644 and 755, whatever the umask is.
  run(chmod -R u=rwX,go=rX ${CPACK_TEMPORARY_DIRECTORY}/${component})

  # The same as dh_strip: CPACK_STRIP_FILES does not change the static library, and does not remove .comment.
  file(GLOB_RECURSE library ${root}/libudpr.so.*.*.*[0-9] ${root}/libudpr.a)
  run(${CPACK_UDPR_STRIP} --strip-debug --remove-section=.comment --enable-deterministic-archives ${library})
endforeach()
