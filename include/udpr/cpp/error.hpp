/* Errors: statuses as std::error_code, and the last parameter that takes them. Included by <udpr/udpr.hpp>. */
#ifndef UDPR_CPP_ERROR_HPP
#define UDPR_CPP_ERROR_HPP

#include <cstdlib>
#include <string>
#include <system_error>
#include <type_traits>

#include <udpr/udpr.h>

namespace udpr {

namespace detail {

class status_category final : public std::error_category {
public:
  const char *name() const noexcept override { return "udpr"; }
  std::string message(int status) const override { return udpr_status_message(status); }

  std::error_condition default_error_condition(int status) const noexcept override {
    const int number = udpr_status_errno(status);
    return number != 0 ? std::error_condition(number, std::generic_category())
                       : std::error_condition(status, *this);
  }
};

}  // namespace detail

/** The category of error codes whose value is a udpr_status. A status that stands for an errno equals its std::errc. */
inline const std::error_category &category() noexcept {
  static const detail::status_category one;
  return one;
}

/** A status as an error code; UDPR_OK is no error. */
inline std::error_code make_error_code(udpr_status status) noexcept { return {status, category()}; }

/**
 * An error code as a status: the value of a code of udpr's category; UDPR_E_SYSTEM - errno for one of the system's and of
 * the generic category; UDPR_OK for no error; UDPR_E_CANCELLED for every other.
 */
inline udpr_status to_status(const std::error_code &error) noexcept {
  if (!error) return UDPR_OK;
  if (error.category() == category()) return error.value();
  const bool is_errno =
      error.category() == std::system_category() || error.category() == std::generic_category();
  return is_errno ? UDPR_E_SYSTEM - error.value() : static_cast<udpr_status>(UDPR_E_CANCELLED);
}

/**
 * The errno that comes nearest to a status, of which udpr_status_nearest_errno has the table; EIO for what is unknown; 0 for no
 * error.
 */
inline int nearest_errno(const std::error_code &error) noexcept {
  return udpr_status_nearest_errno(to_status(error));
}

/**
 * The last parameter of every function that can fail. If it is left out, a failure is thrown as std::system_error. If a
 * std::error_code is given, a failure is stored in it, and it is cleared on success; what is returned is empty then.
 *
 *     reactor.run();       // throws
 *     reactor.run(error);  // does not
 *
 * An exception of a callback is not a failure of the call that ran it, and comes out of both forms. Without exceptions
 * (-fno-exceptions) a failure for which no std::error_code is given calls std::abort.
 */
class error_to {
public:
  /** A failure is thrown. */
  error_to() noexcept = default;
  /** A failure is stored in `out`. */
  error_to(std::error_code &out) noexcept : out_(&out) {}

  /** Reports a status of the function `what`. A status above 0 is not a failure. */
  void operator()(udpr_status status, const char *what) const {
    if (out_) *out_ = make_error_code(status < 0 ? status : static_cast<udpr_status>(UDPR_OK));
    else if (status < 0) fail(status, what);
  }

  /** Whether a failure is thrown. */
  bool throws() const noexcept { return !out_; }

private:
  [[noreturn]] static void fail(udpr_status status, const char *what) {
#ifdef __cpp_exceptions
    throw std::system_error(make_error_code(status), what);
#else
    static_cast<void>(status), static_cast<void>(what);
    std::abort();
#endif
  }

  std::error_code *out_ = nullptr;
};

}  // namespace udpr

/** For `error == UDPR_E_CLOSED`. */
inline std::error_code make_error_code(udpr_status_code code) noexcept {
  return udpr::make_error_code(static_cast<udpr_status>(code));
}

template <> struct std::is_error_code_enum<udpr_status_code> : std::true_type {};

#endif
