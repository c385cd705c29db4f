//! What a program needs that is also the program of a Lambda function.
use std::io::{self, Read};

/// Whether Lambda has started this process.
pub fn is_started_as_function() -> bool {
    std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some()
}

/// Standard input closes when the server ends.
pub fn exit_when_input_closes() {
    std::thread::spawn(|| {
        io::stdin().read_to_end(&mut Vec::new()).ok();
        std::process::exit(0);
    });
}
