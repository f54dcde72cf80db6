# One function for a library, one for a set of tests; everything else is plain CMake.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O3 -g1")
set(CMAKE_CXX_FLAGS_RELEASE "-O3")

# longhaul_cxx_options(OPTION…): for the host's compiler, not for nvcc.
add_library(longhaul_options INTERFACE)
function(longhaul_cxx_options)
  target_compile_options(longhaul_options INTERFACE "$<$<COMPILE_LANGUAGE:C,CXX>:${ARGN}>")
endfunction()
target_include_directories(longhaul_options INTERFACE ${CMAKE_SOURCE_DIR})
# No reassociation beyond fused multiply-add: results must not depend on how the compiler feels.
# Designated initialisers leave fields out on purpose.
longhaul_cxx_options(-Wall -Wextra -Wno-missing-field-initializers -fno-math-errno -fno-trapping-math)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # False alarms of GCC 12 on "text" + std::string (its bug 105651).
  longhaul_cxx_options(-Wno-restrict)
endif()
# No archive's symbols are shown to shared libraries (CMakeLists.txt, Protobuf).
target_link_options(longhaul_options INTERFACE LINKER:--exclude-libs,ALL)
target_compile_options(longhaul_options INTERFACE
  "$<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr;-Xcompiler=-Wall>")
if(LONGHAUL_WERROR)
  longhaul_cxx_options(-Werror)
  target_compile_options(longhaul_options INTERFACE
    "$<$<COMPILE_LANGUAGE:CUDA>:-Werror=all-warnings;-Xcompiler=-Werror>")
endif()
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  if(LONGHAUL_NATIVE)
    longhaul_cxx_options(-march=native -mprefer-vector-width=512)
  else()
    longhaul_cxx_options(-march=x86-64-v3)
  endif()
elseif(LONGHAUL_NATIVE)
  longhaul_cxx_options(-mcpu=native)
endif()
if(LONGHAUL_SANITIZE)
  longhaul_cxx_options(-fsanitize=${LONGHAUL_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  # GCC 12 sees uninitialised members in its own <regex> once the sanitizers have changed the code.
  longhaul_cxx_options(-Wno-maybe-uninitialized)
  target_link_options(longhaul_options INTERFACE -fsanitize=${LONGHAUL_SANITIZE})
endif()

if(LONGHAUL_BUNDLE)
  longhaul_cxx_options(-fno-semantic-interposition)
endif()

# longhaul_shared_library(NAME…): longhaul_shared, which programs link ahead of the static libraries NAME…: nothing, or for
# bundles all of their objects as liblonghaul.so, so that the linker has nothing to take from the archives. Not for libraries
# with Protobuf in them: Debian's libprotobuf.a is not made for shared ones, and there may be only one.
function(longhaul_shared_library)
  if(NOT LONGHAUL_BUNDLE)
    add_library(longhaul_shared INTERFACE)
    return()
  endif()
  list(TRANSFORM ARGN REPLACE "(.+)" "$<TARGET_OBJECTS:\\1>" OUTPUT_VARIABLE objects)
  add_library(longhaul_shared SHARED ${objects})
  set_target_properties(${ARGN} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  set_target_properties(longhaul_shared PROPERTIES OUTPUT_NAME longhaul LINKER_LANGUAGE CXX
                        LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
  target_link_libraries(longhaul_shared PRIVATE ${ARGN})
endfunction()

# longhaul_library(NAME [PUBLIC targets…] [PRIVATE targets…]): every .cpp below the current folder
# (sub-folders that hold their own CMakeLists.txt excepted) becomes the static library NAME.
function(longhaul_library name)
  cmake_parse_arguments(arg "" "" "PUBLIC;PRIVATE;EXCLUDE" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  foreach(pattern ${arg_EXCLUDE})
    list(FILTER sources EXCLUDE REGEX ${pattern})
  endforeach()
  add_library(${name} STATIC ${sources})
  target_link_libraries(${name} PUBLIC longhaul_options ${arg_PUBLIC} PRIVATE ${arg_PRIVATE})
endfunction()

# longhaul_protobuf(NAME): generates every .proto below the current folder into the library NAME.
function(longhaul_protobuf name)
  file(GLOB_RECURSE protos CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.proto)
  foreach(proto ${protos})
    file(RELATIVE_PATH relative ${CMAKE_SOURCE_DIR} ${proto})
    string(REGEX REPLACE "\\.proto$" "" stem ${CMAKE_BINARY_DIR}/proto/${relative})
    add_custom_command(
      OUTPUT ${stem}.pb.cc ${stem}.pb.h
      COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/proto
      COMMAND protobuf::protoc -I${CMAKE_SOURCE_DIR} --cpp_out=${CMAKE_BINARY_DIR}/proto ${proto}
      DEPENDS ${proto} VERBATIM)
    set_source_files_properties(${stem}.pb.cc PROPERTIES COMPILE_OPTIONS "-w")
    target_sources(${name} PRIVATE ${stem}.pb.cc ${stem}.pb.h)
  endforeach()
  target_include_directories(${name} PRIVATE ${CMAKE_BINARY_DIR}/proto)
  target_link_libraries(${name} PUBLIC protobuf::libprotobuf)
endfunction()

# longhaul_kinds(NAME FILE FOLDER): FILE, to be included as NAME/FILE in the library NAME, has a line LONGHAUL_KIND(STEM) for
# each FOLDER/STEM.cpp: a file there adds itself.
function(longhaul_kinds name file folder)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*.cpp)
  set(lines "")
  foreach(source ${sources})
    get_filename_component(stem ${source} NAME_WE)
    string(APPEND lines "LONGHAUL_KIND(${stem})\n")
  endforeach()
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/kinds/${name}/${file} CONTENT "${lines}")
  target_include_directories(${name} PRIVATE ${CMAKE_BINARY_DIR}/kinds)
endfunction()
