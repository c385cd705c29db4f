//! Requests of the AWS SDK to models of each dialect.
use std::{sync::Arc, time::Duration};

use aws_sdk_bedrockruntime::types::{StopReason, TokenUsage};
use axum::http::StatusCode;
use local::openai_models::{ModelServer, OpenAiModels};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{
    fake_server::{Behaviour, Dialect, FakeServer, MODEL},
    sdk_client::Bedrock,
};

const MODEL_ID: &str = "us.anthropic.claude-sonnet-5";

/// The server, and a Bedrock whose models are the server's.
async fn start(behaviour: Behaviour) -> (FakeServer, Bedrock) {
    let server = FakeServer::start(behaviour).await;
    let bedrock = serve(&server.url).await;
    (server, bedrock)
}

async fn serve(url: &str) -> Bedrock {
    let options = ModelServer { url: url.parse().unwrap(), key: Some("sk-secret".parse().unwrap()), names: vec![] };
    let models = OpenAiModels::connect(options).await.unwrap();
    Bedrock::serve(Arc::new(models).router()).await
}

/// Sends a body as it is, and returns the status with the body of the response.
async fn post(bedrock: &Bedrock, operation: &str, body: Value) -> (u16, Value) {
    let url = format!("http://{}/model/{MODEL_ID}/{operation}", bedrock.address);
    let response = reqwest::Client::new().post(url).json(&body).send().await.unwrap();
    (response.status().as_u16(), serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default())
}

fn user(content: Value) -> Value {
    json!({ "messages": [{ "role": "user", "content": content }] })
}

/// A question with a tool, after which the result follows.
fn with_tool(question: &str) -> Value {
    let schema = json!({ "json": { "type": "object", "properties": {} } });
    let mut body = user(json!([{ "text": question }, { "cachePoint": { "type": "default" } }]));
    body["system"] = json!([{ "text": "Be brief." }, { "cachePoint": { "type": "default" } }]);
    body["toolConfig"] = json!({ "tools": [
        { "toolSpec": { "name": "look", "description": "Looks.", "inputSchema": schema } },
        { "cachePoint": { "type": "default" } },
    ] });
    body
}

#[tokio::test]
async fn every_dialect_streams_reasoning_text_and_usage() {
    for dialect in Dialect::ALL {
        let (server, bedrock) = start(Behaviour::Dialect(dialect)).await;
        let result = bedrock.send_text(MODEL_ID, "Hello 🦀").await;
        assert_eq!(result.failure, None, "{dialect:?}");
        assert_eq!((result.text().as_str(), &result.stop), ("You said: Hello 🦀", &Some(StopReason::EndTurn)));
        assert!(result.others.contains(&"reasoning"), "{dialect:?}");
        let usage = TokenUsage::builder().input_tokens(10).output_tokens(5).total_tokens(15).build().unwrap();
        assert_eq!(result.usage, Some(usage), "{dialect:?}");
        assert_eq!(server.requests()[0]["model"], MODEL, "the embedding model does not answer");
        assert_eq!(server.keys(), ["Bearer sk-secret", "Bearer sk-secret"]);
    }
}

#[tokio::test]
async fn every_dialect_answers_whole_in_converse() {
    for dialect in Dialect::ALL {
        let (server, bedrock) = start(Behaviour::Dialect(dialect)).await;
        let (status, mut answer) = post(&bedrock, "converse", with_tool("call look with {\"a\":1}")).await;
        answer["metrics"] = Value::Null;
        let content = json!([
            { "reasoningContent": { "reasoningText": { "text": "Let me think." } } },
            { "toolUse": { "toolUseId": "call_0", "name": "look", "input": { "a": 1 } } },
        ]);
        let expected = json!({
            "output": { "message": { "role": "assistant", "content": content } },
            "stopReason": "tool_use",
            "usage": { "inputTokens": 10, "outputTokens": 5, "totalTokens": 15 },
            "metrics": null,
        });
        assert_eq!((status, answer), (200, expected), "{dialect:?}");
        let request = &server.requests()[0];
        assert_eq!((&request["stream"], request.get("stream_options")), (&json!(false), None));
    }
}

#[tokio::test]
async fn settings_images_and_documents_are_sent() {
    let (server, bedrock) = start(Behaviour::Dialect(Dialect::Ollama)).await;
    let mut body = user(json!([
        { "text": "What is this?" },
        { "image": { "format": "png", "source": { "bytes": "aGk=" } } },
        { "document": { "format": "txt", "name": "notes", "source": { "bytes": "bWVtbw==" } } },
    ]));
    body["inferenceConfig"] = json!({ "maxTokens": 20, "temperature": 0.5, "topP": 0.9, "stopSequences": ["END"] });
    body["additionalModelRequestFields"] = json!({ "output_config": { "effort": "low" }, "top_k": 3 });
    let (status, answer) = post(&bedrock, "converse", body).await;
    assert_eq!(status, 200, "{answer}");
    let expected = json!({
        "model": MODEL, "stream": false, "max_tokens": 20, "temperature": 0.5, "top_p": 0.9, "stop": ["END"],
        "reasoning_effort": "low",
        "messages": [{ "role": "user", "content": [
            { "type": "text", "text": "What is this?" },
            { "type": "image_url", "image_url": { "url": "data:image/png;base64,aGk=" } },
            { "type": "text", "text": "Document notes:\n\nmemo" },
        ] }],
    });
    assert_eq!(server.requests(), [expected]);
}

