//! AWS Secrets Manager: GetSecretValue with secrets whose values are in files.
mod local_secret;

use std::{fs::File, io::Read, sync::Arc};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    identity::{AccessDenied, AccessRequest, AssumedRole},
    json_service::{JsonResponse, JsonService, parse_request},
};

pub use local_secret::{LocalSecret, SecretFileError};

/// The largest value of a secret.
const MAX_SECRET_BYTES: usize = 65_536;

/// The secrets of a server. Clones share them.
#[derive(Clone, Default)]
pub struct SecretsManager(Arc<Vec<LocalSecret>>);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GetSecretValueRequest {
    secret_id: Option<String>,
}

/// An exception of the service. All of them have the status 400.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SecretsError {
    error_type: &'static str,
    message: String,
}

impl SecretsManager {
    /// Reads each file once, so that a file that cannot be read stops the start.
    pub fn open(secrets: Vec<LocalSecret>) -> Result<Self, SecretFileError> {
        for secret in &secrets {
            secret.read()?;
        }
        Ok(Self(Arc::new(secrets)))
    }

    /// The value that the file has now.
    fn get_secret_value(&self, role: &AssumedRole, request: GetSecretValueRequest) -> Result<Value, SecretsError> {
        let secret_id = request.secret_id.filter(|id| !id.is_empty()).ok_or_else(|| {
            SecretsError::new("InvalidParameterException", "You must provide a value for the SecretId parameter.")
        })?;
        let secret = self.0.iter().find(|secret| secret.arn() == secret_id || secret.name == secret_id);
        let resource = secret.map_or(secret_id, LocalSecret::arn);
        let access = AccessRequest { action: "secretsmanager:GetSecretValue", resource: &resource, leading_keys: &[] };
        role.authorize(&access)?;
        let secret = secret.ok_or_else(SecretsError::not_found)?;
        let value = secret.read().map_err(|error| {
            tracing::error!(%error, "a secret cannot be read");
            SecretsError::new("InternalServiceError", "An error occurred on the server side.")
        })?;
        Ok(json!({ "ARN": secret.arn(), "Name": secret.name, "SecretString": value }))
    }
}

impl JsonService for SecretsManager {
    fn handle_call(&self, role: &AssumedRole, target: &str, body: &[u8]) -> JsonResponse {
        let result = match target {
            "secretsmanager.GetSecretValue" => parse_request(body)
                .map_err(|error| SecretsError::new("SerializationException", error))
                .and_then(|request| self.get_secret_value(role, request)),
            _ => {
                let message = format!("The local server does not serve '{target}'. It serves GetSecretValue.");
                Err(SecretsError::new("UnknownOperationException", message))
            }
        };
        JsonResponse::new(
            result.map_err(|SecretsError { error_type, message }| json!({ "__type": error_type, "Message": message })),
        )
    }
}

impl SecretsError {
    fn new(error_type: &'static str, message: impl Into<String>) -> Self {
        Self { error_type, message: message.into() }
    }

