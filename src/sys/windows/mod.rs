//! What Windows has instead of `unix`.
