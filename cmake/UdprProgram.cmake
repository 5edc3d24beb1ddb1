# udpr_add_program(TARGET SOURCE LIBRARY): a C program of this project, with stricter warnings than consumers' programs.
function(udpr_add_program target source library)
  add_executable(${target} ${source})
  target_link_libraries(${target} PRIVATE ${library})
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Werror)
  set_target_properties(${target} PROPERTIES C_STANDARD 11 C_STANDARD_REQUIRED ON C_EXTENSIONS OFF)
endfunction()
