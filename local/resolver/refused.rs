//! What is found wrong in a file.
use oxc_span::Span;

/// A construct outside the subset, and why it is.
pub struct Refused {
    pub span: Span,
    pub reason: String,
}
