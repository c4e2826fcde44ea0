# SPDX-License-Identifier: MIT
# What `cmake --install` puts where: program, library, headers, pkg-config file, man page, configs.
# The pkg-config file finds the prefix from its own place, so an installed tree can be moved.
file(RELATIVE_PATH DSMOE_PREFIX_FROM_PC /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(${CMAKE_SOURCE_DIR}/cmake/dsmoe.pc.in ${CMAKE_BINARY_DIR}/dsmoe.pc @ONLY)
install(TARGETS dsmoe libdsmoe
  RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/dsmoe DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${CMAKE_BINARY_DIR}/dsmoe.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES docs/dsmoe.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(DIRECTORY configs DESTINATION ${CMAKE_INSTALL_DATADIR}/dsmoe)
