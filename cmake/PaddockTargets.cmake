# The ways to make a target in this tree. Every target gets the same warnings and sanitizers, and
# sees only the folders that it links: each folder is reached through an include directory of its
# own that holds one link (build/layers/sandbox/sandbox -> sandbox/), so that a header of a layer
# that was not linked is not found.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

# Line tables are what a backtrace needs; more would double the time to build and link.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1 -DNDEBUG")
if(PADDOCK_SANITIZE)
  set(CMAKE_CXX_FLAGS_DEBUG "-g1")
endif()

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE})
endif()

add_library(paddock_options INTERFACE)
target_compile_options(paddock_options INTERFACE
  -Wall -Wextra -Wpedantic -Werror -Wshadow -Wconversion -Wsign-conversion -Wnon-virtual-dtor
  -Wold-style-cast -Wimplicit-fallthrough -Wformat=2 -Wno-missing-field-initializers
  -fstack-protector-strong -fno-omit-frame-pointer)
# GCC 12 sees uninitialised members in every std::optional and std::variant that it inlines; the sanitizer builds and
# clang-tidy look for the real ones.
target_compile_options(paddock_options INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
target_link_options(paddock_options INTERFACE -Wl,-z,relro,-z,now -Wl,--as-needed)
if(PADDOCK_SANITIZE)
  target_compile_options(paddock_options INTERFACE
    -fsanitize=${PADDOCK_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(paddock_options INTERFACE -fsanitize=${PADDOCK_SANITIZE})
  target_compile_definitions(paddock_options INTERFACE PADDOCK_SANITIZED=1)
else()
  target_compile_definitions(paddock_options INTERFACE
    $<$<NOT:$<CONFIG:Debug>>:_FORTIFY_SOURCE=2>)
endif()

# What most files include of the standard library, parsed once: a third off the time to compile. In the sanitizer builds
# only, so that the release build shows that every file includes what it uses.
if(PADDOCK_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set(PADDOCK_PRECOMPILE ON)
  # One for libraries and programs alike: GCC does not take what was made with -fPIC for what is compiled with -fPIE.
  set(CMAKE_CXX_COMPILE_OPTIONS_PIE -fPIC)
  add_library(paddock_precompiled STATIC ${CMAKE_CURRENT_LIST_DIR}/precompiled.cc)
  # ccache reads what is preprocessed, which must name the precompiled header then.
  target_compile_options(paddock_options INTERFACE -fpch-preprocess)
  target_link_libraries(paddock_precompiled PRIVATE paddock_options)
  target_precompile_headers(paddock_precompiled PRIVATE
    <algorithm> <array> <charconv> <chrono> <cstdint> <cstring> <filesystem> <functional> <map> <memory> <optional>
    <set> <span> <sstream> <string> <string_view> <unordered_map> <utility> <vector>)
endif()
function(paddock_precompile target)
  if(PADDOCK_PRECOMPILE)
    target_precompile_headers(${target} REUSE_FROM paddock_precompiled)
  endif()
endfunction()

# paddock_library(NAME SOURCES ... [LINK ...] [PRIVATE_LINK ...])
# A library target paddock::NAME for the folder NAME (or protocols/NAME). LINK: layers below.
# SYSTEM libraries go to PRIVATE_LINK, so that one folder only sees each of them.
function(paddock_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK;PRIVATE_LINK" ${ARGN})
  set(layer ${CMAKE_BINARY_DIR}/layers/${name})
  file(RELATIVE_PATH folder ${CMAKE_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR})
  cmake_path(GET folder PARENT_PATH parent)
  file(MAKE_DIRECTORY ${layer}/${parent})
  if(NOT EXISTS ${layer}/${folder})
    file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR} ${layer}/${folder} SYMBOLIC)
  endif()
  add_library(paddock_${name} STATIC ${ARG_SOURCES})
  add_library(paddock::${name} ALIAS paddock_${name})
  target_include_directories(paddock_${name} PUBLIC ${layer})
  target_link_libraries(paddock_${name} PUBLIC ${ARG_LINK} PRIVATE paddock_options ${ARG_PRIVATE_LINK})
  paddock_precompile(paddock_${name})
endfunction()

# paddock_program(NAME SOURCES ... LINK ...): an executable in bin/.
function(paddock_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE paddock_options ${ARG_LINK})
  paddock_precompile(${name})
endfunction()

# A main() for Catch2 that all unit tests share: compiling it takes longer than most tests.
add_library(paddock_test_main STATIC ${CMAKE_CURRENT_LIST_DIR}/test_main.cc)
find_package(Catch2 2.13 REQUIRED)
target_link_libraries(paddock_test_main PUBLIC Catch2::Catch2)

# paddock_test(NAME SOURCES ... LINK ... [LABELS ...] [LOCK ...]): Catch2 tests, a ctest entry each case. LOCK: what of
# the machine they change and look at as a whole; those that share one do not run at the same time.
function(paddock_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK;LABELS;LOCK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE paddock_options paddock_test_main ${ARG_LINK})
  paddock_precompile(${name})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  set(properties TIMEOUT 120)
  # An empty value would take the next name for its own.
  if(ARG_LABELS)
    list(APPEND properties LABELS "${ARG_LABELS}")
  endif()
  if(ARG_LOCK)
    list(APPEND properties RESOURCE_LOCK "${ARG_LOCK}")
  endif()
  catch_discover_tests(${name} TEST_PREFIX "${name}: " PROPERTIES ${properties})
endfunction()

# paddock_fuzzer(NAME SOURCES ... LINK ... CORPUS DIR): with PADDOCK_FUZZ a libFuzzer program;
# always a test that replays every file of CORPUS through the same entry point.
function(paddock_fuzzer name)
  cmake_parse_arguments(ARG "" "CORPUS" "SOURCES;LINK" ${ARGN})
  if(PADDOCK_FUZZ)
    add_executable(${name} ${ARG_SOURCES})
    target_link_libraries(${name} PRIVATE paddock_options ${ARG_LINK} -fsanitize=fuzzer)
    target_compile_options(${name} PRIVATE -fsanitize=fuzzer)
  else()
    add_executable(${name} ${ARG_SOURCES} ${CMAKE_SOURCE_DIR}/cmake/fuzz_replay_main.cc)
    target_link_libraries(${name} PRIVATE paddock_options ${ARG_LINK})
    add_test(NAME "${name}: corpus" COMMAND ${name} ${ARG_CORPUS})
  endif()
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
endfunction()
