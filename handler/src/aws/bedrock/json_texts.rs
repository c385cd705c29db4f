//! JSON texts that a request contains byte for byte.
//!
//! The SDK's own type of JSON values would order the members of an object anew in each request and would
//! round numbers. Bedrock's prompt cache finds only prefixes that are the same.
use std::{borrow::Cow, fmt};

use aws_sdk_bedrockruntime::{
    config::{ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeTransmitInterceptorContextMut},
    error::BoxError,
};
use aws_smithy_types::{Document, body::SdkBody};
use uuid::Uuid;

/// The JSON texts of one request. A placeholder stands for each of them until the SDK has written the body.
pub struct JsonTexts {
    /// Random, so that no text of the conversation contains it.
    marker: Uuid,
    texts: Vec<String>,
}

impl JsonTexts {
    pub fn new() -> Self {
        Self { marker: Uuid::new_v4(), texts: Vec::new() }
    }

    /// The placeholder of a valid JSON text.
    pub fn placeholder(&mut self, json: &str) -> Document {
        self.texts.push(replace_lone_surrogates(json).into_owned());
        Document::String(format!("{}-{}", self.marker, self.texts.len() - 1))
    }

    /// The body with the texts in place of their placeholders. `None` if it contains an unknown placeholder.
    fn fill_in(&self, body: &str) -> Option<String> {
        let placeholder_start = format!("\"{}-", self.marker);
        let mut parts = body.split(&placeholder_start);
        let mut filled = parts.next()?.to_owned();
        for part in parts {
            let (index, rest) = part.split_once('"')?;
            filled.push_str(self.texts.get(index.parse::<usize>().ok()?)?);
            filled.push_str(rest);
        }
        Some(filled)
    }
}

/// Shows no text.
impl fmt::Debug for JsonTexts {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.debug_struct("JsonTexts").field("count", &self.texts.len()).finish_non_exhaustive()
    }
}

impl Intercept for JsonTexts {
    fn name(&self) -> &'static str {
        "JsonTexts"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if self.texts.is_empty() {
            return Ok(());
        }
        let request = context.request_mut();
        let body = request.body().bytes().ok_or("the body is not in memory")?;
        let filled = self.fill_in(str::from_utf8(body)?).ok_or("a placeholder is unknown")?;
        request.headers_mut().insert("content-length", filled.len().to_string());
        *request.body_mut() = SdkBody::from(filled);
        Ok(())
    }
}

/// Replaces escapes of halves of surrogate pairs without their other half: models write such JSON, and other
/// parsers refuse it.
pub fn replace_lone_surrogates(json: &str) -> Cow<'_, str> {
    if !json.contains("\\ud") && !json.contains("\\uD") {
        return Cow::Borrowed(json);
    }
    let mut replaced = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(start) = rest.find('\\') {
        let (before, escape) = rest.split_at(start);
        replaced.push_str(before);
        let length = match (escaped_unit(escape), escape.get(6..).and_then(escaped_unit)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                replaced.push_str("\\ufffd");
                rest = &escape[6..];
                continue;
            }
            (Some(_), _) => 6,
            (None, _) => 2,
        };
        let (escape, after) = escape.split_at(escape.floor_char_boundary(length.min(escape.len())).max(1));
        replaced.push_str(escape);
        rest = after;
    }
    replaced.push_str(rest);
    Cow::Owned(replaced)
}

/// The UTF-16 code unit of an escape `\u0000` at the start of a text.
fn escaped_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_placeholder_is_replaced_by_its_text() {
        let mut texts = JsonTexts::new();
        let json = [r#"{"b":1,"a":12345678901234567890123}"#, "{ }"];
        let documents = json.map(|json| texts.placeholder(json));
        let [first, second] = documents.map(|document| document.as_string().unwrap().to_owned());
        let body = format!(r#"{{"x":"{second}","y":["{first}","{second}"],"z":"a"}}"#);
        let expected = format!(r#"{{"x":{1},"y":[{0},{1}],"z":"a"}}"#, json[0], json[1]);
        assert_eq!(texts.fill_in(&body), Some(expected));
        assert_eq!(texts.fill_in("{}"), Some("{}".to_owned()));
    }

    #[test]
    fn lone_surrogates_are_replaced_and_all_other_escapes_stay() {
        for (json, expected) in [
            (r#"{"a":"\ud83d\ude00 \u00e9 \n"}"#, r#"{"a":"\ud83d\ude00 \u00e9 \n"}"#),
            (r#""\ud83d""#, r#""\ufffd""#),
            (r#""\uDE00x""#, r#""\ufffdx""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\ud83d\n""#, r#""\ufffd\n""#),
            (r#""\\ud83d \\\ud83d""#, r#""\\ud83d \\\ufffd""#),
            (r#""é\ud83dé""#, r#""é\ufffdé""#),
            ("\\é\\ud83d", "\\é\\ufffd"),
        ] {
            assert_eq!(replace_lone_surrogates(json), expected);
        }
    }
}
