# SPDX-License-Identifier: Apache-2.0
# VMX: rules worked out by hand, models with unlimited integers and MPFR, and QEMU's user mode as a peer.
find_library(MPFR_LIBRARY mpfr REQUIRED)
find_library(GMP_LIBRARY gmp REQUIRED)
add_executable(cpu_vmx_tests vmx_harness.cpp vmx_model_test.cpp vmx_qemu_test.cpp vmx_rules_test.cpp)
target_link_libraries(cpu_vmx_tests PRIVATE baton_cpu baton_coverage GTest::gtest_main ${MPFR_LIBRARY} ${GMP_LIBRARY})

find_program(QEMU_PPC64 qemu-ppc64)
find_program(QEMU_PPC64LE qemu-ppc64le)
if(POWERPC64_GCC AND QEMU_PPC64 AND QEMU_PPC64LE)
  set(runner ${CMAKE_CURRENT_BINARY_DIR}/vmx_runner)
  powerpc_runner(${runner} vmx_runner.c 64 -mcpu=power6)
  powerpc_runner(${runner}_le vmx_runner.c 64le -mcpu=power6)
  add_custom_target(cpu_vmx_runner DEPENDS ${runner} ${runner}_le)
  add_dependencies(cpu_vmx_tests cpu_vmx_runner)
  target_compile_definitions(cpu_vmx_tests PRIVATE BATON_VMX_RUNNER="${runner}" BATON_VMX_RUNNER_LE="${runner}_le"
    BATON_QEMU_PPC64="${QEMU_PPC64}" BATON_QEMU_PPC64LE="${QEMU_PPC64LE}")
else()
  message(STATUS "No PowerPC compiler or qemu-ppc64: VMX is not compared with QEMU")
endif()
# For a partition, not run here.
if(POWERPC64_GCC)
  set(vmx_guest ${CMAKE_CURRENT_BINARY_DIR}/vmx_guest)
  add_custom_command(OUTPUT ${vmx_guest}
    COMMAND ${POWERPC64_GCC} -std=gnu11 -O2 -Wall -Wextra -static -mcpu=power6 -maltivec
      ${CMAKE_CURRENT_SOURCE_DIR}/vmx_guest.c -o ${vmx_guest} -lm
    DEPENDS vmx_guest.c COMMENT "Building the VMX program for partitions")
  add_custom_target(cpu_vmx_guest DEPENDS ${vmx_guest})
endif()
gtest_discover_tests(cpu_vmx_tests DISCOVERY_MODE PRE_TEST)
