//! Encrypt and Decrypt, with the limits and checks of KMS.
use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::{Value, json};

use super::{Kms, encryption_key::Ciphertext, kms_error::KmsError};
use crate::{
    identity::{AccessRequest, AssumedRole},
    template::{ACCOUNT, REGION},
};

const MAX_PLAINTEXT_BYTES: usize = 4096;
const MAX_CIPHERTEXT_BYTES: usize = 6144;
const ALGORITHM: &str = "SYMMETRIC_DEFAULT";

/// Data that must be the same in Encrypt and Decrypt. Sorted, so that equal contexts have equal JSON.
type EncryptionContext = BTreeMap<String, String>;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct EncryptRequest {
    key_id: Option<String>,
    plaintext: Option<Blob>,
    #[serde(default)]
    encryption_context: Option<EncryptionContext>,
    #[serde(rename = "EncryptionAlgorithm")]
    _encryption_algorithm: Option<Algorithm>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DecryptRequest {
    key_id: Option<String>,
    ciphertext_blob: Option<Blob>,
    #[serde(default)]
    encryption_context: Option<EncryptionContext>,
    #[serde(rename = "EncryptionAlgorithm")]
    _encryption_algorithm: Option<Algorithm>,
}

/// The algorithm of symmetric keys.
#[derive(Deserialize)]
enum Algorithm {
    #[serde(rename = "SYMMETRIC_DEFAULT")]
    SymmetricDefault,
}

/// Bytes, in base64.
struct Blob(Vec<u8>);

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BASE64_STANDARD.decode(String::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

impl Kms {
    pub(super) fn encrypt(&self, role: &AssumedRole, request: EncryptRequest) -> Result<Value, KmsError> {
        let EncryptRequest { key_id, plaintext, encryption_context, .. } = request;
        let (key_id, plaintext) = match (key_id, plaintext) {
            (Some(key_id), Some(Blob(plaintext))) => (key_id, plaintext),
            (key_id, plaintext) => {
                return Err(missing_members(&[("plaintext", plaintext.is_none()), ("keyId", key_id.is_none())]));
            }
        };
        check_length("plaintext", plaintext.len(), MAX_PLAINTEXT_BYTES)?;
        let arn = complete_arn(&key_id);
        let key = self.0.get(&arn).ok_or_else(|| KmsError::key_not_found(&arn))?;
        authorize(role, "kms:Encrypt", &arn)?;
        let context = to_associated_data(&encryption_context.unwrap_or_default());
        let sealed = key.seal(&arn, &context, &plaintext).ok_or_else(KmsError::internal)?;
        let blob = BASE64_STANDARD.encode(sealed);
        Ok(json!({ "CiphertextBlob": blob, "KeyId": arn, "EncryptionAlgorithm": ALGORITHM }))
    }

    pub(super) fn decrypt(&self, role: &AssumedRole, request: DecryptRequest) -> Result<Value, KmsError> {
        let DecryptRequest { key_id, ciphertext_blob, encryption_context, .. } = request;
        let Some(Blob(blob)) = ciphertext_blob else {
            return Err(missing_members(&[("ciphertextBlob", true)]));
        };
        check_length("ciphertextBlob", blob.len(), MAX_CIPHERTEXT_BYTES)?;
        let ciphertext = Ciphertext::parse(&blob).ok_or_else(KmsError::invalid_ciphertext)?;
        if key_id.is_some_and(|key_id| complete_arn(&key_id) != ciphertext.arn) {
            return Err(KmsError::incorrect_key());
        }
        let key = self.0.get(ciphertext.arn).ok_or_else(KmsError::ciphertext_key_not_found)?;
        authorize(role, "kms:Decrypt", ciphertext.arn)?;
        let context = to_associated_data(&encryption_context.unwrap_or_default());
        let plaintext = key.open_sealed(&context, &ciphertext).ok_or_else(KmsError::invalid_ciphertext)?;
        let plaintext = BASE64_STANDARD.encode(plaintext);
        Ok(json!({ "KeyId": ciphertext.arn, "Plaintext": plaintext, "EncryptionAlgorithm": ALGORITHM }))
    }
}

fn to_associated_data(context: &EncryptionContext) -> Vec<u8> {
    json!(context).to_string().into_bytes()
}

/// The ARN of a key of this account that is named by its ARN or its id.
fn complete_arn(key_id: &str) -> String {
    if key_id.starts_with("arn:") {
        return key_id.to_owned();
    }
    format!("arn:aws:kms:{REGION}:{ACCOUNT}:key/{key_id}")
}

fn authorize(role: &AssumedRole, action: &str, resource: &str) -> Result<(), KmsError> {
    let request = AccessRequest { action, resource, leading_keys: &[] };
    role.authorize(&request).map_err(|denied| KmsError::access_denied(&denied))
}

fn missing_members(members: &[(&str, bool)]) -> KmsError {
    let missing = members.iter().filter(|(_, is_missing)| *is_missing);
    let violations: Vec<String> = missing
        .map(|(name, _)| format!("Value null at '{name}' failed to satisfy constraint: Member must not be null"))
        .collect();
    KmsError::validation(&violations)
}

fn check_length(member: &str, length: usize, most: usize) -> Result<(), KmsError> {
    let constraint = match length {
        0 => "greater than or equal to 1".to_owned(),
        length if length > most => format!("less than or equal to {most}"),
        _ => return Ok(()),
    };
    Err(KmsError::validation(&[format!(
        "Value at '{member}' failed to satisfy constraint: Member must have length {constraint}"
    )]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        json_service::{JsonResponse, JsonService},
        stack::Role,
    };

    const KEY: &str = "arn:aws:kms:us-east-1:000000000000:key/one";
    const OTHER_KEY: &str = "arn:aws:kms:us-east-1:000000000000:key/two";

    fn kms() -> Kms {
        Kms::open(&[KEY.into(), OTHER_KEY.into()], None).unwrap()
    }

    fn role(actions: &[&str]) -> AssumedRole {
        let statements = vec![json!({ "Effect": "Allow", "Action": actions, "Resource": KEY })];
        AssumedRole::new(&Role { arn: "arn:aws:iam::000000000000:role/Test".into(), statements }, "session")
    }

    fn call(kms: &Kms, operation: &str, body: &Value) -> (u16, Value) {
        let role = role(&["kms:Encrypt", "kms:Decrypt"]);
        let target = format!("TrentService.{operation}");
        let JsonResponse { status, body, .. } = kms.handle_call(&role, &target, body.to_string().as_bytes());
        (status, body)
    }

    fn seal(kms: &Kms, plaintext: &[u8], context: &Value) -> String {
        let plaintext = BASE64_STANDARD.encode(plaintext);
        let request = json!({ "KeyId": KEY, "Plaintext": plaintext, "EncryptionContext": context });
        let (status, sealed) = call(kms, "Encrypt", &request);
        assert_eq!((status, &sealed["KeyId"], &sealed["EncryptionAlgorithm"]), (200, &json!(KEY), &json!(ALGORITHM)));
        sealed["CiphertextBlob"].as_str().unwrap().to_owned()
    }

    fn error(response: (u16, Value)) -> (String, Option<String>) {
        let (status, body) = response;
        assert_eq!(status, 400, "{body}");
        (body["__type"].as_str().unwrap().to_owned(), body["message"].as_str().map(str::to_owned))
    }

    fn validation_message(response: (u16, Value)) -> String {
        let (error_type, message) = error(response);
        assert_eq!(error_type, "ValidationException");
        message.unwrap()
    }

    #[test]
    fn sealed_data_is_opened_in_the_same_context_alone() {
        let kms = kms();
        let context = json!({ "turnId": "t1", "conversationId": "c1" });
        let blob = seal(&kms, b"secret", &context);
        assert_ne!(blob, seal(&kms, b"secret", &context), "each ciphertext has a nonce of its own");
        let decrypt =
            |context: Value| call(&kms, "Decrypt", &json!({ "CiphertextBlob": blob, "EncryptionContext": context }));
        let opened = json!({ "KeyId": KEY, "Plaintext": "c2VjcmV0", "EncryptionAlgorithm": ALGORITHM });
        assert_eq!(decrypt(json!({ "conversationId": "c1", "turnId": "t1" })), (200, opened));
        let others = [
            json!({ "conversationId": "c1", "turnId": "t2" }),
            json!({ "conversationId": "c1" }),
            json!({ "conversationId": "c1", "turnId": "t1", "run": "1" }),
            json!({}),
            Value::Null,
        ];
        for context in others {
            assert_eq!(error(decrypt(context)), ("InvalidCiphertextException".into(), None));
        }
    }

    #[test]
    fn changed_ciphertext_is_invalid() {
        let kms = kms();
        let blob = BASE64_STANDARD.decode(seal(&kms, b"secret", &json!({}))).unwrap();
        let decrypt =
            |blob: &[u8]| error(call(&kms, "Decrypt", &json!({ "CiphertextBlob": BASE64_STANDARD.encode(blob) }))).0;
        for index in 0..blob.len() {
            let mut changed = blob.clone();
            changed[index] ^= 1;
            // Another ARN names a key that is not there.
            let is_arn = (2..2 + KEY.len()).contains(&index);
            let expected = if is_arn { "AccessDeniedException" } else { "InvalidCiphertextException" };
            let error_type = decrypt(&changed);
            let is_length = index == 1;
            assert!(error_type == expected || is_length && error_type == "AccessDeniedException", "byte {index}");
        }
        for length in 1..blob.len() {
            assert_eq!(decrypt(&blob[..length]), "InvalidCiphertextException", "{length} bytes");
        }
    }

    #[test]
    fn plaintext_has_1_to_4096_bytes() {
        let kms = kms();
        assert!(!seal(&kms, &[7; 4096], &json!({})).is_empty());
        let encrypt = |length: usize| {
            let request = json!({ "KeyId": KEY, "Plaintext": BASE64_STANDARD.encode(vec![7; length]) });
            validation_message(call(&kms, "Encrypt", &request))
        };
        let error =
            "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have length";
        assert_eq!(encrypt(4097), format!("{error} less than or equal to 4096"));
        assert_eq!(encrypt(0), format!("{error} greater than or equal to 1"));
    }

    #[test]
    fn missing_members_are_named() {
        let kms = kms();
        assert_eq!(
            validation_message(call(&kms, "Encrypt", &json!({}))),
            "2 validation errors detected: Value null at 'plaintext' failed to satisfy constraint: Member must not be \
             null; Value null at 'keyId' failed to satisfy constraint: Member must not be null"
        );
        assert_eq!(
            validation_message(call(&kms, "Decrypt", &json!({ "KeyId": KEY }))),
            "1 validation error detected: Value null at 'ciphertextBlob' failed to satisfy constraint: Member must not be \
             null"
        );
    }

    #[test]
    fn key_is_named_by_its_arn_or_id() {
        let kms = kms();
        let encrypt = |key: &str| call(&kms, "Encrypt", &json!({ "KeyId": key, "Plaintext": "AA==" }));
        assert_eq!((encrypt(KEY).0, encrypt("one").0), (200, 200));
        let not_found = |arn: &str| ("NotFoundException".to_owned(), Some(format!("Key '{arn}' does not exist")));
        assert_eq!(error(encrypt("three")), not_found("arn:aws:kms:us-east-1:000000000000:key/three"));
        let elsewhere = KEY.replace("us-east-1", "eu-west-1");
        assert_eq!(error(encrypt(&elsewhere)), not_found(&elsewhere));
        let blob = seal(&kms, b"secret", &json!({}));
        let decrypt = |key: &str| call(&kms, "Decrypt", &json!({ "KeyId": key, "CiphertextBlob": blob }));
        assert_eq!((decrypt(KEY).0, decrypt("one").0), (200, 200));
        assert_eq!(error(decrypt(OTHER_KEY)).0, "IncorrectKeyException");
    }

    #[test]
    fn key_of_another_stack_opens_nothing() {
        let blob = seal(&kms(), b"secret", &json!({}));
        let decrypt = json!({ "CiphertextBlob": blob });
        assert_eq!(error(call(&kms(), "Decrypt", &decrypt)).0, "InvalidCiphertextException");
        let (error_type, message) = error(call(&Kms::default(), "Decrypt", &decrypt));
        assert_eq!(error_type, "AccessDeniedException");
        assert!(message.unwrap().starts_with("The ciphertext refers to a customer master key that does not exist, "));
    }

    #[test]
    fn role_needs_the_permission_for_the_key() {
        let kms = kms();
        let blob = seal(&kms, b"secret", &json!({}));
        let denied = |actions: &[&str], operation: &str, body: Value| {
            let target = format!("TrentService.{operation}");
            let response = kms.handle_call(&role(actions), &target, body.to_string().as_bytes());
            error((response.status, response.body))
        };
        let message = |action: &str, key: &str| {
            let user = "arn:aws:sts::000000000000:assumed-role/Test/session";
            let reason = format!("because no identity-based policy allows the kms:{action} action");
            let message =
                format!("User: {user} is not authorized to perform: kms:{action} on resource: {key} {reason}");
            ("AccessDeniedException".to_owned(), Some(message))
        };
        let encrypt = |key: &str| json!({ "KeyId": key, "Plaintext": "AA==" });
        assert_eq!(denied(&["kms:Decrypt"], "Encrypt", encrypt(KEY)), message("Encrypt", KEY));
        assert_eq!(denied(&["kms:Encrypt"], "Encrypt", encrypt(OTHER_KEY)), message("Encrypt", OTHER_KEY));
        let decrypt = json!({ "CiphertextBlob": blob });
        assert_eq!(denied(&["kms:Encrypt"], "Decrypt", decrypt), message("Decrypt", KEY));
    }

    #[test]
    fn other_operations_and_bodies_are_refused() {
        let kms = kms();
        assert_eq!(error(call(&kms, "GenerateDataKey", &json!({ "KeyId": KEY }))).0, "UnknownOperationException");
        let bodies = [
            json!([KEY, "AA=="]),
            json!({ "KeyId": KEY, "Plaintext": "no base64" }),
            json!({ "KeyId": KEY, "Plaintext": [1] }),
            json!({ "KeyId": KEY, "Plaintext": "AA==", "GrantTokens": [] }),
            json!({ "KeyId": KEY, "Plaintext": "AA==", "EncryptionAlgorithm": "RSAES_OAEP_SHA_1" }),
            json!({ "KeyId": KEY, "Plaintext": "AA==", "EncryptionContext": { "a": 1 } }),
        ];
        for body in bodies {
            assert_eq!(error(call(&kms, "Encrypt", &body)).0, "SerializationException", "{body}");
        }
        let algorithm = json!({ "KeyId": KEY, "Plaintext": "AA==", "EncryptionAlgorithm": ALGORITHM });
        assert_eq!(call(&kms, "Encrypt", &algorithm).0, 200);
    }
}
