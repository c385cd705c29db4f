//! Calls of parsers that panic on malformed files. Such a panic is a result, so nothing is printed of it.
use std::{
    cell::Cell,
    panic::{self, AssertUnwindSafe, catch_unwind},
    sync::Once,
};

thread_local! {
    static IS_SILENT: Cell<bool> = const { Cell::new(false) };
}

static INSTALL_HOOK: Once = Once::new();

/// None if the call panics.
pub fn catch_silently<T>(call: impl FnOnce() -> T) -> Option<T> {
    INSTALL_HOOK.call_once(install_hook);
    let was_silent = IS_SILENT.replace(true);
    let result = catch_unwind(AssertUnwindSafe(call));
    IS_SILENT.set(was_silent);
    result.ok()
}

/// Panics elsewhere go to the hook that was there before.
fn install_hook() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        // A thread that ends has no value any more.
        if !IS_SILENT.try_with(Cell::get).unwrap_or(false) {
            before(panic);
        }
    }));
}

#[cfg(test)]
mod tests {
    use std::{env, process::Command};

    use super::*;

    /// Set for the process whose output is read.
    const IN_CHILD: &str = "RETRIEVAL_PANICS";

    #[test]
    fn only_panics_of_caught_calls_are_silent() {
        if env::var_os(IN_CHILD).is_some() {
            assert_eq!(catch_silently(|| 1), Some(1));
            assert_eq!(catch_silently(|| panic!("inside")), None::<()>);
            let outside = catch_unwind(|| panic!("outside"));
            assert!(outside.is_err());
            return;
        }
        let name = "extract::silent_panic::tests::only_panics_of_caught_calls_are_silent";
        let mut child = Command::new(env::current_exe().unwrap());
        let output = child.args(["--exact", "--nocapture", name]).env(IN_CHILD, "1").output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && errors.contains("outside") && !errors.contains("inside"), "{errors}");
    }
}
