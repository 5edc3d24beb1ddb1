/* udpr.hpp in two files of one program, and an error that goes from one to the other. */
#include "check.hpp"

std::error_code error_of_the_other_file();

TEST(both_files_mean_the_same) {
  CHECK(error_of_the_other_file() == UDPR_E_CLOSED &&
        error_of_the_other_file().category() == udpr::category());
}

int main() { return check::run(); }
