# SPDX-License-Identifier: Apache-2.0
add_executable(cpu_stencil_tests stencil_test.cpp virtual_time_test.cpp)
target_link_libraries(cpu_stencil_tests PRIVATE baton_cpu baton_flags GTest::gtest_main)
gtest_discover_tests(cpu_stencil_tests DISCOVERY_MODE PRE_TEST)

# by_engine(ENGINE NAME TARGET [OPTION]...): a test of the processor that runs programs, by another engine than usual.
function(by_engine engine name target)
  if(TARGET ${target})
    add_test(NAME ${engine}.${name} COMMAND ${target} ${ARGN})
    set_tests_properties(${engine}.${name} PROPERTIES ENVIRONMENT BATON_ENGINE=${engine})
  endif()
endfunction()
foreach(engine stencil)
  by_engine(${engine} bare_metal cpu_bare_metal_tests)
  by_engine(${engine} fixed_point cpu_isa_tests --gtest_filter=IsaDifferential.*:IsaSystem.*)
  by_engine(${engine} floating_point cpu_fp_tests --gtest_filter=FloatingPointPeer.*)
  by_engine(${engine} vectors cpu_vmx_tests --gtest_filter=VmxPeer.*:VmxStorage.*)
endforeach()
