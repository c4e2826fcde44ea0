# SPDX-License-Identifier: MIT
# Every public header compiles alone, as C11 and as C++; a program that sees only include/dsmoe links
# against the library; the layering table holds.
find_package(Python3 COMPONENTS Interpreter REQUIRED)
find_program(CXX_COMPILER NAMES g++ clang++ REQUIRED)

file(GLOB headers CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR}/include/dsmoe/*.h)
foreach(header ${headers})
  get_filename_component(name ${header} NAME_WE)
  set(unit ${CMAKE_CURRENT_BINARY_DIR}/api_${name})
  file(WRITE ${unit}.c "#include \"${header}\"\n#include \"${header}\"\n")
  file(WRITE ${unit}.cc "#include \"${header}\"\n#include \"${header}\"\n")
  add_test(NAME api.c.${name} COMMAND ${CMAKE_C_COMPILER} -std=c11 -Wall -Wextra -Wpedantic -Werror
    -I${CMAKE_SOURCE_DIR}/include -fsyntax-only ${unit}.c)
  add_test(NAME api.cxx.${name} COMMAND ${CXX_COMPILER} -std=c++11 -Wall -Wextra -Werror
    -I${CMAKE_SOURCE_DIR}/include -fsyntax-only ${unit}.cc)
  set_tests_properties(api.c.${name} api.cxx.${name} PROPERTIES LABELS api)
endforeach()

add_test(NAME api.layers COMMAND Python3::Interpreter ${CMAKE_SOURCE_DIR}/tools/check_layers.py ${CMAKE_SOURCE_DIR})
set_tests_properties(api.layers PROPERTIES LABELS api)
