# Finds NCCL and the CUDA runtime by themselves: in the system, in a toolkit, or where NCCL_HOME says.
# LONGHAUL_NCCL: AUTO takes it where it is, ON insists, OFF does without.
set(LONGHAUL_NCCL AUTO CACHE STRING "Build the NCCL communicator: AUTO, ON or OFF")
set(longhaul_has_nccl OFF)
if(LONGHAUL_NCCL)
  find_package(CUDAToolkit QUIET)
  find_path(NCCL_INCLUDE_DIR nccl.h HINTS ENV NCCL_HOME ${CUDAToolkit_INCLUDE_DIRS}
            PATH_SUFFIXES include)
  find_library(NCCL_LIBRARY NAMES nccl libnccl.so.2
               HINTS ENV NCCL_HOME ${CUDAToolkit_LIBRARY_DIR} PATH_SUFFIXES lib lib64)
  if(CUDAToolkit_FOUND AND NCCL_INCLUDE_DIR AND NCCL_LIBRARY)
    set(longhaul_has_nccl ON)
    add_library(longhaul_nccl INTERFACE)
    target_include_directories(longhaul_nccl SYSTEM INTERFACE ${NCCL_INCLUDE_DIR})
    target_link_libraries(longhaul_nccl INTERFACE ${NCCL_LIBRARY} CUDA::cudart)
    message(STATUS "NCCL: ${NCCL_LIBRARY}")
  elseif(NOT LONGHAUL_NCCL STREQUAL "AUTO")
    message(FATAL_ERROR "LONGHAUL_NCCL is ON, but there is no nccl.h, libnccl or CUDA toolkit (set NCCL_HOME)")
  endif()
endif()
if(NOT longhaul_has_nccl)
  message(STATUS "NCCL: building without (its communicator's logic is tested all the same)")
endif()
