# cmake -P: installs BUILD_DIR to a temporary prefix, builds the consumer beside this file against it, and runs it.
# Fails unless it prints VERSION, nothing but our own files was installed, and the daemon starts.

cmake_minimum_required(VERSION 3.22)
set(work "${BUILD_DIR}/tests/install-test")
set(prefix "${work}/prefix")
file(REMOVE_RECURSE "${work}")

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${ARGN}\nended with ${status}:\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

run("${CMAKE_COMMAND}" --install "${BUILD_DIR}" --prefix "${prefix}")
run("${CMAKE_COMMAND}" -S "${SOURCE_DIR}" -B "${work}/build" -G "${GENERATOR}" "-DCMAKE_MAKE_PROGRAM=${MAKE_PROGRAM}"
    "-DCMAKE_CXX_COMPILER=${CXX_COMPILER}" "-DCMAKE_PREFIX_PATH=${prefix}" "-DEXPECTED_VERSION=${VERSION}")
run("${CMAKE_COMMAND}" --build "${work}/build")
run("${work}/build/consumer")
if(NOT output STREQUAL "tensorbroker ${VERSION}\n")
  message(FATAL_ERROR "the consumer printed \"${output}\" and not \"tensorbroker ${VERSION}\"")
endif()
run("${prefix}/bin/tensorbrokerd" --help)

file(GLOB top RELATIVE "${prefix}" "${prefix}/*")
list(REMOVE_ITEM top bin include lib lib64 share)
if(top)
  message(FATAL_ERROR "the installation holds what it should not: ${top}")
endif()
message(STATUS "installed, found, linked and run: tensorbroker ${VERSION}")
