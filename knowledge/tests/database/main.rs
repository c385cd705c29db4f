//! The init function's process against a real PostgreSQL with pgvector.
mod bedrock_user;
mod function;
mod kills;
mod postgres;
mod schema;
mod services;
#[path = "../support/function.rs"]
mod support;

use std::{collections::HashMap, time::Duration};

use serde_json::{Value, json};

use function::{run_to_end, start};
use schema::{drop_everything, is_complete, present_objects};
use services::{DEFINITE, Fault, Faults, RESUMING, Services};

/// Longer than any of these tests needs.
const TIME: Duration = Duration::from_secs(120);
/// `BeginTransaction`, the statements, and `CommitTransaction`.
const CALLS: usize = 14;

fn fault_at(call: usize, fault: Fault) -> Faults {
    Faults { calls: HashMap::from([(call, fault)]), ..Faults::default() }
}

/// Waits until the Data API has got this call, counted from 0.
async fn wait_for_call(services: &Services, call: usize) {
    let arrival = async {
        while services.calls() <= call {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(TIME, arrival).await.expect("the function makes the call");
}

fn status(answers: &[Value]) -> &str {
    let [answer] = answers else { panic!("CloudFormation has one answer, not {answers:?}") };
    answer["Status"].as_str().expect("a status")
}

#[tokio::test]
async fn creation_makes_all_objects_and_is_answered() {
    let (services, mut responses) = Services::start().await;
    services.set_password("Tricky ' password \\ :with $1 $$ {password}");
    services.set_invocation(services.request("Create"), TIME, Faults::default());
    let output = run_to_end(&services, &mut responses).await.expect("the invocation succeeds");
    let answers = services.take_answers();
    let expected = json!([{
        "Status": "SUCCESS", "Reason": "", "PhysicalResourceId": "bedrock_integration.bedrock_kb",
        "StackId": "arn:aws:cloudformation:us-east-1:000000000000:stack/knowledge/1", "RequestId": "r1",
        "LogicalResourceId": "DatabaseInit", "Data": { "TableName": "bedrock_integration.bedrock_kb" },
    }]);
    assert_eq!(Value::from(answers), expected);
    assert!(is_complete(&present_objects(&services).await));
    let password = "Tricky ' password \\ :with $1 $$ {password}";
    services.postgres.connect("bedrock_user", password).await.expect("the user of the secret connects");
    assert!(!output.contains("Tricky") && !output.contains("/answer"), "{output}");
}

#[tokio::test]
async fn administrator_without_superuser_rights_is_enough() {
    let (services, mut responses) = Services::start_as(("limited", "secret")).await;
    let admin = services.postgres.admin().await;
    // Aurora lets its administrators create the extension.
    admin.batch_execute("CREATE EXTENSION vector").await.expect("the extension");
    admin.batch_execute("CREATE ROLE limited LOGIN CREATEROLE PASSWORD 'secret'").await.expect("a role");
    admin.batch_execute("ALTER DATABASE knowledge OWNER TO limited").await.expect("an owner");
    for _ in 0..2 {
        services.set_invocation(services.request("Create"), TIME, Faults::default());
        run_to_end(&services, &mut responses).await.expect("the invocation succeeds");
        assert_eq!(status(&services.take_answers()), "SUCCESS");
        assert!(is_complete(&present_objects(&services).await));
    }
}

#[tokio::test]
async fn failure_of_any_statement_leaves_nothing() {
    let (services, mut responses) = Services::start().await;
    for call in 0..CALLS {
        services.set_invocation(services.request("Create"), TIME, fault_at(call, DEFINITE));
        let output = run_to_end(&services, &mut responses).await.expect("the invocation succeeds");
        let answers = services.take_answers();
        assert_eq!(status(&answers), "FAILED", "call {call}: {output}");
        let reason = answers[0]["Reason"].as_str().expect("a reason");
        assert!(reason.starts_with("The database cannot be prepared. "), "{reason}");
        assert_eq!(present_objects(&services).await, Vec::<String>::new(), "call {call}");
        assert_eq!(services.expire_transactions(), 0, "call {call} leaves no transaction open");
    }
    // One more call than there are: nothing fails.
    services.set_invocation(services.request("Create"), TIME, fault_at(CALLS, DEFINITE));
    run_to_end(&services, &mut responses).await.expect("the invocation succeeds");
    assert_eq!(status(&services.take_answers()), "SUCCESS");
}

#[tokio::test]
async fn passing_failure_of_any_statement_is_repeated() {
    let (services, mut responses) = Services::start().await;
    for call in 0..CALLS {
        for fault in [RESUMING, Fault::AnswerLost] {
            services.set_invocation(services.request("Create"), TIME, fault_at(call, fault));
            let output = run_to_end(&services, &mut responses).await.expect("the invocation succeeds");
            assert_eq!(status(&services.take_answers()), "SUCCESS", "call {call}, {fault:?}: {output}");
            assert!(is_complete(&present_objects(&services).await), "call {call}, {fault:?}");
            services.expire_transactions();
            drop_everything(&services).await;
        }
    }
}

#[tokio::test]
async fn resuming_database_is_waited_for() {
    let (services, mut responses) = Services::start().await;
    let calls = (0..5).map(|call| (call, RESUMING)).collect();
    services.set_invocation(services.request("Create"), TIME, Faults { calls, ..Faults::default() });
    run_to_end(&services, &mut responses).await.expect("the invocation succeeds");
    assert_eq!(status(&services.take_answers()), "SUCCESS");
}

/// The function keeps 25 seconds for the answer, so this invocation has two seconds for the database.
#[tokio::test]
async fn database_that_does_not_answer_in_time_is_reported() {
    let (services, mut responses) = Services::start().await;
    let resuming = (0..100).map(|call| (call, RESUMING)).collect();
    for calls in [resuming, HashMap::from([(0, Fault::Hangs)]), HashMap::from([(6, Fault::Hangs)])] {
        let time = Duration::from_secs(27);
        services.set_invocation(services.request("Create"), time, Faults { calls, ..Faults::default() });
        run_to_end(&services, &mut responses).await.expect("the invocation succeeds");
        assert_eq!(status(&services.take_answers()), "FAILED");
        assert_eq!(present_objects(&services).await, Vec::<String>::new());
        assert_eq!(services.expire_transactions(), 0);
    }
}

/// Lambda repeats a killed invocation after a minute, the Data API ends its transaction after three.
#[tokio::test]
async fn transaction_of_a_killed_invocation_is_waited_for() {
    let (services, mut responses) = Services::start().await;
    services.set_invocation(services.request("Create"), TIME, fault_at(9, Fault::Hangs));
    let mut killed = start(&services);
    wait_for_call(&services, 9).await;
    killed.kill().await;
    services.set_invocation(services.request("Create"), TIME, Faults::default());
    let abandoned = services.abandoned_transactions();
    assert_eq!(abandoned.len(), 1);
    let expiry = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        drop(abandoned);
    };
    let (output, ()) = tokio::join!(run_to_end(&services, &mut responses), expiry);
    output.expect("the invocation succeeds");
    assert_eq!(status(&services.take_answers()), "SUCCESS");
    assert!(is_complete(&present_objects(&services).await));
}

#[tokio::test]
async fn repetition_keeps_the_rows_and_takes_the_new_password() {
    let (services, mut responses) = Services::start().await;
    for (request_type, password) in [("Create", "one"), ("Create", "two"), ("Update", "three")] {
        services.set_password(password);
        services.set_invocation(services.request(request_type), TIME, Faults::default());
        run_to_end(&services, &mut responses).await.expect("the invocation succeeds");
        assert_eq!(status(&services.take_answers()), "SUCCESS");
        let user = services.postgres.connect("bedrock_user", password).await.expect("the new password is valid");
        let insert = "INSERT INTO bedrock_integration.bedrock_kb (id, chunks) VALUES (gen_random_uuid(), 'a')";
        user.execute(insert, &[]).await.expect("a row");
    }
    let admin = services.postgres.admin().await;
    let row = admin.query_one("SELECT count(*) FROM bedrock_integration.bedrock_kb", &[]).await.expect("a row");
    assert_eq!(row.get::<_, i64>(0), 3);
    assert!(services.postgres.connect("bedrock_user", "two").await.is_err(), "the old password is not valid");
}

#[tokio::test]
async fn deletion_succeeds_without_a_database() {
    let (services, mut responses) = Services::start().await;
    let mut request = services.request("Delete");
    request["PhysicalResourceId"] = json!("an id from before");
    request["ResourceProperties"] = json!({});
    let faults = Faults { calls: (0..100).map(|call| (call, DEFINITE)).collect(), ..Faults::default() };
    services.set_invocation(request, TIME, faults);
    run_to_end(&services, &mut responses).await.expect("the invocation succeeds");
    let answers = services.take_answers();
    assert_eq!((status(&answers), &answers[0]["PhysicalResourceId"]), ("SUCCESS", &json!("an id from before")));
}

#[tokio::test]
async fn wrong_properties_and_secrets_are_reported() {
    let (services, mut responses) = Services::start().await;
    let mut without_cluster = services.request("Create");
    without_cluster["ResourceProperties"]["ClusterArn"] = Value::Null;
    services.set_invocation(without_cluster, TIME, Faults::default());
    run_to_end(&services, &mut responses).await.expect("the invocation succeeds");
    assert_eq!(status(&services.take_answers()), "FAILED");
    for password in ["", "a\0b"] {
        services.set_password(password);
        services.set_invocation(services.request("Create"), TIME, Faults::default());
        run_to_end(&services, &mut responses).await.expect("the invocation succeeds");
        let answers = services.take_answers();
        assert_eq!(status(&answers), "FAILED");
        assert!(answers[0]["Reason"].as_str().is_some_and(|reason| reason.contains("the password of bedrock_user")));
    }
}

#[tokio::test]
async fn refused_answer_is_sent_again() {
    let (services, mut responses) = Services::start().await;
    let faults = Faults { refused_answers: 4, refusal_status: 503, ..Faults::default() };
    services.set_invocation(services.request("Create"), TIME, faults);
    run_to_end(&services, &mut responses).await.expect("the invocation succeeds");
    assert_eq!(status(&services.take_answers()), "SUCCESS");
    // Lambda repeats an invocation that fails.
    let faults = Faults { refused_answers: 1, refusal_status: 403, ..Faults::default() };
    services.set_invocation(services.request("Create"), TIME, faults);
    let error = run_to_end(&services, &mut responses).await.expect_err("the invocation fails");
    assert_eq!(error["errorType"], "Init.NotAnswered");
    assert_eq!(services.take_answers(), Vec::<Value>::new());
}
