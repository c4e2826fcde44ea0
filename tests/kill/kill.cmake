# SPDX-License-Identifier: MIT
# The short run; `tests/kill/kill_resume.sh build/dsmoe 300` is the long one.
add_test(NAME kill.resume
  COMMAND ${CMAKE_CURRENT_LIST_DIR}/kill_resume.sh $<TARGET_FILE:dsmoe> 8)
set_tests_properties(kill.resume PROPERTIES LABELS kill TIMEOUT 300)
