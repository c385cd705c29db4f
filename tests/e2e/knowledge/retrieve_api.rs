//! The operation Retrieve on the wire: results, pages, filters, permissions and errors.
use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    api_client::{RETRIEVE, Response},
    fixture::{DOCUMENTS, Fixture},
};

async fn retrieve(fixture: &Fixture, body: Value) -> Response {
    fixture.call(Method::POST, RETRIEVE, body).await
}

fn search(configuration: Value) -> Value {
    json!({
        "retrievalQuery": { "text": "How many days of leave do employees get?" },
        "retrievalConfiguration": { "vectorSearchConfiguration": configuration },
    })
}

#[tokio::test]
async fn result_has_text_location_score_and_metadata() {
    let fixture = Fixture::new(&DOCUMENTS).await;
    let metadata = json!({ "metadataAttributes": { "year": 2026, "public": true, "tags": ["hr"] } });
    fixture.change(|| fixture.write("leave.md.metadata.json", &metadata.to_string())).await;
    for search_type in ["HYBRID", "SEMANTIC"] {
        let response =
            retrieve(&fixture, search(json!({ "numberOfResults": 1, "overrideSearchType": search_type }))).await;
        let results = response.body["retrievalResults"].as_array().unwrap();
        assert_eq!((response.status, results.len()), (200, 1), "{response:?}");
        let result = &results[0];
        assert_eq!(result["content"]["type"], "TEXT");
        assert!(result["content"]["text"].as_str().unwrap().contains("25 days of leave"));
        let uri = "s3://local-knowledge/leave.md";
        assert_eq!(result["location"], json!({ "type": "S3", "s3Location": { "uri": uri } }));
        assert!((0.0..=1.0).contains(&result["score"].as_f64().unwrap()));
        let metadata = &result["metadata"];
        assert_eq!(metadata["x-amz-bedrock-kb-source-uri"], uri);
        assert_eq!(metadata["x-amz-bedrock-kb-data-source-id"], "LOCALDS001");
        assert!(metadata["x-amz-bedrock-kb-chunk-id"].is_string());
        let attributes = [&metadata["year"], &metadata["public"], &metadata["tags"]];
        assert_eq!(attributes, [&json!(2026), &json!(true), &json!(["hr"])]);
    }
}

#[tokio::test]
async fn pages_have_every_passage_once() {
    let fixture = Fixture::new(&DOCUMENTS).await;
    let mut found = Vec::new();
    let mut request = search(json!({ "numberOfResults": 1 }));
    loop {
        let response = retrieve(&fixture, request.clone()).await;
        let uri = &response.body["retrievalResults"][0]["location"]["s3Location"]["uri"];
        found.push(uri.as_str().unwrap().to_owned());
        match &response.body["nextToken"] {
            Value::Null => break,
            token => request["nextToken"] = token.clone(),
        }
    }
    assert_eq!((found.len(), BTreeSet::from_iter(&found).len()), (3, 3), "{found:?}");
    request["retrievalQuery"]["text"] = json!("Another question");
    let response = retrieve(&fixture, request).await;
    let message = "The token for the next page belongs to another search.";
    assert_eq!(response.error(), (400, "ValidationException", message));
}

#[tokio::test]
async fn filter_selects_documents() {
    let fixture = Fixture::new(&DOCUMENTS).await;
    let metadata = json!({ "metadataAttributes": { "year": 2026 } });
    fixture.change(|| fixture.write("security.txt.metadata.json", &metadata.to_string())).await;
    let filter = json!({ "greaterThan": { "key": "year", "value": 2025 } });
    let response = retrieve(&fixture, search(json!({ "filter": filter }))).await;
    let results = response.body["retrievalResults"].as_array().unwrap();
    assert_eq!(results.len(), 1);
    assert_eq!(results[0]["location"]["s3Location"]["uri"], "s3://local-knowledge/security.txt");
}

