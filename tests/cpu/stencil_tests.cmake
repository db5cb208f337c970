# SPDX-License-Identifier: Apache-2.0
add_executable(cpu_stencil_tests stencil_test.cpp virtual_time_test.cpp)
target_link_libraries(cpu_stencil_tests PRIVATE baton_cpu baton_flags GTest::gtest_main)
gtest_discover_tests(cpu_stencil_tests DISCOVERY_MODE PRE_TEST)

# by_engine(ENGINE NAME TARGET [OPTION]...): a test of the processor that runs programs, by another engine than usual.
function(by_engine engine name target)
  if(TARGET ${target})
    add_test(NAME ${engine}.${name} COMMAND ${target} ${ARGN})
    # Regions are compiled at once, so that every run is the same.
    set_tests_properties(${engine}.${name} PROPERTIES ENVIRONMENT "BATON_ENGINE=${engine};BATON_COMPILE_THREADS=0")
  endif()
endfunction()
by_engine(stencil bare_metal cpu_bare_metal_tests)
# What a sanitizer sees of the others is the same as by the interpreter: compiled guest code has no checks in it.
if(NOT BATON_SANITIZE)
  by_engine(stencil fixed_point cpu_isa_tests --gtest_filter=IsaDifferential.*:IsaSystem.*)
  by_engine(stencil floating_point cpu_fp_tests --gtest_filter=FloatingPointPeer.*)
  by_engine(stencil vectors cpu_vmx_tests --gtest_filter=VmxPeer.*:VmxStorage.*)
  # Without as many pages of code as LLVM would take minutes for. What is done once, as in the others, is never hot.
  by_engine(llvm bare_metal cpu_bare_metal_tests --gtest_filter=-Code.MoreCodeThanTheDecoderKeeps)
endif()
