/* Tasks: coroutines that are started, awaited and cancelled. Included by <udpr/coro.hpp>. */
#ifndef UDPR_CORO_TASK_HPP
#define UDPR_CORO_TASK_HPP

#include <coroutine>
#include <cstddef>
#include <exception>
#include <iterator>
#include <list>
#include <optional>
#include <type_traits>
#include <utility>

namespace udpr::coro {

template <class T = void> class task;
class task_group;

namespace detail {

struct final_awaiter;

/* What promises of all results have in common. */
struct promise_base {
  bool                        started = false;
  bool                        awaited = false; /* what it throws is kept for the one that awaits it */
  std::coroutine_handle<>     awaiting;
  std::exception_ptr          caught;
  task_group                 *group = nullptr;
  std::list<task<>>::iterator in_group;

  std::suspend_always  initial_suspend() const noexcept { return {}; }
  inline final_awaiter final_suspend() const noexcept;
  inline void          unhandled_exception();

  void rethrow() {
#ifdef __cpp_exceptions
    if (caught) std::rethrow_exception(std::exchange(caught, nullptr));
#endif
  }
};

/* At the end of a coroutine the one that awaits it goes on. */
struct final_awaiter {
  bool await_ready() const noexcept { return false; }
  template <class Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> ended) const noexcept;
  void                    await_resume() const noexcept {}
};

template <class T> struct promise : promise_base {
  static_assert(!std::is_reference_v<T>,
                "a task returns a value or nothing; give a pointer instead of a reference");

  std::optional<T> result;

  task<T>                 get_return_object() noexcept;
  template <class U> void return_value(U &&value) { result.emplace(std::forward<U>(value)); }
  T                       take() {
                          rethrow();
                          return std::move(*result);
  }
};

template <> struct promise<void> : promise_base {
  inline task<> get_return_object() noexcept;
  void          return_void() const noexcept {}
  void          take() { rethrow(); }
};

}  // namespace detail

/**
 * A coroutine that returns a T, owned: it moves and does not copy, and destroying it destroys the coroutine. It runs when it
 * is started or awaited, and not before.
 */
template <class T> class [[nodiscard]] task {
public:
  /** For the compiler. */
  using promise_type = detail::promise<T>;

  /** None. */
  task() noexcept = default;
  /** Takes over what `other` has, which is none then. */
  task(task &&other) noexcept : coroutine_(std::exchange(other.coroutine_, nullptr)) {}
  /** Destroys what this has, and takes over what `other` has. */
  task &operator=(task &&other) noexcept {
    task former(std::exchange(coroutine_, std::exchange(other.coroutine_, nullptr)));
    return *this;
  }
  /** Destroys the coroutine, wherever it waits. */
  ~task() {
    if (coroutine_) coroutine_.destroy();
  }

  /**
   * Runs the coroutine until it waits for the first time. What it throws until then comes out of this; what it throws later
   * comes out of the call that runs the reactor. Does nothing if it was started before.
   */
  void start() {
    if (coroutine_ && !std::exchange(coroutine_.promise().started, true)) coroutine_.resume();
  }

  /** Whether there is a coroutine. */
  explicit operator bool() const noexcept { return coroutine_ != nullptr; }
  /** Whether the coroutine has ended, or there is none. */
  bool done() const noexcept { return !coroutine_ || coroutine_.done(); }

  /** `co_await task` runs the coroutine, if it was not started, and gives what it returns, or throws what it throws. */
  auto operator co_await() const noexcept { return awaiter{coroutine_}; }

private:
  friend promise_type;
  friend task_group;

  struct awaiter {
    std::coroutine_handle<promise_type> coroutine;

    bool await_ready() const noexcept { return coroutine.done(); }
    /* A coroutine that ends without waiting returns to here, so that loops of such ones need no stack. */
    bool await_suspend(std::coroutine_handle<> awaiting) const {
      promise_type &promise = coroutine.promise();
      promise.awaited = true;
      if (!std::exchange(promise.started, true)) coroutine.resume();
      if (coroutine.done()) return false;
      promise.awaiting = awaiting;
      return true;
    }
    T await_resume() const { return coroutine.promise().take(); }
  };

  explicit task(std::coroutine_handle<promise_type> coroutine) noexcept : coroutine_(coroutine) {}

  std::coroutine_handle<promise_type> coroutine_;
};

/**
 * Tasks that run side by side, owned: each is destroyed when it ends, and all that are left with the group. One of them must
 * not destroy the group.
 */
class task_group {
public:
  /** Without tasks. */
  task_group() = default;
  task_group(const task_group &) = delete;
  task_group &operator=(const task_group &) = delete;
  /** Destroys the tasks that have not ended. */
  ~task_group() { cancel(); }

  /** Starts a task and keeps it until it ends. What it throws before it waits comes out of this. */
  void start(task<> one) {
    failed_.clear();
    if (one.done()) return;
    running_.push_back(std::move(one));
    const auto at = std::prev(running_.end());
    auto      &promise = at->coroutine_.promise();
    promise.group = this;
    promise.in_group = at;
    at->start();
  }

  /** How many tasks have not ended. */
  std::size_t size() const noexcept { return running_.size(); }
  /** Whether all tasks have ended. */
  bool empty() const noexcept { return running_.empty(); }

  /** Destroys the tasks that have not ended. */
  void cancel() noexcept {
    while (!running_.empty()) {
      const task<> one = std::move(running_.front());
      running_.pop_front();
      one.coroutine_.promise().group = nullptr;
    }
  }

private:
  friend detail::promise_base;
  friend detail::final_awaiter;

  /* The coroutine of this one throws now, so it cannot be destroyed yet. */
  void failed(std::list<task<>>::iterator one) noexcept { failed_.splice(failed_.end(), running_, one); }
  void ended(std::list<task<>>::iterator one) noexcept { running_.erase(one); }

  std::list<task<>> running_;
  std::list<task<>> failed_;
};

namespace detail {

inline final_awaiter promise_base::final_suspend() const noexcept { return {}; }

inline void promise_base::unhandled_exception() {
#ifdef __cpp_exceptions
  if (awaited) {
    caught = std::current_exception();
    return;
  }
  if (group) std::exchange(group, nullptr)->failed(in_group);
  throw;
#else
  std::terminate();
#endif
}

template <class Promise>
std::coroutine_handle<> final_awaiter::await_suspend(std::coroutine_handle<Promise> ended) const noexcept {
  Promise &promise = ended.promise();
  if (promise.awaiting) return promise.awaiting;
  if (promise.group) promise.group->ended(promise.in_group);
  return std::noop_coroutine();
}

template <class T> task<T> promise<T>::get_return_object() noexcept {
  return task<T>(std::coroutine_handle<promise>::from_promise(*this));
}

inline task<> promise<void>::get_return_object() noexcept {
  return task<>(std::coroutine_handle<promise>::from_promise(*this));
}

}  // namespace detail

}  // namespace udpr::coro

#endif
