//! An error in the code of a file, with its position.
use oxc_span::Span;

/// A construct that APPSYNC_JS or the local server does not support.
pub struct LintError {
    pub span: Span,
    /// A sentence.
    pub reason: String,
}
