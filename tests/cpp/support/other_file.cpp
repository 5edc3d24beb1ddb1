/* The other file of two_files.cpp. */
#include <udpr/udpr.hpp>

std::error_code error_of_the_other_file();

std::error_code error_of_the_other_file() { return UDPR_E_CLOSED; }
