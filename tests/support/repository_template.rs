//! The template of this repository, which is parsed once.
use std::{path::Path, sync::LazyLock};

use local::template::Template;

pub static TEMPLATE: LazyLock<Template> =
    LazyLock::new(|| Template::read(Path::new(env!("CARGO_MANIFEST_DIR"))).expect("the template is read"));
