//! The operations RetrieveAndGenerate and RetrieveAndGenerateStream on the wire.
use aws_smithy_eventstream::frame::read_message_from;
use bytes::{Buf, Bytes};
use local::{fault_injection::Fault, server::ServerOptions};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    answers::with_fault,
    api_client::{KNOWLEDGE_BASE, Response},
    fixture::{DOCUMENTS, Fixture},
};

const GENERATE: &str = "/retrieveAndGenerate";
const GENERATE_STREAM: &str = "/retrieveAndGenerateStream";
const QUESTION: &str = "How many days of leave do employees get in a calendar year?";
const LEAVE: &str = "s3://local-knowledge/leave.md";
const MODEL: &str = "arn:aws:bedrock:us-east-1::foundation-model/parlance.any";

/// A request for the answer of a model.
fn request(question: &str, model: &str) -> Value {
    json!({
        "input": { "text": question },
        "retrieveAndGenerateConfiguration": {
            "type": "KNOWLEDGE_BASE",
            "knowledgeBaseConfiguration": {
                "knowledgeBaseId": "LOCALKB001",
                "modelArn": model,
                "retrievalConfiguration": { "vectorSearchConfiguration": { "numberOfResults": 3 } },
            },
        },
    })
}

fn configuration(request: &mut Value) -> &mut Value {
    &mut request["retrieveAndGenerateConfiguration"]["knowledgeBaseConfiguration"]
}

async fn generate(fixture: &Fixture, request: Value) -> Response {
    fixture.call(Method::POST, GENERATE, request).await
}

/// What a role needs, and nothing else.
const PERMISSIONS: [(&str, &str); 3] =
    [("bedrock:RetrieveAndGenerate", "*"), ("bedrock:Retrieve", KNOWLEDGE_BASE), ("bedrock:InvokeModel*", MODEL)];

/// The part of the answer that the citation's span stands for.
fn span_text(answer: &str, citation: &Value) -> String {
    let span = &citation["generatedResponsePart"]["textResponsePart"]["span"];
    let [start, end] = ["start", "end"].map(|name| span[name].as_u64().unwrap() as usize);
    let units: Vec<u16> = answer.encode_utf16().collect();
    String::from_utf16(&units[start..=end]).unwrap()
}

fn assert_cites_leave(answer: &str, citations: &[Value]) {
    assert!(answer.contains("Employees get 25 days of leave") && !answer.contains('['), "{answer}");
    let citation = &citations[0];
    let part = &citation["generatedResponsePart"]["textResponsePart"]["text"];
    assert_eq!(part, &json!(span_text(answer, citation)));
    assert!(part.as_str().unwrap().contains("25 days of leave"), "{citation}");
    let reference = &citation["retrievedReferences"][0];
    assert_eq!(reference["location"], json!({ "type": "S3", "s3Location": { "uri": LEAVE } }));
    assert_eq!(reference["metadata"]["x-amz-bedrock-kb-source-uri"], LEAVE);
    assert!(reference["content"]["text"].as_str().unwrap().contains("25 days of leave"), "{citation}");
    assert_eq!((&reference["content"]["type"], &reference["score"]), (&json!("TEXT"), &Value::Null));
}

#[tokio::test]
async fn role_gets_an_answer_with_citations() {
    let fixture = Fixture::new(&DOCUMENTS).await;
    let access_key = fixture.add_role(&PERMISSIONS);
    let response = fixture.call_as(&access_key, Method::POST, GENERATE, request(QUESTION, MODEL)).await;
    assert_eq!(response.status, 200, "{response:?}");
    let body = &response.body;
    assert_cites_leave(body["output"]["text"].as_str().unwrap(), body["citations"].as_array().unwrap());
    assert_eq!(body["guardrailAction"], "NONE");
    assert_eq!(body["sessionId"].as_str().unwrap().len(), 36);
}

/// The type and the payload of each event.
async fn read_events(response: reqwest::Response) -> Vec<(String, Value)> {
    assert_eq!(response.headers()["content-type"], "application/vnd.amazon.eventstream");
    let mut bytes: Bytes = response.bytes().await.unwrap();
    let mut events = Vec::new();
    while bytes.has_remaining() {
        let message = read_message_from(&mut bytes).unwrap();
        let header = |name: &str| {
            let header = message.headers().iter().find(|header| header.name().as_str() == name)?;
            Some(header.value().as_string().unwrap().as_str().to_owned())
        };
        let name = header(":event-type").or_else(|| header(":exception-type")).unwrap();
        events.push((name, serde_json::from_slice(message.payload()).unwrap()));
    }
    events
}

