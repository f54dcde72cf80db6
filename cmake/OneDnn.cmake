# longhaul_onednn. LONGHAUL_ONEDNN off leaves oneDNN out (kernels/linear/no_onednn.cpp).
option(LONGHAUL_ONEDNN "Products in fp32 on the CPU by oneDNN; off: by loops here, for small bundles for GPUs" ON)
add_library(longhaul_onednn INTERFACE)
if(LONGHAUL_ONEDNN)
  # Debian's own dnnl-config.cmake asks for OpenCL development files that the library does not need here.
  find_path(ONEDNN_INCLUDE oneapi/dnnl/dnnl.h REQUIRED)
  find_library(ONEDNN_LIBRARY dnnl REQUIRED)
  target_include_directories(longhaul_onednn SYSTEM INTERFACE ${ONEDNN_INCLUDE})
  target_link_libraries(longhaul_onednn INTERFACE ${ONEDNN_LIBRARY})
else()
  message(STATUS "oneDNN: building without (products on the CPU are slower)")
endif()
