# SPDX-License-Identifier: MIT
# Every cases/<name>.t is a transcript that run.py compares, as the CTest cli.<name>; every test_<name>.py
# is a program of its own, which finds dsmoe in $DSMOE_PROGRAM.
find_package(Python3 COMPONENTS Interpreter REQUIRED)

file(GLOB cli_cases CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/cases/*.t)
foreach(case ${cli_cases})
  get_filename_component(name ${case} NAME_WE)
  add_test(NAME cli.${name}
    COMMAND Python3::Interpreter ${CMAKE_CURRENT_LIST_DIR}/run.py $<TARGET_FILE:dsmoe> ${case})
  set_tests_properties(cli.${name} PROPERTIES LABELS cli TIMEOUT 300)
endforeach()

file(GLOB cli_programs CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/test_*.py)
foreach(program ${cli_programs})
  get_filename_component(name ${program} NAME_WE)
  add_test(NAME cli.${name} COMMAND Python3::Interpreter ${program})
  set_tests_properties(cli.${name} PROPERTIES LABELS cli SKIP_RETURN_CODE 77 TIMEOUT 300
    ENVIRONMENT "DSMOE_PROGRAM=$<TARGET_FILE:dsmoe>")
endforeach()