#[tokio::test]
async fn stream_has_text_citations_and_the_session() {
    let fixture = Fixture::new(&DOCUMENTS).await;
    let access_key = fixture.add_role(&PERMISSIONS);
    let response = fixture.send_as(&access_key, Method::POST, GENERATE_STREAM, request(QUESTION, MODEL)).await;
    let session_id = response.headers()["x-amzn-bedrock-knowledge-base-session-id"].to_str().unwrap().to_owned();
    let events = read_events(response).await;
    let mut answer = String::new();
    let mut citations = Vec::new();
    for (name, payload) in &events {
        match name.as_str() {
            "output" => answer += payload["text"].as_str().unwrap(),
            "citation" => {
                let part = payload["generatedResponsePart"]["textResponsePart"]["text"].as_str().unwrap();
                assert!(answer.ends_with(part), "{part:?} follows {answer:?}");
                assert_eq!(payload["citation"]["retrievedReferences"], payload["retrievedReferences"]);
                citations.push(payload.clone());
            }
            _ => {}
        }
    }
    assert_cites_leave(&answer, &citations);
    assert!(events.iter().filter(|(name, _)| name == "output").count() > 5, "{events:?}");
    assert_eq!(events.last().unwrap(), &("guardrail".to_owned(), json!({ "action": "NONE" })));
    let mut again = request("How many?", MODEL);
    again["sessionId"] = json!(session_id);
    assert_eq!(generate(&fixture, again).await.body["sessionId"], session_id);
}

#[tokio::test]
async fn role_needs_the_permission_for_each_step() {
    let fixture = Fixture::new(&DOCUMENTS).await;
    for (missing, (action, _)) in PERMISSIONS.iter().enumerate() {
        let mut permissions = PERMISSIONS.to_vec();
        permissions.remove(missing);
        let access_key = fixture.add_role(&permissions);
        let stream_action = action.replace("InvokeModel*", "InvokeModelWithResponseStream");
        let action = action.trim_end_matches('*').to_owned();
        for (path, action) in [(GENERATE, action), (GENERATE_STREAM, stream_action)] {
            let response = fixture.call_as(&access_key, Method::POST, path, request(QUESTION, MODEL)).await;
            let (status, error_type, message) = response.error();
            assert_eq!((status, error_type), (403, "AccessDeniedException"), "{path} without {action}");
            assert!(message.contains(&format!("is not authorized to perform: {action} on")), "{message}");
        }
    }
    let other_model = "arn:aws:bedrock:us-east-1::foundation-model/parlance.slow";
    let access_key = fixture.add_role(&PERMISSIONS);
    let response = fixture.call_as(&access_key, Method::POST, GENERATE, request(QUESTION, other_model)).await;
    assert_eq!(response.status, 403);
    let response = fixture.call_as("unknown", Method::POST, GENERATE, request(QUESTION, MODEL)).await;
    assert_eq!((response.status, response.error_type.as_deref()), (403, Some("UnrecognizedClientException")));
}

#[tokio::test]
async fn session_continues_until_it_ends() {
    let fixture = Fixture::new(&DOCUMENTS).await;
    let first = generate(&fixture, request(QUESTION, MODEL)).await.body;
    let source_of_one = async |mut request: Value| {
        configuration(&mut request)["retrievalConfiguration"]["vectorSearchConfiguration"]["numberOfResults"] =
            json!(1);
        let body = generate(&fixture, request).await.body;
        let location = &body["citations"][0]["retrievedReferences"][0]["location"];
        (location["s3Location"]["uri"].clone(), body["sessionId"].clone())
    };
    let mut second = request("And each night, as an employee?", MODEL);
    let (source, _) = source_of_one(second.clone()).await;
    assert_ne!(source, LEAVE, "the question alone is about another document");
    second["sessionId"] = first["sessionId"].clone();
    assert_eq!(source_of_one(second).await, (json!(LEAVE), first["sessionId"].clone()));

    let mut unknown = request(QUESTION, MODEL);
    unknown["sessionId"] = json!("0d7f");
    let response = generate(&fixture, unknown).await;
    let message = "Session with Id 0d7f is not valid. Please check and try again.";
    assert_eq!(response.error(), (400, "ValidationException", message));
}