#[tokio::test]
async fn invalid_requests_are_refused() {
    let fixture = Fixture::new(&DOCUMENTS).await;
    let constraint = |member: &str, rule: &str| {
        format!("1 validation error detected: Value at '{member}' failed to satisfy constraint: Member must {rule}")
    };
    let path = "retrievalConfiguration.vectorSearchConfiguration";
    let results = format!("{path}.numberOfResults");
    let long = "a".repeat(1_001);
    let reranking = json!({
        "type": "OTHER",
        "bedrockRerankingConfiguration": { "modelConfiguration": { "modelArn": "arn" } },
    });
    for (body, message) in [
        (
            json!({ "retrievalQuery": { "text": " " } }),
            constraint("retrievalQuery.text", "have length greater than or equal to 1"),
        ),
        (
            json!({ "retrievalQuery": { "text": long } }),
            constraint("retrievalQuery.text", "have length less than or equal to 1000"),
        ),
        (search(json!({ "numberOfResults": 0 })), constraint(&results, "have value greater than or equal to 1")),
        (search(json!({ "numberOfResults": 101 })), constraint(&results, "have value less than or equal to 100")),
        (
            search(json!({ "overrideSearchType": "LEXICAL" })),
            constraint(&format!("{path}.overrideSearchType"), "satisfy enum value set: [HYBRID, SEMANTIC]"),
        ),
        (
            search(json!({ "rerankingConfiguration": reranking })),
            constraint(
                &format!("{path}.rerankingConfiguration.type"),
                "satisfy enum value set: [BEDROCK_RERANKING_MODEL]",
            ),
        ),
        (
            search(json!({ "filter": { "orAll": [] } })),
            "The filter operator orAll takes a list of at least 2 filters.".to_owned(),
        ),
        (json!({}), "missing field `retrievalQuery` at line 1 column 2".to_owned()),
    ] {
        let response = retrieve(&fixture, body.clone()).await;
        assert_eq!(response.error(), (400, "ValidationException", message.as_str()), "{body}");
    }
}

#[tokio::test]
async fn role_needs_the_permission_for_the_knowledge_base() {
    let fixture = Fixture::new(&DOCUMENTS).await;
    let body = || search(json!({}));
    let response = fixture.call_with_permission("bedrock:Retrieve", Method::POST, RETRIEVE, body()).await;
    assert_eq!(response.status, 200);
    let response = fixture.call_with_permission("bedrock:StartIngestionJob", Method::POST, RETRIEVE, body()).await;
    let message = "User: arn:aws:sts::000000000000:assumed-role/Searcher/test is not authorized to perform: \
         bedrock:Retrieve on resource: arn:aws:bedrock:us-east-1:000000000000:knowledge-base/LOCALKB001 because no \
         identity-based policy allows the bedrock:Retrieve action";
    assert_eq!(response.error(), (403, "AccessDeniedException", message));
    let response = fixture.call_as("unknown", Method::POST, RETRIEVE, body()).await;
    let message = "The security token included in the request is invalid.";
    assert_eq!(response.error(), (403, "UnrecognizedClientException", message));
}

#[tokio::test]
async fn reranking_needs_the_permission_for_its_model() {
    let fixture = Fixture::new(&DOCUMENTS).await;
    let model = "arn:aws:bedrock:us-east-1::foundation-model/cohere.rerank-v3-5:0";
    let reranking = json!({
        "type": "BEDROCK_RERANKING_MODEL",
        "bedrockRerankingConfiguration": {
            "modelConfiguration": { "modelArn": model },
            "numberOfRerankedResults": 2,
        },
    });
    let body = search(json!({ "rerankingConfiguration": reranking }));
    let response = retrieve(&fixture, body.clone()).await;
    assert_eq!(response.body["retrievalResults"].as_array().unwrap().len(), 2);
    let response = fixture.call_with_permission("bedrock:Retrieve", Method::POST, RETRIEVE, body).await;
    let (status, error_type, message) = response.error();
    assert_eq!((status, error_type), (403, "AccessDeniedException"));
    assert!(message.contains("bedrock:Rerank"), "{message}");
}

#[tokio::test]
async fn unknown_knowledge_base_is_not_found() {
    let fixture = Fixture::new(&DOCUMENTS).await;
    let response = fixture.call(Method::POST, "/knowledgebases/OTHERKB001/retrieve", search(json!({}))).await;
    let message = "Knowledge base with id OTHERKB001 does not exist.";
    assert_eq!(response.error(), (404, "ResourceNotFoundException", message));
}
