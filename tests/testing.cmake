# One function for each kind of test; the kind decides label, time-out and processors.

set(mpi_environment
    OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_btl_vader_single_copy_mechanism=none
    OMPI_MCA_hwloc_base_binding_policy=none)
if(LONGHAUL_SANITIZE)
  set(time_factor 8)
else()
  set(time_factor 1)
endif()
math(EXPR unit_timeout "60 * ${time_factor}")
math(EXPR mpi_timeout "60 * ${time_factor}")

# Test code is compiled once and run for a second: its compile time is what counts.
add_compile_options($<$<CONFIG:RelWithDebInfo,Release>:-O1>)

# longhaul_unit_tests(FOLDER LINK targets… [EXCLUDE regex]): FOLDER/*_test.cpp as one program, cases discovered.
function(longhaul_unit_tests folder)
  cmake_parse_arguments(arg "" "EXCLUDE" "LINK" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*.cpp)
  if(arg_EXCLUDE)
    list(FILTER sources EXCLUDE REGEX ${arg_EXCLUDE})
  endif()
  if(NOT sources)
    return()
  endif()
  add_executable(${folder}_tests ${sources})
  if(NOT kernels_emulated IN_LIST arg_LINK)
    target_link_libraries(${folder}_tests PRIVATE longhaul_shared)
  endif()
  target_link_libraries(${folder}_tests PRIVATE ${arg_LINK} test_support GTest::gtest_main)
  target_compile_definitions(${folder}_tests PRIVATE SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  gtest_discover_tests(${folder}_tests TEST_PREFIX ${folder}_ DISCOVERY_MODE PRE_TEST
                       DISCOVERY_TIMEOUT 60
                       PROPERTIES LABELS unit TIMEOUT ${unit_timeout} ENVIRONMENT "${mpi_environment}")
endfunction()

# longhaul_device_tests(FOLDER LINK targets… [SOURCES …] [EMULATED_SOURCES …]): FOLDER/device/*_test.cpp, once on the
# emulated device (unit tests, with FOLDER/emulated/*_test.cpp; a sanitizer does not follow its fibers) and, where this build has CUDA, once on a real one (label gpu, with
# FOLDER/gpu/*_test.cpp; skipped if the machine has none).
function(longhaul_device_tests folder)
  cmake_parse_arguments(arg "" "" "LINK;SOURCES;EMULATED_SOURCES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/device/*.cpp)
  list(APPEND sources ${arg_SOURCES})
  if(NOT LONGHAUL_SANITIZE)
    set(emulated_sources ${sources})
    list(FILTER emulated_sources EXCLUDE REGEX "/large_([a-z]+_)?test\\.cpp$")  # needs a real device's memory
    file(GLOB emulated_only CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/emulated/*.cpp)
    list(APPEND emulated_sources ${emulated_only} ${arg_EMULATED_SOURCES})
    add_executable(${folder}_emulated_tests ${emulated_sources})
    target_link_libraries(${folder}_emulated_tests PRIVATE $<LINK_LIBRARY:WHOLE_ARCHIVE,kernels_emulated> ${arg_LINK}
                                                           test_support GTest::gtest_main)
    gtest_discover_tests(${folder}_emulated_tests TEST_PREFIX emulated_${folder}_ DISCOVERY_MODE PRE_TEST
                         DISCOVERY_TIMEOUT 60
                         PROPERTIES LABELS unit TIMEOUT ${unit_timeout} ENVIRONMENT "${mpi_environment}")
  endif()
  file(GLOB gpu_only CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/gpu/*.cpp)
  if(NOT longhaul_has_cuda OR NOT "${sources};${gpu_only}" MATCHES "\\.cpp")
    return()
  endif()
  add_executable(${folder}_gpu_tests ${sources} ${gpu_only})
  target_link_libraries(${folder}_gpu_tests PRIVATE longhaul_shared ${arg_LINK} cudnn_peer test_support GTest::gtest_main)
  gtest_discover_tests(${folder}_gpu_tests TEST_PREFIX gpu_${folder}_ DISCOVERY_MODE PRE_TEST
                       DISCOVERY_TIMEOUT 60 PROPERTIES LABELS gpu TIMEOUT 120 RUN_SERIAL ON)
endfunction()

# longhaul_mpi_tests(NAME SOURCES … LINK … RANKS n…): one program, run under mpiexec once per rank count. Its main
# is support/mpi_main.cpp's run_mpi_tests, which makes a failure on any rank a failure of all.
function(longhaul_mpi_tests name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK;RANKS" ${ARGN})
  foreach(source ${arg_SOURCES})
    if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${source})
      return()
    endif()
  endforeach()
  add_executable(${name}_mpi_tests ${arg_SOURCES})
  target_link_libraries(${name}_mpi_tests PRIVATE longhaul_shared ${arg_LINK} test_support)
  foreach(ranks ${arg_RANKS})
    add_test(NAME ${name}_mpi_${ranks}_ranks
             COMMAND ${MPIEXEC_EXECUTABLE} -n ${ranks} $<TARGET_FILE:${name}_mpi_tests> --expect-ranks=${ranks})
    set_tests_properties(${name}_mpi_${ranks}_ranks PROPERTIES LABELS mpi PROCESSORS ${ranks}
                         TIMEOUT ${mpi_timeout} ENVIRONMENT "${mpi_environment}")
  endforeach()
endfunction()

# longhaul_e2e_tests(): every e2e/*.sh gets the program and a scratch folder; exit 0 passes.
function(longhaul_e2e_tests)
  file(GLOB scripts CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/e2e/*_test.sh)
  foreach(script ${scripts})
    get_filename_component(name ${script} NAME_WE)
    add_test(NAME e2e_${name} COMMAND bash ${script} $<TARGET_FILE:longhaul> ${CMAKE_BINARY_DIR}/e2e/${name})
    set_tests_properties(e2e_${name} PROPERTIES LABELS e2e PROCESSORS 2 TIMEOUT 600 SKIP_RETURN_CODE 77
                         ENVIRONMENT "${mpi_environment};SOURCE_DIR=${CMAKE_SOURCE_DIR}")
  endforeach()
endfunction()

# longhaul_interop_tests(): every interop/*_test.py under pytest, in a Python environment that the first test makes.
set(LONGHAUL_INTEROP_ENVIRONMENT ${CMAKE_SOURCE_DIR}/build/interop-environment CACHE PATH
    "Python environment of the interop tests: made if it is not there; 1.7 GB, so build folders share it")
function(longhaul_interop_tests)
  set(interop ${CMAKE_CURRENT_SOURCE_DIR}/interop)
  add_test(NAME interop_environment COMMAND bash ${interop}/environment.sh ${LONGHAUL_INTEROP_ENVIRONMENT})
  set_tests_properties(interop_environment PROPERTIES LABELS interop FIXTURES_SETUP interop
                       SKIP_RETURN_CODE 77 TIMEOUT 1500)
  file(GLOB tests CONFIGURE_DEPENDS ${interop}/*_test.py)
  foreach(test ${tests})
    get_filename_component(name ${test} NAME_WE)
    string(REGEX REPLACE "_test$" "" name ${name})
    add_test(NAME interop_${name} COMMAND bash ${interop}/run.sh ${LONGHAUL_INTEROP_ENVIRONMENT}
                                          $<TARGET_FILE:longhaul> ${test} ${CMAKE_BINARY_DIR}/interop/${name})
    set_tests_properties(interop_${name} PROPERTIES LABELS interop FIXTURES_REQUIRED interop PROCESSORS 2
                         SKIP_RETURN_CODE 77 TIMEOUT 900 ENVIRONMENT "${mpi_environment}")
  endforeach()
endfunction()
