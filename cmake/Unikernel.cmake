# SPDX-License-Identifier: MIT
#
# PH_UNIKERNEL=image: everything is compiled against musl, built from source in the build folder, and
# linked into images without an operating system. PH_UNIKERNEL=process: the same code as a process of
# Linux on the system's C library, for sanitizers. Either way libssh, mbedTLS, zlib and lwIP are
# compiled from PH_SOURCES_DIR too.
set(PH_SOURCES_DIR ${CMAKE_SOURCE_DIR}/build-third-party CACHE PATH
  "where unikernel/third-party/fetch.py unpacked the sources")
if(NOT PH_UNIKERNEL MATCHES "^(image|process)$")
  message(FATAL_ERROR "PH_UNIKERNEL is image, process or empty, not ${PH_UNIKERNEL}")
endif()
foreach(package musl mbedtls zlib libssh lwip)
  if(NOT EXISTS ${PH_SOURCES_DIR}/${package})
    message(FATAL_ERROR "${PH_SOURCES_DIR} has no ${package}: run unikernel/third-party/fetch.py on it, "
      "or script/unikernel, which does")
  endif()
endforeach()
set(PH_DAEMON OFF)
add_compile_options(-ffunction-sections -fdata-sections)
add_link_options(LINKER:--gc-sections)

if(PH_UNIKERNEL STREQUAL "image")
  set(PH_TESTS OFF)
  set(CMAKE_POSITION_INDEPENDENT_CODE OFF)
  # Paths must not reach the image: builds in different folders give the same bytes.
  add_compile_options(-fno-pie -fcf-protection=none -fno-asynchronous-unwind-tables
    -ffile-prefix-map=${CMAKE_SOURCE_DIR}=. -ffile-prefix-map=${CMAKE_BINARY_DIR}=build
    -ffile-prefix-map=${PH_SOURCES_DIR}=third-party)

  set(musl ${CMAKE_BINARY_DIR}/musl)
  set(musl_build ${CMAKE_SOURCE_DIR}/unikernel/third-party/musl/build.sh)
  set(musl_arguments ${PH_SOURCES_DIR}/musl ${musl} ${CMAKE_C_COMPILER})
  add_custom_command(OUTPUT ${musl}/config.mak COMMAND sh ${musl_build} headers ${musl_arguments}
    DEPENDS ${musl_build} ${PH_SOURCES_DIR}/musl/VERSION VERBATIM COMMENT "musl: headers")
  set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/relink)
  add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/relink/libc.a
    COMMAND sh ${musl_build} library ${musl_arguments}
    COMMAND ${CMAKE_COMMAND} -E copy ${musl}/lib/libc.a ${CMAKE_BINARY_DIR}/relink/libc.a
    DEPENDS ${musl}/config.mak ${CMAKE_SOURCE_DIR}/unikernel/third-party/musl/syscall_arch.h
      ${CMAKE_SOURCE_DIR}/unikernel/third-party/musl/crash.h
    VERBATIM COMMENT "musl: libc.a")
  add_custom_target(ph_libc_headers DEPENDS ${musl}/config.mak)
  add_custom_target(ph_libc_library DEPENDS ${CMAKE_BINARY_DIR}/relink/libc.a)
  add_library(ph_libc INTERFACE)
  add_dependencies(ph_libc ph_libc_headers)
  execute_process(COMMAND ${CMAKE_C_COMPILER} -print-file-name=include OUTPUT_VARIABLE compiler_include
    OUTPUT_STRIP_TRAILING_WHITESPACE)
  target_compile_options(ph_libc INTERFACE -nostdinc
    "SHELL:-idirafter ${musl}/install/include" "SHELL:-idirafter ${compiler_include}")
  execute_process(COMMAND ${CMAKE_C_COMPILER} -print-libgcc-file-name OUTPUT_VARIABLE libgcc
    OUTPUT_STRIP_TRAILING_WHITESPACE)
  link_libraries(ph_libc)
  # Linux's own headers, for the platform that is a process: without those of the system's C library.
  file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/linux-headers)
  foreach(headers linux asm asm-generic)
    find_path(dir_${headers} ${headers}/types.h REQUIRED NO_CACHE)
    file(CREATE_LINK ${dir_${headers}}/${headers} ${CMAKE_BINARY_DIR}/linux-headers/${headers} SYMBOLIC)
  endforeach()
  add_library(ph_linux_headers INTERFACE)
  target_compile_options(ph_linux_headers INTERFACE "SHELL:-idirafter ${CMAKE_BINARY_DIR}/linux-headers")
endif()
