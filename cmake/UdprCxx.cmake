# C++ is used only by the tests and examples of udpr.hpp, so building the libraries needs no C++ compiler. Without one, udpr_cxx
# is OFF.
include(CheckLanguage)

check_language(CXX)
if(CMAKE_CXX_COMPILER)
  enable_language(CXX)
  set(udpr_cxx ON)
else()
  message(STATUS "udpr: no C++ compiler here, so echo.cpp and tests/cpp are not built")
  set(udpr_cxx OFF)
endif()

# Whether the compiler has coroutines, which udpr/coro.hpp needs.
if(udpr_cxx)
  include(CheckCXXSourceCompiles)
  set(CMAKE_REQUIRED_FLAGS -std=c++20)
  check_cxx_source_compiles("#include <coroutine>
    int main() { return std::noop_coroutine() ? 0 : 1; }" udpr_cxx_coroutines)
  unset(CMAKE_REQUIRED_FLAGS)
endif()

# udpr_add_cpp_program(TARGET SOURCE LIBRARY): the same as udpr_add_program, for C++17.
function(udpr_add_cpp_program target source library)
  add_executable(${target} ${source})
  target_link_libraries(${target} PRIVATE ${library})
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror)
  set_target_properties(${target} PROPERTIES CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF)
endfunction()
