# SPDX-License-Identifier: MIT
# The tokenizer against PyPI tokenizers, chat templates against transformers; skipped where the reference
# cannot be installed.
find_package(Python3 COMPONENTS Interpreter QUIET)
if(Python3_FOUND)
  add_test(NAME differential.tokenizer
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/compare_tokenizer.py
      --program $<TARGET_FILE:dsmoe> --cache ${CMAKE_BINARY_DIR}/differential)
  set_tests_properties(differential.tokenizer PROPERTIES
    LABELS differential SKIP_RETURN_CODE 77 TIMEOUT 1200)
  add_test(NAME differential.template
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/compare_template.py
      --test $<TARGET_FILE:test_golden_template> --cache ${CMAKE_BINARY_DIR}/differential)
  set_tests_properties(differential.template PROPERTIES
    LABELS differential SKIP_RETURN_CODE 77 TIMEOUT 1200)
  # One environment of Python for both: they must not make it at the same time.
  set_tests_properties(differential.tokenizer differential.template PROPERTIES
    RESOURCE_LOCK reference)
endif()
