//! The Rust functions behind the JavaScript utilities: ids, time, randomness, encodings, Java's regular
//! expressions.
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rquickjs::function::Func;
use rquickjs::{Ctx, Exception, Object, Result};
use unicode_normalization::UnicodeNormalization;

use super::engine_environment::EngineEnvironment;
use super::time_limit::TimeLimit;
use super::{id_generators, java_text, time};

/// The object that the runtime's modules read from `globalThis.native`.
pub fn create<'js>(js: &Ctx<'js>, environment: &EngineEnvironment, limit: &TimeLimit) -> Result<Object<'js>> {
    let native = Object::new(js.clone())?;
    let limit = limit.clone();
    native.set("timeLimitExceeded", Func::from(move || limit.exceeded()))?;
    add_clock_and_random(&native, environment)?;
    add_text_functions(&native)?;
    add_time_functions(&native)?;
    Ok(native)
}

fn add_clock_and_random(native: &Object<'_>, environment: &EngineEnvironment) -> Result<()> {
    let EngineEnvironment { now, random, .. } = environment.clone();
    let (ulid_now, ksuid_now) = (now.clone(), now.clone());
    native.set("now", Func::from(move || now().as_millisecond() as f64))?;
    let source = random.clone();
    native.set("random", Func::from(move || (source() >> 11) as f64 / (1u64 << 53) as f64))?;
    let bits = move |random: &Rc<dyn Fn() -> u64>| u128::from(random()) << 64 | u128::from(random());
    let source = random.clone();
    native.set("autoId", Func::from(move || id_generators::uuid(bits(&source))))?;
    let source = random.clone();
    native.set("autoUlid", Func::from(move || id_generators::ulid(ulid_now(), bits(&source))))?;
    native.set("autoKsuid", Func::from(move || id_generators::ksuid(ksuid_now(), bits(&random))))
}

fn add_text_functions(native: &Object<'_>) -> Result<()> {
    native.set("base64Encode", Func::from(|text: String| BASE64.encode(text)))?;
    native.set("base64Decode", Func::from(base64_decode))?;
    native.set("normalize", Func::from(normalize))?;
    native.set("urlEncode", Func::from(|text: String| java_text::url_encode(&text)))?;
    native.set("urlDecode", Func::from(|js: Ctx<'_>, text: String| or_throw(&js, java_text::url_decode(&text))))?;
    native.set(
        "matches",
        Func::from(|js: Ctx<'_>, pattern: String, text: String| or_throw(&js, java_text::matches(&pattern, &text))),
    )?;
    native.set("replace", Func::from(replace))
}

fn add_time_functions(native: &Object<'_>) -> Result<()> {
    native.set("formatIso", Func::from(|js: Ctx<'_>, at: f64| or_throw(&js, time::format_iso(at))))?;
    native.set("parseIso", Func::from(|js: Ctx<'_>, text: String| or_throw(&js, time::parse_iso(&text))))?;
    native.set("formatTime", Func::from(format_time))?;
    native.set("parseTime", Func::from(parse_time))
}

fn format_time(js: Ctx<'_>, at: f64, pattern: String, zone: String) -> Result<String> {
    or_throw(&js, time::format_pattern(at, &pattern, &zone))
}

fn parse_time(js: Ctx<'_>, text: String, pattern: String, zone: Option<String>) -> Result<f64> {
    or_throw(&js, time::parse_pattern(&text, &pattern, zone.as_deref()))
}

fn replace(js: Ctx<'_>, text: String, pattern: String, replacement: String, replace_all: bool) -> Result<String> {
    or_throw(&js, java_text::replace(&text, &pattern, &replacement, replace_all))
}

fn base64_decode(js: Ctx<'_>, text: String) -> Result<String> {
    let bytes = BASE64.decode(text).map_err(|_| Exception::throw_type(&js, "the text is not base64"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn normalize(js: Ctx<'_>, text: String, form: String) -> Result<String> {
    match form.to_ascii_lowercase().as_str() {
        "nfc" => Ok(text.nfc().collect()),
        "nfd" => Ok(text.nfd().collect()),
        "nfkc" => Ok(text.nfkc().collect()),
        "nfkd" => Ok(text.nfkd().collect()),
        _ => Err(Exception::throw_type(&js, "the normalization form is one of nfc, nfd, nfkc, nfkd")),
    }
}

/// Throws a `TypeError` with the message of the error.
fn or_throw<T>(js: &Ctx<'_>, result: std::result::Result<T, String>) -> Result<T> {
    result.map_err(|message| Exception::throw_type(js, &message))
}
