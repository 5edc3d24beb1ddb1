//! Values that the library's own threads hand over, without a lock: a forked child would have the lock, but not the
//! thread that holds it.

use super::tsan;
use std::marker::PhantomData;
use std::ptr::null_mut;
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A list that any thread pushes to, and that is taken as a whole: a Treiber stack without pop. After a fork at any
/// moment the child has a whole list; a value that was not in it yet is lost there.
pub struct AtomicQueue<T> {
    first: AtomicPtr<Node<T>>,
    /// Threads may share it if they may share a lock around a `T`.
    values: PhantomData<Mutex<T>>,
}

struct Node<T> {
    value: T,
    next: *mut Node<T>,
}

impl<T> Default for AtomicQueue<T> {
    fn default() -> AtomicQueue<T> {
        AtomicQueue { first: AtomicPtr::new(null_mut()), values: PhantomData }
    }
}

impl<T> AtomicQueue<T> {
    /// Pushes a value. Returns true if the list was empty: then somebody has to be woken.
    pub fn push(&self, value: T) -> bool {
        let mut first = self.first.load(Ordering::Relaxed);
        let mut node = Box::new(Node { value, next: first });
        tsan::release(self);
        loop {
            node.next = first;
            let new = Box::into_raw(node);
            // SeqCst, in one order with the waker's operations: whoever handles a wake-up finds the value that it was
            // made for.
            match self.first.compare_exchange(first, new, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(former) => return former.is_null(),
                Err(now) => first = now,
            }
            // SAFETY: it was made above, and is not in the list.
            node = unsafe { Box::from_raw(new) };
        }
    }

    /// Takes what was pushed so far, in that order.
    pub fn take(&self) -> Drained<T> {
        let mut last = null_mut();
        if !self.first.load(Ordering::SeqCst).is_null() {
            last = self.first.swap(null_mut(), Ordering::SeqCst);
            tsan::acquire(self);
        }
        let mut first = null_mut();
        // SAFETY: made by push, and taken out of the list by this thread alone.
        while let Some(node) = unsafe { last.as_mut() } {
            let next = std::mem::replace(&mut node.next, first);
            first = last;
            last = next;
        }
        Drained { first, values: PhantomData }
    }
}

impl<T> Drop for AtomicQueue<T> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

/// The values that were taken from an [`AtomicQueue`].
pub struct Drained<T> {
    first: *mut Node<T>,
    values: PhantomData<T>,
}

impl<T> Iterator for Drained<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        if self.first.is_null() {
            return None;
        }
        // SAFETY: made by push, and owned by this thread since take.
        let node = unsafe { Box::from_raw(self.first) };
        self.first = node.next;
        Some(node.value)
    }
}

impl<T> Drop for Drained<T> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn in_order() {
        let stack = AtomicQueue::default();
        assert!(stack.take().next().is_none());
        assert!(stack.push(1));
        assert!(!stack.push(2));
        assert!(!stack.push(3));
        assert!(stack.take().eq(1..4));
        assert!(stack.push(4));
        assert!(stack.take().eq([4]));
    }

    #[test]
    fn nothing_is_lost_among_threads() {
        let stack = AtomicQueue::default();
        let mut seen = Vec::new();
        std::thread::scope(|scope| {
            let push = |from: usize| {
                for number in 0..200 {
                    stack.push(from + number);
                }
            };
            let threads: Vec<_> = [0, 1000, 2000].map(|from| scope.spawn(move || push(from))).into();
            while !threads.iter().all(|thread| thread.is_finished()) {
                seen.extend(stack.take());
            }
        });
        seen.extend(stack.take());
        for from in [0, 1000, 2000] {
            let of_one = seen.iter().copied().filter(|number| (from..from + 1000).contains(number));
            assert!(of_one.eq(from..from + 200));
        }
    }

    #[test]
    fn what_is_left_is_dropped() {
        let value = Arc::new(());
        let stack = AtomicQueue::default();
        for _ in 0..3 {
            stack.push(value.clone());
        }
        let mut taken = stack.take();
        assert!(taken.next().is_some());
        drop(taken);
        assert_eq!(Arc::strong_count(&value), 1);
        stack.push(value.clone());
        drop(stack);
        assert_eq!(Arc::strong_count(&value), 1);
    }
}
