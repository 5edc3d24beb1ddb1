/* udpr.hpp in two files of one program, and an error code that is passed from one to the other. */
#include "check.hpp"

std::error_code error_of_the_other_file();

TEST(both_files_use_the_same_error_category) {
  CHECK(error_of_the_other_file() == UDPR_E_CLOSED &&
        error_of_the_other_file().category() == udpr::category());
}

int main() { return check::run(); }
