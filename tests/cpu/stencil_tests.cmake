# SPDX-License-Identifier: Apache-2.0
add_executable(cpu_stencil_tests stencil_test.cpp virtual_time_test.cpp)
target_link_libraries(cpu_stencil_tests PRIVATE baton_cpu baton_flags GTest::gtest_main)
gtest_discover_tests(cpu_stencil_tests DISCOVERY_MODE PRE_TEST)
