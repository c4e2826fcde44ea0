# SPDX-License-Identifier: MIT
# Every tests/fuzz/fuzz_<name>.c defines LLVMFuzzerTestOneInput. With DSMOE_FUZZ it becomes a libFuzzer
# program (clang; cmake --preset fuzz && cmake --build --preset fuzz); otherwise it is linked with
# replay.c, and the committed corpus tests/fuzz/corpus/<name>/ replays as the CTest fuzz.<name>.
if(DSMOE_FUZZ)
  target_compile_definitions(dsmoe_flags INTERFACE DSM_STREAM_CHUNK=64)
  target_compile_options(dsmoe_flags INTERFACE -fsanitize=fuzzer-no-link
    $<$<NOT:$<BOOL:${DSMOE_FUZZ_COMPARES}>>:-fno-sanitize-coverage=trace-cmp>)
endif()

file(GLOB fuzz_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/fuzz_*.c)
foreach(source ${fuzz_sources})
  get_filename_component(target ${source} NAME_WE)
  string(REPLACE fuzz_ "" name ${target})
  list(APPEND fuzzers ${target})
  add_executable(${target} ${source} ${CMAKE_CURRENT_LIST_DIR}/scratch.c
    ${CMAKE_CURRENT_LIST_DIR}/mutate.c)
  target_link_libraries(${target} PRIVATE libdsmoe)
  set(corpus ${CMAKE_CURRENT_LIST_DIR}/corpus/${name})
  if(DSMOE_FUZZ)
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    add_test(NAME fuzz.${name} COMMAND ${target} -runs=0 ${corpus})
  else()
    target_sources(${target} PRIVATE ${CMAKE_CURRENT_LIST_DIR}/replay.c)
    add_test(NAME fuzz.${name} COMMAND ${target} ${corpus})
  endif()
  set_tests_properties(fuzz.${name} PROPERTIES LABELS fuzz TIMEOUT 600)
endforeach()
add_custom_target(fuzzers DEPENDS ${fuzzers})
