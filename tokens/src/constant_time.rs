//! Comparison of secrets in constant time.

/// Compares two texts. The duration does not depend on the position of the first difference.
pub fn equal(one: &[u8], other: &[u8]) -> bool {
    let difference = one.iter().zip(other).fold(0, |difference, (one, other)| difference | (one ^ other));
    one.len() == other.len() && std::hint::black_box(difference) == 0
}
