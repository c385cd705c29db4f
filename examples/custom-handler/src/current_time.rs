//! A tool: the time in a time zone.
use handler::tool::{Tool, ToolCall, Value};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

pub struct CurrentTime;

#[derive(Deserialize)]
struct Arguments {
    #[serde(default = "utc")]
    zone: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

impl Tool for CurrentTime {
    fn name(&self) -> &str {
        "current_time"
    }

    async fn run(&self, call: ToolCall) -> Result<Value, String> {
        let Arguments { zone } = call.arguments()?;
        let now = Timestamp::now()
            .in_tz(&zone)
            .map_err(|_| format!("There is no time zone {zone}. Name one such as Europe/Berlin."))?;
        let time = now.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
        let day = now.strftime("%A").to_string();
        Ok(json!({ "zone": zone, "time": time, "day": day }))
    }
}
