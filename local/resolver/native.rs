//! What the JavaScript utilities ask Rust for: ids, time, randomness, encodings and Java's regular expressions.
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rquickjs::function::Func;
use rquickjs::{Ctx, Exception, Object, Result};
use unicode_normalization::UnicodeNormalization;

use super::ambient::Ambient;
use super::stopwatch::Stopwatch;
use super::{identifiers, java, time};

/// The object that the modules find as `native`.
pub fn object<'js>(js: &Ctx<'js>, ambient: &Ambient, stopwatch: &Stopwatch) -> Result<Object<'js>> {
    let native = Object::new(js.clone())?;
    let stopwatch = stopwatch.clone();
    native.set("overrun", Func::from(move || stopwatch.overrun()))?;
    add_ambient(&native, ambient)?;
    add_texts(&native)?;
    add_times(&native)?;
    Ok(native)
}

fn add_ambient(native: &Object<'_>, ambient: &Ambient) -> Result<()> {
    let Ambient { now, random, .. } = ambient.clone();
    let (ulid_now, ksuid_now) = (now.clone(), now.clone());
    native.set("now", Func::from(move || now().as_millisecond() as f64))?;
    let double = random.clone();
    native.set("random", Func::from(move || (double() >> 11) as f64 / (1u64 << 53) as f64))?;
    let bits = move |random: &Rc<dyn Fn() -> u64>| u128::from(random()) << 64 | u128::from(random());
    let source = random.clone();
    native.set("autoId", Func::from(move || identifiers::uuid(bits(&source))))?;
    let source = random.clone();
    native.set("autoUlid", Func::from(move || identifiers::ulid(ulid_now(), bits(&source))))?;
    native.set("autoKsuid", Func::from(move || identifiers::ksuid(ksuid_now(), bits(&random))))
}

fn add_texts(native: &Object<'_>) -> Result<()> {
    native.set("base64Encode", Func::from(|text: String| BASE64.encode(text)))?;
    native.set("base64Decode", Func::from(base64_decode))?;
    native.set("normalize", Func::from(normalize))?;
    native.set("urlEncode", Func::from(|text: String| java::url_encode(&text)))?;
    native.set("urlDecode", Func::from(|js: Ctx<'_>, text: String| told(&js, java::url_decode(&text))))?;
    native.set(
        "matches",
        Func::from(|js: Ctx<'_>, pattern: String, text: String| told(&js, java::matches(&pattern, &text))),
    )?;
    native.set("replace", Func::from(replace))
}

fn add_times(native: &Object<'_>) -> Result<()> {
    native.set("formatIso", Func::from(|js: Ctx<'_>, at: f64| told(&js, time::iso(at))))?;
    native.set("parseIso", Func::from(|js: Ctx<'_>, text: String| told(&js, time::parse_iso(&text))))?;
    native.set("formatTime", Func::from(format_time))?;
    native.set("parseTime", Func::from(parse_time))
}

fn format_time(js: Ctx<'_>, at: f64, pattern: String, zone: String) -> Result<String> {
    told(&js, time::format(at, &pattern, &zone))
}

fn parse_time(js: Ctx<'_>, text: String, pattern: String, zone: Option<String>) -> Result<f64> {
    told(&js, time::parse(&text, &pattern, zone.as_deref()))
}

fn replace(js: Ctx<'_>, text: String, pattern: String, replacement: String, everywhere: bool) -> Result<String> {
    told(&js, java::replace(&text, &pattern, &replacement, everywhere))
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

fn told<T>(js: &Ctx<'_>, result: std::result::Result<T, String>) -> Result<T> {
    result.map_err(|sentence| Exception::throw_type(js, &sentence))
}
