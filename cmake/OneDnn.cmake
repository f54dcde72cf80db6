# DNNL::dnnl. Debian's own dnnl-config.cmake asks for OpenCL development files that the library does not need here.
find_path(ONEDNN_INCLUDE oneapi/dnnl/dnnl.h REQUIRED)
find_library(ONEDNN_LIBRARY dnnl REQUIRED)
add_library(DNNL::dnnl UNKNOWN IMPORTED)
set_target_properties(DNNL::dnnl PROPERTIES IMPORTED_LOCATION ${ONEDNN_LIBRARY}
                                            INTERFACE_INCLUDE_DIRECTORIES ${ONEDNN_INCLUDE})
