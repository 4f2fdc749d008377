# SPDX-License-Identifier: MIT
#
# ph_module(NAME SOURCES ... [LINK ...] [PRIVATE_LINK ...]): one folder is one static library; what it
# does not link it cannot include. Its public headers are in include/.
function(ph_module name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK;PRIVATE_LINK" ${ARGN})
  add_library(${name} STATIC ${arg_SOURCES})
  if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/include)
    target_include_directories(${name} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/include)
  endif()
  target_link_libraries(${name} PUBLIC ${arg_LINK} PRIVATE ph_warnings ${arg_PRIVATE_LINK})
endfunction()

# ph_test(NAME TIER quick|ci|full SECONDS n SOURCES ... LINK ...): a cmocka program and its test.
# SECONDS is what it is expected to take; ten times that is its time limit (at least 60 s).
function(ph_test name)
  cmake_parse_arguments(arg "" "TIER;SECONDS" "SOURCES;LINK" ${ARGN})
  if(NOT PH_TESTS)
    return()
  endif()
  add_executable(test_${name} ${arg_SOURCES})
  target_link_libraries(test_${name} PRIVATE ${arg_LINK} ph_test_support ph_warnings)
  set_target_properties(test_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND test_${name})
  ph_test_tier(${name} ${arg_TIER} ${arg_SECONDS})
endfunction()

function(ph_test_tier name tier seconds)
  math(EXPR limit "${seconds} * 10")
  if(limit LESS 60)
    set(limit 60)
  endif()
  if(NOT PH_SANITIZE STREQUAL "")
    math(EXPR limit "${limit} * 3")
  endif()
  set_tests_properties(${name} PROPERTIES LABELS ${tier} COST ${seconds} TIMEOUT ${limit}
    ENVIRONMENT "UBSAN_OPTIONS=print_stacktrace=1")
endfunction()
