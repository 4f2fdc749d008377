# SPDX-License-Identifier: MIT
add_library(ph_warnings INTERFACE)
target_compile_options(ph_warnings INTERFACE $<$<COMPILE_LANGUAGE:C>:-Wall -Wextra -Wpedantic
  -Wconversion -Wsign-conversion -Wshadow -Wundef -Wstrict-prototypes -Wmissing-prototypes
  -Wold-style-definition -Wvla -Wpointer-arith -Wwrite-strings -Wcast-qual -Wformat=2
  -Wswitch-enum -Wimplicit-fallthrough -Wnull-dereference -Wdouble-promotion>)
if(PH_WERROR)
  target_compile_options(ph_warnings INTERFACE $<$<COMPILE_LANGUAGE:C>:-Werror>)
endif()
