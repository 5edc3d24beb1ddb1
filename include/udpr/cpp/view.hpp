/* Views: what is borrowed for a call, in the manner of std::span. Included by <udpr/udpr.hpp>. */
#ifndef UDPR_CPP_VIEW_HPP
#define UDPR_CPP_VIEW_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <iterator>
#include <string>
#include <string_view>
#include <type_traits>

#include <udpr/udpr.h>

namespace udpr {

namespace detail {

/* A class that holds one C value and nothing else has the layout of that value, also in arrays. */
template <class Wrapper, class Raw>
constexpr bool wraps = std::is_standard_layout_v<Wrapper> && sizeof(Wrapper) == sizeof(Raw) &&
                       alignof(Wrapper) == alignof(Raw);

template <class Wrapper, class Raw> const Wrapper *wrapped(const Raw *raw) noexcept {
  static_assert(wraps<Wrapper, Raw>);
  return reinterpret_cast<const Wrapper *>(raw);
}

template <class Raw, class Wrapper> const Raw *unwrapped(const Wrapper *wrapper) noexcept {
  static_assert(wraps<Wrapper, Raw>);
  return reinterpret_cast<const Raw *>(wrapper);
}

template <class C> using pointer_of = decltype(std::data(std::declval<const C &>()));
template <class C> using element_of = std::remove_cv_t<std::remove_pointer_t<pointer_of<C>>>;

template <class C, class T, class = void> constexpr bool holds = false;
template <class C, class T>
constexpr bool holds<C, T, std::void_t<element_of<C>, decltype(std::size(std::declval<const C &>()))>> =
    std::is_same_v<element_of<C>, T>;

template <class T>
constexpr bool is_byte = sizeof(T) == 1 && (std::is_integral_v<T> || std::is_same_v<T, std::byte>);

/* Constant char arrays are texts, usually string literals: for them the constructor that ends at the NUL is chosen. */
template <class C, class = void> constexpr bool holds_bytes = false;
template <class C>
constexpr bool holds_bytes<C, std::void_t<element_of<C>, decltype(std::size(std::declval<const C &>()))>> =
    is_byte<element_of<C>> && !(std::is_array_v<C> && std::is_same_v<element_of<C>, char>);

}  // namespace detail

/**
 * Constant elements in contiguous memory, borrowed. It is made from anything with data() and size(): std::vector,
 * std::array, std::span, an initializer list; and std::span can be made from it.
 */
template <class T> class view {
public:
  /** As of standard containers. */
  using value_type = T;
  /** As of standard containers. */
  using iterator = const T *;

  /** No elements. */
  constexpr view() noexcept = default;
  /** `size` elements at `data`. */
  constexpr view(const T *data, std::size_t size) noexcept : data_(data), size_(size) {}
  /** The elements of a container, valid as long as they are in it. */
  template <class C, std::enable_if_t<detail::holds<C, T> && !std::is_same_v<C, view>, int> = 0>
  constexpr view(const C &container) noexcept : data_(std::data(container)), size_(std::size(container)) {}
  /** The elements of a list, until the end of the call. */
  constexpr view(const std::initializer_list<T> &list) noexcept
      : data_(std::data(list)), size_(list.size()) {}

  /** The first element; may be null if there is none. */
  constexpr const T *data() const noexcept { return data_; }
  /** How many elements there are. */
  constexpr std::size_t size() const noexcept { return size_; }
  /** Whether there is no element. */
  constexpr bool empty() const noexcept { return size_ == 0; }
  /** One element; `index` must be below size(). */
  constexpr const T &operator[](std::size_t index) const noexcept { return data_[index]; }
  /** The first element. */
  constexpr const T *begin() const noexcept { return data_; }
  /** Behind the last element. */
  constexpr const T *end() const noexcept { return data_ + size_; }
  /** All but the first `count` elements; `count` must be size() at most. */
  constexpr view from(std::size_t count) const noexcept { return {data_ + count, size_ - count}; }

private:
  const T    *data_ = nullptr;
  std::size_t size_ = 0;
};

/**
 * Bytes, borrowed: what is sent or was received. They are made from std::string, std::string_view,
 * std::vector<std::uint8_t>, std::array<std::byte, N>, std::span and the like, and from a text. The layout is that of
 * udpr_bytes.
 */
class bytes {
public:
  /** As of standard containers. */
  using value_type = std::uint8_t;
  /** As of standard containers. */
  using iterator = const std::uint8_t *;

  /** No bytes. */
  constexpr bytes() noexcept = default;
  /** `size` bytes at `data`, which may be null if `size` is 0. */
  constexpr bytes(const void *data, std::size_t size) noexcept : raw_{data, size} {}
  /** The characters of a text up to its NUL. */
  bytes(const char *text) noexcept : raw_{text, std::strlen(text)} {}
  /** A buffer of char is not a text: give its size, bytes(buffer, size), or a std::string_view. */
  template <std::size_t Size> bytes(char (&buffer)[Size]) = delete;
  /** The elements of a container of bytes, valid as long as they are in it. */
  template <class C, std::enable_if_t<detail::holds_bytes<C> && !std::is_same_v<C, bytes>, int> = 0>
  constexpr bytes(const C &container) noexcept : raw_{std::data(container), std::size(container)} {}

  /** The first byte; may be null if there is none. */
  const std::uint8_t *data() const noexcept { return static_cast<const std::uint8_t *>(raw_.data); }
  /** How many bytes there are. */
  constexpr std::size_t size() const noexcept { return raw_.len; }
  /** Whether there is no byte. */
  constexpr bool empty() const noexcept { return raw_.len == 0; }
  /** One byte; `index` must be below size(). */
  std::uint8_t operator[](std::size_t index) const noexcept { return data()[index]; }
  /** The first byte. */
  const std::uint8_t *begin() const noexcept { return data(); }
  /** Behind the last byte. */
  const std::uint8_t *end() const noexcept { return data() + size(); }
  /** The same as text, borrowed, too. */
  std::string_view text() const noexcept { return {static_cast<const char *>(raw_.data), raw_.len}; }
  /** The first `count` bytes, or all if there are fewer. */
  bytes first(std::size_t count) const noexcept { return {raw_.data, count < size() ? count : size()}; }
  /** All but the first `count` bytes; none if there are no more. */
  bytes from(std::size_t count) const noexcept {
    const std::size_t skipped = count < size() ? count : size();
    return {data() + skipped, size() - skipped};
  }

  /** Whether the bytes are the same. */
  friend bool operator==(bytes a, bytes b) noexcept { return a.text() == b.text(); }
  /** Whether the bytes differ. */
  friend bool operator!=(bytes a, bytes b) noexcept { return !(a == b); }

private:
  udpr_bytes raw_{nullptr, 0};
};

/**
 * A NUL-terminated text, borrowed, or none. A std::string with a NUL inside becomes "\n", which is not the name of anything
 * and is refused by every function. It is not cut at the NUL, since the part before it may be a name that was not meant.
 */
class c_text {
public:
  /** A text, or none. */
  constexpr c_text(const char *text) noexcept : text_(text) {}
  /** The text of a string. */
  c_text(const std::string &text) noexcept
      : text_(std::strlen(text.c_str()) == text.size() ? text.c_str() : "\n") {}
  /** As C has it. */
  constexpr const char *get() const noexcept { return text_; }

private:
  const char *text_;
};

}  // namespace udpr

#endif
