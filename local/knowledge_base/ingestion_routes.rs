//! The operations StartIngestionJob, GetIngestionJob and ListIngestionJobs.
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    IngestionJob, KnowledgeBase,
    job_list::{StartJob, StartOutcome},
    service_error::{self, constraint},
};
use crate::{bedrock::BedrockError, json_service::parse_request, object_only};

const DEFAULT_PAGE: usize = 10;
const MAX_PAGE: usize = 1_000;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StartIngestionJobRequest {
    client_token: Option<String>,
    description: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ListIngestionJobsRequest {
    #[serde(default, deserialize_with = "object_only::deserialize_list")]
    filters: Vec<JobFilter>,
    max_results: Option<usize>,
    next_token: Option<String>,
    #[serde(default, deserialize_with = "object_only::deserialize_option")]
    sort_by: Option<SortBy>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JobFilter {
    attribute: String,
    operator: String,
    values: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SortBy {
    attribute: String,
    order: String,
}

pub fn start(knowledge: &KnowledgeBase, body: &[u8]) -> Result<Value, BedrockError> {
    let StartIngestionJobRequest { client_token, description } = parse_optional(body)?;
    if client_token.as_ref().is_some_and(|token| !(33..=256).contains(&token.len())) {
        return Err(constraint("clientToken", "have length between 33 and 256"));
    }
    if description.as_ref().is_some_and(|text| !(1..=200).contains(&text.chars().count())) {
        return Err(constraint("description", "have length between 1 and 200"));
    }
    match knowledge.start_job(StartJob { client_token, description }) {
        StartOutcome::Started(job) | StartOutcome::Known(job) => Ok(json!({ "ingestionJob": job.to_json() })),
        StartOutcome::Busy => Err(service_error::job_is_running()),
    }
}

pub fn get(knowledge: &KnowledgeBase, job_id: &str) -> Result<Value, BedrockError> {
    let jobs = knowledge.0.jobs.borrow();
    let job = jobs.get(job_id).ok_or_else(|| service_error::not_found(&format!("Ingestion job with id {job_id}")))?;
    Ok(json!({ "ingestionJob": job.to_json() }))
}

/// The newest job is the first, unless another order is asked for.
pub fn list(knowledge: &KnowledgeBase, body: &[u8]) -> Result<Value, BedrockError> {
    let request: ListIngestionJobsRequest = parse_optional(body)?;
    let page_size = request.max_results.unwrap_or(DEFAULT_PAGE);
    if !(1..=MAX_PAGE).contains(&page_size) {
        return Err(constraint("maxResults", &format!("have value between 1 and {MAX_PAGE}")));
    }
    for JobFilter { attribute, operator, .. } in &request.filters {
        if attribute != "STATUS" || operator != "EQ" {
            return Err(constraint("filters", "have the attribute STATUS and the operator EQ"));
        }
    }
    let mut jobs: Vec<IngestionJob> = knowledge.0.jobs.borrow().iter().rev().cloned().collect();
    jobs.retain(|job| request.filters.iter().all(|filter| filter.values.iter().any(|name| name == job.status.name())));
    if let Some(sort_by) = &request.sort_by {
        sort(&mut jobs, sort_by)?;
    }
    let first = request.next_token.as_deref().map_or(Ok(0), parse_token)?;
    let end = jobs.len().min(first.saturating_add(page_size));
    let summaries: Vec<Value> =
        jobs.get(first..end).unwrap_or_default().iter().map(IngestionJob::to_summary_json).collect();
    let mut response = json!({ "ingestionJobSummaries": summaries });
    if end < jobs.len() {
        response["nextToken"] = json!(end.to_string());
    }
    Ok(response)
}

fn sort(jobs: &mut [IngestionJob], SortBy { attribute, order }: &SortBy) -> Result<(), BedrockError> {
    match attribute.as_str() {
        "STARTED_AT" => jobs.sort_by_key(|job| job.started_at),
        "STATUS" => jobs.sort_by_key(|job| job.status.name()),
        _ => return Err(constraint("sortBy.attribute", "satisfy enum value set: [STATUS, STARTED_AT]")),
    }
    match order.as_str() {
        "ASCENDING" => {}
        "DESCENDING" => jobs.reverse(),
        _ => return Err(constraint("sortBy.order", "satisfy enum value set: [ASCENDING, DESCENDING]")),
    }
    Ok(())
}

/// The token holds how many jobs are before its page.
fn parse_token(token: &str) -> Result<usize, BedrockError> {
    token.parse().map_err(|_| BedrockError::validation("The token nextToken is invalid."))
}

/// A request without members may have no body.
fn parse_optional<R: Default + DeserializeOwned>(body: &[u8]) -> Result<R, BedrockError> {
    if body.is_empty() {
        return Ok(R::default());
    }
    parse_request(body).map_err(BedrockError::validation)
}