#[tokio::test]
async fn nothing_found_is_said_without_the_model() {
    let fixture = Fixture::new(&DOCUMENTS).await;
    let mut request = request(QUESTION, "parlance.throttled");
    let filter = json!({ "equals": { "key": "team", "value": "sales" } });
    configuration(&mut request)["retrievalConfiguration"]["vectorSearchConfiguration"]["filter"] = filter;
    let response = generate(&fixture, request).await;
    assert_eq!(response.body["output"]["text"], "Sorry, I am unable to assist you with this request.");
    assert_eq!((response.status, &response.body["citations"]), (200, &json!([])));
}

#[tokio::test]
async fn template_without_output_format_has_no_citations() {
    let fixture = Fixture::new(&DOCUMENTS).await;
    let mut request = request(QUESTION, MODEL);
    let template = "Answer $query$ from:\n$search_results$";
    configuration(&mut request)["generationConfiguration"] =
        json!({ "promptTemplate": { "textPromptTemplate": template } });
    let response = generate(&fixture, request).await;
    assert!(response.body["output"]["text"].as_str().unwrap().contains("25 days of leave"), "{response:?}");
    assert_eq!(response.body["citations"], json!([]));
}

#[tokio::test]
async fn errors_of_the_model_are_passed_on() {
    let fixture = Fixture::new(&DOCUMENTS).await;
    for (model, status, error_type) in [
        ("parlance.throttled", 429, "ThrottlingException"),
        ("parlance.exception", 424, "DependencyFailedException"),
        ("parlance.cut", 424, "DependencyFailedException"),
    ] {
        let response = generate(&fixture, request(QUESTION, model)).await;
        assert_eq!((response.status, response.error_type.as_deref()), (status, Some(error_type)), "{model}");
    }
    let administrator = fixture.backend.server.endpoint.administrator.access_key_id.clone();
    let request = request(QUESTION, "parlance.exception");
    let events = read_events(fixture.send_as(&administrator, Method::POST, GENERATE_STREAM, request).await).await;
    assert_eq!(events[0].0, "output");
    let (name, payload) = events.last().unwrap();
    assert_eq!(name, "dependencyFailedException");
    assert!(payload["message"].as_str().unwrap().starts_with("The system encountered"), "{payload}");
}

#[tokio::test]
async fn what_is_not_supported_or_unknown_is_named() {
    let fixture = Fixture::new(&DOCUMENTS).await;
    let mut guarded = request(QUESTION, MODEL);
    let guardrail = json!({ "guardrailId": "abc", "guardrailVersion": "1" });
    configuration(&mut guarded)["generationConfiguration"] = json!({ "guardrailConfiguration": guardrail });
    let message = "The local server does not support retrieveAndGenerateConfiguration.knowledgeBaseConfiguration.\
                   generationConfiguration.guardrailConfiguration.";
    assert_eq!(generate(&fixture, guarded).await.error(), (400, "ValidationException", message));
    let mut elsewhere = request(QUESTION, MODEL);
    configuration(&mut elsewhere)["knowledgeBaseId"] = json!("OTHERKB001");
    let message = "Knowledge base with id OTHERKB001 does not exist.";
    assert_eq!(generate(&fixture, elsewhere).await.error(), (404, "ResourceNotFoundException", message));
}

#[tokio::test]
async fn pause_of_the_database_fails_the_request() {
    let fixture = Fixture::with_options(&DOCUMENTS, with_fault(Fault::KnowledgeResuming)).await;
    let response = generate(&fixture, request(QUESTION, MODEL)).await;
    let (status, error_type, message) = response.error();
    assert_eq!((status, error_type), (400, "ValidationException"));
    assert!(message.contains("is resuming after being auto-paused. Please wait a few seconds"), "{message}");
}

#[tokio::test]
async fn vector_bucket_has_no_text_search_and_no_pause() {
    let with_vector_bucket = |options: ServerOptions| {
        let mut options = with_fault(Fault::KnowledgeResuming)(options);
        options.parameters.insert("KnowledgeStore".into(), "S3_VECTORS".into());
        options
    };
    let fixture = Fixture::with_options(&DOCUMENTS, with_vector_bucket).await;
    assert_eq!(generate(&fixture, request(QUESTION, MODEL)).await.status, 200);
    let mut hybrid = request(QUESTION, MODEL);
    configuration(&mut hybrid)["retrievalConfiguration"]["vectorSearchConfiguration"]["overrideSearchType"] =
        json!("HYBRID");
    let message = "HYBRID search type is not supported for search operation on index LOCALKB001. Retry your request \
                   with a different search type.";
    assert_eq!(generate(&fixture, hybrid).await.error(), (400, "ValidationException", message));
}
