# SPDX-License-Identifier: MIT
#
# What an embedder gets: one library, static and shared, of everything below ssh/, its headers,
# packhorse.pc and a CMake package. libssh and libuv are not in it.
include(CMakePackageConfigHelpers)

set(ph_modules ph_libpack ph_alloc_libc ph_store ph_store_mem ph_store_disk ph_device_posix ph_protocol
  ph_upload_pack ph_upload_archive ph_receive_pack ph_maintenance ph_admin ph_services
  ph_verify)
set(ph_objects)
set(ph_include_dirs)
foreach(module ${ph_modules})
  list(APPEND ph_objects $<TARGET_OBJECTS:${module}>)
  get_target_property(dir ${module} SOURCE_DIR)
  if(EXISTS ${dir}/include)
    list(APPEND ph_include_dirs ${dir}/include)
  endif()
endforeach()
list(REMOVE_DUPLICATES ph_include_dirs)

add_library(packhorse_static STATIC ${ph_objects})
add_library(packhorse_shared SHARED ${ph_objects})
foreach(library packhorse_static packhorse_shared)
  set_target_properties(${library} PROPERTIES OUTPUT_NAME packhorse LINKER_LANGUAGE C
    ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
  target_include_directories(${library} INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
endforeach()
# Before 1.0 every minor version may change the interface, and the soname says so.
set_target_properties(packhorse_shared PROPERTIES VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
target_link_libraries(packhorse_shared PRIVATE ZLIB::ZLIB ${PH_MBEDCRYPTO})
target_link_libraries(packhorse_static INTERFACE z mbedcrypto)
# Ed25519 for signed pushes; see ssh/verify.
set(ph_sodium_libs)
if(SODIUM_FOUND)
  target_link_libraries(packhorse_shared PRIVATE PkgConfig::SODIUM)
  target_link_libraries(packhorse_static INTERFACE sodium)
  set(ph_sodium_libs " -lsodium")
endif()
set_target_properties(packhorse_static PROPERTIES EXPORT_NAME static)
set_target_properties(packhorse_shared PROPERTIES EXPORT_NAME packhorse)

install(TARGETS packhorse_static packhorse_shared EXPORT packhorse)
foreach(dir ${ph_include_dirs})
  install(DIRECTORY ${dir}/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
endforeach()
configure_file(cmake/packhorse.pc.in ${CMAKE_BINARY_DIR}/packhorse.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/packhorse.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(EXPORT packhorse NAMESPACE packhorse:: FILE packhorse-targets.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/packhorse)
file(WRITE ${CMAKE_BINARY_DIR}/packhorse-config.cmake
  "include(\${CMAKE_CURRENT_LIST_DIR}/packhorse-targets.cmake)\n")
write_basic_package_version_file(${CMAKE_BINARY_DIR}/packhorse-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/packhorse-config.cmake ${CMAKE_BINARY_DIR}/packhorse-config-version.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/packhorse)
