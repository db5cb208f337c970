# SPDX-License-Identifier: Apache-2.0
# Floating point: hand-written rules, exact rational arithmetic (GMP), correctly rounded arithmetic (MPFR), QEMU's user
# mode as a peer, and TestFloat's vectors.
find_path(GMPXX_INCLUDE gmpxx.h REQUIRED)
find_library(GMP_LIBRARY gmp REQUIRED)
find_library(GMPXX_LIBRARY gmpxx REQUIRED)
find_path(MPFR_INCLUDE mpfr.h REQUIRED)
find_library(MPFR_LIBRARY mpfr REQUIRED)

add_executable(cpu_fp_tests fp_harness.cpp fp_mpfr_test.cpp fp_oracle.cpp fp_semantics_test.cpp
  fp_status_test.cpp)
target_link_libraries(cpu_fp_tests PRIVATE baton_cpu baton_coverage GTest::gtest_main ${MPFR_LIBRARY} ${GMPXX_LIBRARY}
  ${GMP_LIBRARY})

find_program(QEMU_PPC64 qemu-ppc64)
find_program(QEMU_PPC64LE qemu-ppc64le)
if(POWERPC64_GCC AND QEMU_PPC64 AND QEMU_PPC64LE)
  set(runner ${CMAKE_CURRENT_BINARY_DIR}/fp_runner)
  powerpc_runner(${runner} fp_runner.c 64 -mcpu=power6)
  powerpc_runner(${runner}_le fp_runner.c 64le -mcpu=power6)
  target_sources(cpu_fp_tests PRIVATE fp_qemu_test.cpp)
  add_custom_target(cpu_fp_runner DEPENDS ${runner} ${runner}_le)
  add_dependencies(cpu_fp_tests cpu_fp_runner)
  target_compile_definitions(cpu_fp_tests PRIVATE BATON_FP_RUNNER="${runner}" BATON_FP_RUNNER_LE="${runner}_le"
    BATON_QEMU_PPC64="${QEMU_PPC64}" BATON_QEMU_PPC64LE="${QEMU_PPC64LE}")
else()
  message(STATUS "No PowerPC compiler or qemu-ppc64: floating point is not compared with QEMU")
endif()
gtest_discover_tests(cpu_fp_tests DISCOVERY_MODE PRE_TEST)

# TestFloat's generator is built when the test runs; under sanitizers it would say nothing more.
if(NOT BATON_SANITIZE)
  add_executable(cpu_testfloat fp_harness.cpp fp_testfloat_test.cpp)
  target_link_libraries(cpu_testfloat PRIVATE baton_cpu baton_coverage GTest::gtest_main)
  target_compile_definitions(cpu_testfloat PRIVATE
    BATON_TESTFLOAT_SCRIPT="${CMAKE_CURRENT_SOURCE_DIR}/testfloat.py")
  # One process each, for they share the generator and little time is spent.
  add_test(NAME TestFloat.Level1Sample COMMAND cpu_testfloat)
  add_test(NAME TestFloat.Level2 COMMAND cpu_testfloat)
  set_tests_properties(TestFloat.Level2 PROPERTIES LABELS long TIMEOUT 7200 ENVIRONMENT BATON_TESTFLOAT_FULL=2)
endif()