/// The handler then sends numbered text and asks for markers, so that the answer has citations.
#[tokio::test]
async fn search_results_are_refused_as_bedrock_refuses_them() {
    let (server, bedrock) = start(Behaviour::Dialect(Dialect::Ollama)).await;
    let passage = json!([{ "text": "25 days" }]);
    let found = json!({ "searchResult": { "title": "Leave", "source": "s3://a/leave.md", "content": passage } });
    let mut by_tool = with_tool("How long?");
    let call = json!({ "toolUse": { "toolUseId": "a", "name": "look", "input": {} } });
    let result = json!({ "toolResult": { "toolUseId": "a", "content": [found], "status": "success" } });
    let messages = by_tool["messages"].as_array_mut().unwrap();
    messages.push(json!({ "role": "assistant", "content": [call] }));
    messages.push(json!({ "role": "user", "content": [result] }));
    for body in [user(json!([{ "text": "How long?" }, found])), by_tool] {
        let (status, answer) = post(&bedrock, "converse", body).await;
        assert_eq!(status, 400, "{answer}");
        assert_eq!(answer["message"], "This model doesn't support the searchResult field.");
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn results_of_tools_are_messages_of_their_own() {
    let (server, bedrock) = start(Behaviour::Dialect(Dialect::Vllm)).await;
    let mut body = with_tool("Look twice.");
    let thought = json!({ "reasoningContent": { "reasoningText": { "text": "Hm.", "signature": "c2ln" } } });
    let calls = ["a", "b"].map(|id| json!({ "toolUse": { "toolUseId": id, "name": "look", "input": { "id": id } } }));
    let results = json!([
        { "toolResult": { "toolUseId": "a", "content": [{ "json": { "found": 1 } }], "status": "success" } },
        { "toolResult": { "toolUseId": "b", "content": [
            { "text": "Blocked." }, { "image": { "format": "png", "source": { "bytes": "aGk=" } } },
        ], "status": "error" } },
    ]);
    let messages = body["messages"].as_array_mut().unwrap();
    messages.push(json!({ "role": "assistant", "content": [thought, calls[0], calls[1]] }));
    messages.push(json!({ "role": "user", "content": results }));
    let (status, answer) = post(&bedrock, "converse", body).await;
    assert_eq!(status, 200, "{answer}");
    let call = |id: &str| {
        let function = json!({ "name": "look", "arguments": format!("{{\"id\":\"{id}\"}}") });
        json!({ "id": id, "type": "function", "function": function })
    };
    let image = json!({ "type": "image_url", "image_url": { "url": "data:image/png;base64,aGk=" } });
    let expected = json!([
        { "role": "system", "content": "Be brief." },
        { "role": "user", "content": "Look twice." },
        { "role": "assistant", "content": "", "tool_calls": [call("a"), call("b")] },
        { "role": "tool", "tool_call_id": "a", "content": "{\"found\":1}" },
        { "role": "tool", "tool_call_id": "b", "content": "Error: Blocked." },
        { "role": "user", "content": [image] },
    ]);
    assert_eq!(server.requests()[0]["messages"], expected);
}

#[tokio::test]
async fn guardrails_and_unknown_blocks_are_refused_by_name() {
    let (server, bedrock) = start(Behaviour::Dialect(Dialect::Ollama)).await;
    let mut guarded = user(json!([{ "text": "Hello" }]));
    guarded["guardrailConfig"] = json!({ "guardrailIdentifier": "g", "guardrailVersion": "1" });
    let video = user(json!([{ "video": { "format": "mp4", "source": { "bytes": "aGk=" } } }]));
    let s3 = json!({ "format": "png", "source": { "s3Location": { "uri": "s3://a/b" } } });
    for (body, expected) in [
        (guarded, "Guardrails of Amazon Bedrock do not exist with --models"),
        (video, "This model doesn't support the video content block"),
        (user(json!([{ "image": s3 }])), "This model doesn't support the image in S3 content block"),
        (json!({ "messages": 1 }), "Malformed input request"),
    ] {
        let (status, error) = post(&bedrock, "converse-stream", body).await;
        let message = error["message"].as_str().unwrap_or_default();
        assert!(status == 400 && message.starts_with(expected), "{status} {error}");
    }
    assert_eq!(server.requests(), [] as [Value; 0]);
}

/// The code with which a stream fails, and what the server was asked.
async fn failure(status: u16, content_type: &'static str, body: &str) -> Option<String> {
    let status = StatusCode::from_u16(status).unwrap();
    let (_server, bedrock) = start(Behaviour::Respond(status, content_type, body.to_owned())).await;
    let result = bedrock.send_text(MODEL_ID, "Hello").await;
    result.code().map(str::to_owned)
}

#[tokio::test]
async fn errors_of_the_server_become_those_of_bedrock() {
    let json = "application/json";
    for (status, body, code) in [
        (429, "slow down", "ThrottlingException"),
        (401, r#"{"error":{"message":"Invalid key sk-1"}}"#, "AccessDeniedException"),
        (404, r#"{"error":{"message":"model \"a\" not found"}}"#, "ResourceNotFoundException"),
        (400, r#"{"error":{"message":"exceeds the available context size"}}"#, "ValidationException"),
        (500, "<html>Traceback</html>", "ServiceUnavailableException"),
        (503, r#"{"error":{"message":"Loading model"}}"#, "ServiceUnavailableException"),
    ] {
        assert_eq!(failure(status, json, body).await.as_deref(), Some(code), "{status} {body}");
    }
    for (body, code) in [
        ("data: {\"error\":{\"message\":\"CUDA error at /home/ann/llama.cpp:77\"}}\n\n", "ModelStreamErrorException"),
        ("data: {\"error\":{\"code\":429,\"message\":\"busy\"}}\n\n", "ThrottlingException"),
        ("data: not json\n\n", "ModelStreamErrorException"),
        ("", "ModelStreamErrorException"),
    ] {
        assert_eq!(failure(200, "text/event-stream", body).await.as_deref(), Some(code), "{body}");
    }
    assert_eq!(
        failure(200, json, r#"{"error":"Unexpected endpoint"}"#).await.as_deref(),
        Some("ModelStreamErrorException")
    );
}

#[tokio::test]
async fn nothing_of_the_server_reaches_the_caller() {
    let secret = r#"{"error":{"message":"failed at /home/ann with sk-1"}}"#;
    for status in [400, 401, 404, 429, 500] {
        let behaviour =
            Behaviour::Respond(StatusCode::from_u16(status).unwrap(), "application/json", secret.to_owned());
        let (_server, bedrock) = start(behaviour).await;
        let (_, error) = post(&bedrock, "converse", user(json!([{ "text": "Hello" }]))).await;
        let text = error.to_string();
        assert!(text.contains("message") && !text.contains("ann") && !text.contains("sk-1"), "{text}");
    }
}

#[tokio::test]
async fn refused_members_are_left_out_from_then_on() {
    let (server, bedrock) = start(Behaviour::Dialect(Dialect::LmStudio)).await;
    let mut body = user(json!([{ "text": "Hello" }]));
    body["additionalModelRequestFields"] = json!({ "reasoning_effort": "low" });
    for _ in 0..2 {
        assert_eq!(post(&bedrock, "converse", body.clone()).await.0, 200);
    }
    let efforts: Vec<bool> =
        server.requests().iter().map(|request| request.get("reasoning_effort").is_some()).collect();
    assert_eq!(efforts, [true, false, false]);
}

#[tokio::test]
async fn server_without_streamed_tools_is_asked_for_whole_answers() {
    // One broken connection says nothing about later streams: the second one does.
    for (behaviour, expected) in [
        (Behaviour::NoStreamWithTools, &[true, false, false, false, true][..]),
        (Behaviour::BreaksStreamWithTools, &[true, false, true, false, false, true]),
    ] {
        let (server, bedrock) = start(behaviour.clone()).await;
        for question in ["call look", "Hello", "Bye"] {
            let (status, _) = post(&bedrock, "converse-stream", with_tool(question)).await;
            assert_eq!(status, 200, "{behaviour:?}");
        }
        assert_eq!(bedrock.send_text(MODEL_ID, "Hello").await.text(), "You said: Hello");
        let streams: Vec<bool> = server.requests().iter().map(|request| request["stream"] == true).collect();
        // Without tools there is a stream.
        assert_eq!(streams, expected, "{behaviour:?}");
    }
}

#[tokio::test]
async fn server_that_is_gone_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    // Lists its models and ends.
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.read_exact(&mut [0; 16]).await.unwrap();
        let list = r#"{"data":[{"id":"small"}]}"#;
        let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", list.len());
        socket.write_all(format!("{head}{list}").as_bytes()).await.unwrap();
    });
    let bedrock = serve(&url).await;
    server.await.unwrap();
    assert_eq!(bedrock.send_text(MODEL_ID, "Hello").await.code(), Some("ServiceUnavailableException"));
}

#[tokio::test]
async fn caller_that_disconnects_ends_the_stream_of_the_server() {
    let (server, bedrock) = start(Behaviour::Endless).await;
    let url = format!("http://{}/model/{MODEL_ID}/converse-stream", bedrock.address);
    let body = user(json!([{ "text": "Hello" }]));
    let mut response = reqwest::Client::new().post(url).json(&body).send().await.unwrap();
    for _ in 0..3 {
        response.chunk().await.unwrap().expect("text arrives");
    }
    assert!(server.has_open_stream());
    drop(response);
    let closed = async {
        while server.has_open_stream() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), closed).await.expect("the connection is closed");
}
