# SPDX-License-Identifier: Apache-2.0
# Decimal floating point: hand-written rules, exact rational arithmetic (GMP), decTest, Intel's library, and QEMU's
# user mode as a peer.
find_path(GMPXX_INCLUDE gmpxx.h REQUIRED)
find_library(GMP_LIBRARY gmp REQUIRED)
find_library(GMPXX_LIBRARY gmpxx REQUIRED)

add_executable(cpu_dfp_tests dfp_harness.cpp fp_harness.cpp dfp_dectest_test.cpp dfp_exact_test.cpp dfp_intel_test.cpp dfp_rules_test.cpp
  dfp_valgrind_test.cpp)
target_link_libraries(cpu_dfp_tests PRIVATE baton_cpu baton_coverage GTest::gtest_main ${BID_LIBRARY} ${GMPXX_LIBRARY}
  ${GMP_LIBRARY})

find_program(POWERPC64_CC powerpc64-linux-gnu-gcc)
find_program(QEMU_PPC64 qemu-ppc64)
if(POWERPC64_CC AND QEMU_PPC64)
  set(runner ${CMAKE_CURRENT_BINARY_DIR}/dfp_runner)
  add_custom_command(OUTPUT ${runner}
    COMMAND ${POWERPC64_CC} -std=gnu11 -O2 -Wall -Wextra -static -mcpu=power6
      ${CMAKE_CURRENT_SOURCE_DIR}/dfp_runner.c -o ${runner}
    DEPENDS dfp_runner.c COMMENT "Building the PowerPC decimal runner")
  target_sources(cpu_dfp_tests PRIVATE dfp_qemu_test.cpp)
  add_custom_target(cpu_dfp_runner DEPENDS ${runner})
  add_dependencies(cpu_dfp_tests cpu_dfp_runner)
  set_source_files_properties(dfp_qemu_test.cpp PROPERTIES COMPILE_DEFINITIONS
    "BATON_DFP_RUNNER=\"${runner}\";BATON_QEMU_PPC64=\"${QEMU_PPC64}\"")
else()
  message(STATUS "No PowerPC compiler or qemu-ppc64: decimal floating point is not compared with QEMU")
endif()
# Of Valgrind's source only the expected output is read, which no package has.
find_program(BATON_PYTHON python3 REQUIRED)
set(valgrind DecimalVectors.AgreesWithRealProcessors)
gtest_discover_tests(cpu_dfp_tests DISCOVERY_MODE PRE_TEST TEST_FILTER "-${valgrind}")
add_test(NAME ${valgrind} COMMAND ${BATON_PYTHON} -B ${CMAKE_CURRENT_SOURCE_DIR}/with_source.py valgrind BATON_VALGRIND
  $<TARGET_FILE:cpu_dfp_tests> --gtest_filter=${valgrind})
set_tests_properties(${valgrind} PROPERTIES TIMEOUT 900 ENVIRONMENT BATON_PROGRAMS=${CMAKE_SOURCE_DIR}/build/programs)
