//! Amazon S3: GetObject by presigned URLs, over the folder of documents.
mod s3_error;

use std::{fs::File, io::Read, sync::Arc, time::SystemTime};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{
        HeaderValue, Method, Uri,
        header::{CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST},
    },
    response::{IntoResponse, Response},
    routing::any,
};
use futures::{Stream, stream};
use retrieval::Folder;
use tokio::task::spawn_blocking;
use uuid::Uuid;

use crate::{
    identity::{AccessRequest, AssumedRole, Authenticator},
    knowledge_base::BUCKET,
};

use s3_error::S3Error;

/// How much of an object is in memory at once.
const READ_BYTES: u64 = 64 << 10;

struct Service {
    folder: Folder,
    authenticator: Authenticator,
}

/// The objects of the bucket at the paths that requests in path style have.
pub fn router(folder: Folder, authenticator: Authenticator) -> Router {
    let service = Arc::new(Service { folder, authenticator });
    Router::new().route(&format!("/{BUCKET}/{{*key}}"), any(handle)).with_state(service)
}

async fn handle(State(service): State<Arc<Service>>, request: Request) -> Response {
    let request_id = Uuid::new_v4().simple().to_string().to_uppercase();
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let result = match *request.method() {
        Method::GET => service.get_object(host, request.uri()).await,
        _ => Err(S3Error::method_not_allowed()),
    };
    let mut response = result.unwrap_or_else(|error| error.into_response(&request_id));
    if let Ok(request_id) = request_id.parse() {
        response.headers_mut().insert("x-amz-request-id", request_id);
    }
    response
}

impl Service {
    async fn get_object(&self, host: &str, uri: &Uri) -> Result<Response, S3Error> {
        let role = self.authenticator.authenticate_presigned_url(host, uri, SystemTime::now())?;
        let key = percent_decoded(uri.path()).ok_or_else(S3Error::invalid_uri)?;
        let key = key.strip_prefix(&format!("/{BUCKET}/")).ok_or_else(S3Error::no_such_bucket)?;
        let resource = format!("arn:aws:s3:::{BUCKET}/{key}");
        let access = AccessRequest { action: "s3:GetObject", resource: &resource, leading_keys: &[] };
        role.authorize(&access).map_err(|denied| S3Error::access_denied(&denied, &resource))?;
        let (folder, path) = (self.folder.clone(), key.to_owned());
        let opened = spawn_blocking(move || {
            let Some(file) = folder.open(&path)? else { return Ok(None) };
            let length = file.metadata()?.len();
            std::io::Result::Ok(Some((file, length)))
        });
        let opened = opened.await.map_err(std::io::Error::other).flatten().map_err(|error| {
            tracing::error!(%error, "a document cannot be opened");
            S3Error::internal_error()
        })?;
        let (file, length) = opened.ok_or_else(|| missing_object(&role, key))?;
        let content_type = content_type(key);
        let headers = [(CONTENT_TYPE, content_type.to_owned()), (CONTENT_LENGTH, length.to_string())];
        let mut response = (headers, Body::from_stream(read_chunks(file, length))).into_response();
        if content_type == "text/html" {
            // S3 has an origin of its own. Here a script would run in that of the API.
            response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
        }
        Ok(response)
    }
}

/// S3 does not tell who may not list the bucket that an object does not exist.
fn missing_object(role: &AssumedRole, key: &str) -> S3Error {
    let resource = format!("arn:aws:s3:::{BUCKET}");
    let access = AccessRequest { action: "s3:ListBucket", resource: &resource, leading_keys: &[] };
    match role.authorize(&access) {
        Ok(()) => S3Error::no_such_key(key),
        Err(denied) => S3Error::access_denied(&denied, &resource),
    }
}

/// The content of a file that has this length. It ends early if the file has become shorter.
fn read_chunks(file: File, length: u64) -> impl Stream<Item = std::io::Result<Bytes>> {
    stream::try_unfold(file.take(length), |mut file| async {
        let read = spawn_blocking(move || {
            let mut chunk = Vec::new();
            file.by_ref().take(READ_BYTES).read_to_end(&mut chunk)?;
            Ok((chunk, file))
        });
        let (chunk, file) = read.await.map_err(std::io::Error::other).flatten()?;
        Ok((!chunk.is_empty()).then(|| (Bytes::from(chunk), file)))
    })
}

/// As the AWS CLI sets it at an upload.
fn content_type(key: &str) -> &'static str {
    let extension = key.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
    match extension.as_str() {
        "txt" => "text/plain",
        "md" => "text/markdown",
        "html" | "htm" => "text/html",
        "csv" => "text/csv",
        "json" => "application/json",
        "pdf" => "application/pdf",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        _ => "binary/octet-stream",
    }
}

/// `None` if it is not the encoding of a text.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        bytes.push((digit()? * 16 + digit()?) as u8);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_is_decoded_once() {
        assert_eq!(percent_decoded("/a%20b/%C3%BC%2525+").as_deref(), Some("/a b/ü%25+"));
        for invalid in ["%", "%2", "%G0", "%ff"] {
            assert_eq!(percent_decoded(invalid), None, "{invalid}");
        }
    }

    #[test]
    fn content_type_follows_from_the_name() {
        for (key, expected) in [
            ("a.txt", "text/plain"),
            ("a.MD", "text/markdown"),
            ("a.b/c.pdf", "application/pdf"),
            ("a.pdf/c", "binary/octet-stream"),
            ("a", "binary/octet-stream"),
        ] {
            assert_eq!(content_type(key), expected, "{key}");
        }
    }
}