    fn not_found() -> Self {
        Self::new("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
    }
}

impl From<AccessDenied> for SecretsError {
    fn from(denied: AccessDenied) -> Self {
        Self::new("AccessDeniedException", denied.to_string())
    }
}

impl LocalSecret {
    /// Reads the text of the file, and no more of it than shows that it is too long.
    fn read(&self) -> Result<String, SecretFileError> {
        let error = |reason: String| SecretFileError { path: self.file.clone(), reason };
        let mut value = Vec::new();
        let read = File::open(&self.file)
            .and_then(|file| file.take(MAX_SECRET_BYTES as u64 + 1).read_to_end(&mut value))
            .map_err(|cause| error(cause.to_string()))?;
        match read {
            0 => Err(error("it is empty".into())),
            length if length > MAX_SECRET_BYTES => Err(error(format!("it has more than {MAX_SECRET_BYTES} bytes"))),
            _ => String::from_utf8(value).map_err(|_| error("it is not UTF-8 text".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::stack::Role;

    fn secrets(folder: &TempDir) -> (SecretsManager, String) {
        let file = folder.path().join("token");
        fs::write(&file, "Bearer one\n").unwrap();
        let secret: LocalSecret = format!("mcp/token={}", file.display()).parse().unwrap();
        let arn = secret.arn();
        (SecretsManager::open(vec![secret]).unwrap(), arn)
    }

    fn role(resource: &str) -> AssumedRole {
        let statement = json!({ "Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": resource });
        let role = Role { arn: "arn:aws:iam::000000000000:role/Test".into(), statements: vec![statement] };
        AssumedRole::new(&role, "session")
    }

    fn call(secrets: &SecretsManager, role: &AssumedRole, body: Value) -> (u16, Value) {
        let response = secrets.handle_call(role, "secretsmanager.GetSecretValue", body.to_string().as_bytes());
        (response.status, response.body)
    }

    fn error(error_type: &str, message: &str) -> (u16, Value) {
        (400, json!({ "__type": error_type, "Message": message }))
    }

    #[test]
    fn value_is_what_the_file_has_now() {
        let folder = tempfile::tempdir().unwrap();
        let (secrets, arn) = secrets(&folder);
        for (id, value) in [(arn.as_str(), "Bearer one\n"), ("mcp/token", "Bearer two")] {
            fs::write(folder.path().join("token"), value).unwrap();
            let (status, body) = call(&secrets, &role(&arn), json!({ "SecretId": id }));
            let expected = json!({ "ARN": arn, "Name": "mcp/token", "SecretString": value });
            assert_eq!((status, body), (200, expected));
        }
    }

    #[test]
    fn role_needs_the_permission_for_the_secret() {
        let folder = tempfile::tempdir().unwrap();
        let (secrets, arn) = secrets(&folder);
        let message = format!(
            "User: arn:aws:sts::000000000000:assumed-role/Test/session is not authorized to perform: \
             secretsmanager:GetSecretValue on resource: {arn} because no identity-based policy allows the \
             secretsmanager:GetSecretValue action"
        );
        let response = call(&secrets, &role("arn:aws:secretsmanager:::other"), json!({ "SecretId": arn }));
        assert_eq!(response, error("AccessDeniedException", &message));
    }

    #[test]
    fn unknown_secret_and_request_are_refused_in_the_words_of_aws() {
        let folder = tempfile::tempdir().unwrap();
        let (secrets, _) = secrets(&folder);
        let call = |body| call(&secrets, &role("*"), body);
        let not_found = "Secrets Manager can't find the specified secret.";
        assert_eq!(call(json!({ "SecretId": "other" })), error("ResourceNotFoundException", not_found));
        assert_eq!(call(json!({})).1["__type"], "InvalidParameterException");
        assert_eq!(call(json!([])).1["__type"], "SerializationException");
        let other = secrets.handle_call(&role("*"), "secretsmanager.PutSecretValue", b"{}");
        assert_eq!(other.body["__type"], "UnknownOperationException");
    }

    #[test]
    fn file_that_holds_no_secret_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for (name, content, reason) in [
            ("missing", None, "No such file or directory (os error 2)"),
            ("empty", Some(Vec::new()), "it is empty"),
            ("long", Some(vec![b'a'; 65_537]), "it has more than 65536 bytes"),
            ("binary", Some(vec![0xff]), "it is not UTF-8 text"),
        ] {
            let file = folder.path().join(name);
            if let Some(content) = content {
                fs::write(&file, content).unwrap();
            }
            let secret: LocalSecret = format!("a={}", file.display()).parse().unwrap();
            let message = SecretsManager::open(vec![secret]).err().unwrap().to_string();
            assert_eq!(message, format!("the file {} cannot be a secret: {reason}", file.display()));
        }
    }
}
