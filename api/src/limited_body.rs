//! Bodies of responses, read up to a limit.
use reqwest::Response;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    #[error("the body has more bytes than are read")]
    TooLarge,
    #[error("the connection broke before the end of the body")]
    ConnectionBroken,
}

pub async fn read_limited(mut response: Response, max_bytes: usize) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > max_bytes => return Err(BodyError::TooLarge),
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(_) => return Err(BodyError::ConnectionBroken),
        }
    }
}
