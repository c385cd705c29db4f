//! What Bedrock does in the database works as `bedrock_user`, and nothing else does.
use tokio_postgres::Client;

use crate::{
    TIME,
    function::run_to_end,
    services::{Faults, Services},
};

/// A vector of 1,024 numbers that are 0 but for one.
fn unit_vector(index: usize) -> String {
    let numbers: Vec<&str> = (0..1_024).map(|position| if position == index { "1" } else { "0" }).collect();
    format!("[{}]", numbers.join(","))
}

async fn insert(user: &Client, id: u32, chunk: &str, owner: &str) {
    let sql = format!(
        "INSERT INTO bedrock_integration.bedrock_kb (id, embedding, chunks, metadata, custom_metadata) VALUES
         ('00000000-0000-0000-0000-{id:012}', '{}', '{chunk}', '{{\"source\":\"s3://a\"}}', '{{\"owner\":\"{owner}\"}}')",
        unit_vector(id as usize)
    );
    assert_eq!(user.execute(&sql, &[]).await.expect("a row is inserted"), 1);
}

/// The chunks that a query returns.
async fn chunks(user: &Client, query: &str) -> Vec<String> {
    let sql = format!("SELECT chunks FROM bedrock_integration.bedrock_kb {query}");
    let rows = user.query(&sql, &[]).await.expect("the query runs");
    rows.iter().map(|row| row.get(0)).collect()
}

/// AWS does not publish Bedrock's statements. These are the operations that its documentation of the store
/// describes.
#[tokio::test]
async fn statements_of_bedrock_run_as_bedrock_user() {
    let (services, mut responses) = Services::start().await;
    services.set_invocation(services.request("Create"), TIME, Faults::default());
    run_to_end(&services, &mut responses).await.expect("the invocation succeeds");
    let user = services.postgres.connect("bedrock_user", "secret").await.expect("bedrock_user connects");
    for (id, chunk, owner) in [(1, "The fox jumps", "ada"), (2, "A dog sleeps", "ada"), (3, "The fox sleeps", "bob")] {
        insert(&user, id, chunk, owner).await;
    }
    let nearest = |owner: &str| {
        format!("WHERE custom_metadata->>'owner' = '{owner}' ORDER BY embedding <=> '{}' LIMIT 1", unit_vector(3))
    };
    assert_eq!(chunks(&user, &nearest("bob")).await, ["The fox sleeps"]);
    let contains = format!(
        "WHERE custom_metadata @> '{{\"owner\": \"ada\"}}' ORDER BY embedding <=> '{}' LIMIT 1",
        unit_vector(2)
    );
    assert_eq!(chunks(&user, &contains).await, ["A dog sleeps"]);
    let text_search = "WHERE to_tsvector('simple', chunks) @@ plainto_tsquery('simple', 'fox')
        ORDER BY ts_rank(to_tsvector('simple', chunks), plainto_tsquery('simple', 'fox')) DESC, id";
    assert_eq!(chunks(&user, text_search).await, ["The fox jumps", "The fox sleeps"]);
    user.batch_execute("SET hnsw.ef_search = 200; SET hnsw.iterative_scan = strict_order").await.expect("settings");
    let update = "UPDATE bedrock_integration.bedrock_kb SET chunks = 'A cat' WHERE chunks = 'A dog sleeps'";
    assert_eq!(user.execute(update, &[]).await.expect("a row is changed"), 1);
    let delete = "DELETE FROM bedrock_integration.bedrock_kb WHERE metadata->>'source' = 's3://a'";
    assert_eq!(user.execute(delete, &[]).await.expect("rows are deleted"), 3);
    // The checks when a knowledge base is created.
    let indexes = "SELECT count(*) FROM pg_indexes WHERE schemaname = 'bedrock_integration'";
    assert_eq!(user.query_one(indexes, &[]).await.expect("a count").get::<_, i64>(0), 4);
    let columns = "SELECT count(*) FROM information_schema.columns WHERE table_name = 'bedrock_kb'";
    assert_eq!(user.query_one(columns, &[]).await.expect("a count").get::<_, i64>(0), 5);
}

#[tokio::test]
async fn searches_use_the_indexes() {
    let (services, mut responses) = Services::start().await;
    services.set_invocation(services.request("Create"), TIME, Faults::default());
    run_to_end(&services, &mut responses).await.expect("the invocation succeeds");
    let user = services.postgres.connect("bedrock_user", "secret").await.expect("bedrock_user connects");
    // The planner takes an index of a small table only without its alternatives.
    user.batch_execute("SET enable_seqscan = off; SET enable_sort = off").await.expect("settings");
    let vector = format!("ORDER BY embedding <=> '{}' LIMIT 5", unit_vector(1));
    for (query, index) in [
        (vector.as_str(), "bedrock_kb_embedding"),
        ("WHERE to_tsvector('simple', chunks) @@ plainto_tsquery('simple', 'fox')", "bedrock_kb_chunks"),
        ("WHERE custom_metadata @> '{\"owner\": \"ada\"}'", "bedrock_kb_custom_metadata"),
    ] {
        let sql = format!("EXPLAIN SELECT chunks FROM bedrock_integration.bedrock_kb {query}");
        let rows = user.query(&sql, &[]).await.expect("a plan");
        let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        assert!(plan.iter().any(|line| line.contains(index)), "{index}: {plan:?}");
    }
}

#[tokio::test]
async fn everything_else_is_denied_to_bedrock_user() {
    let (services, mut responses) = Services::start().await;
    services.set_invocation(services.request("Create"), TIME, Faults::default());
    run_to_end(&services, &mut responses).await.expect("the invocation succeeds");
    let admin = services.postgres.admin().await;
    admin.batch_execute("CREATE TABLE public.other (a int); CREATE SCHEMA private").await.expect("other objects");
    let user = services.postgres.connect("bedrock_user", "secret").await.expect("bedrock_user connects");
    for statement in [
        "TRUNCATE bedrock_integration.bedrock_kb",
        "DROP TABLE bedrock_integration.bedrock_kb",
        "ALTER TABLE bedrock_integration.bedrock_kb ADD COLUMN a int",
        "CREATE INDEX ON bedrock_integration.bedrock_kb (chunks)",
        "DROP INDEX bedrock_integration.bedrock_kb_chunks",
        "CREATE TABLE bedrock_integration.another (a int)",
        "CREATE TABLE public.another (a int)",
        "CREATE TABLE private.another (a int)",
        "SELECT * FROM public.other",
        "INSERT INTO public.other VALUES (1)",
        "DROP SCHEMA bedrock_integration CASCADE",
        "CREATE SCHEMA another",
        "DROP EXTENSION vector",
        "CREATE EXTENSION pg_trgm",
        "CREATE ROLE another",
        "ALTER ROLE bedrock_user CREATEROLE",
        "ALTER ROLE administrator PASSWORD 'a'",
        "GRANT SELECT ON bedrock_integration.bedrock_kb TO PUBLIC WITH GRANT OPTION",
        "SET ROLE administrator",
        "CREATE DATABASE another",
        "SELECT * FROM pg_authid",
        "SELECT pg_read_file('PG_VERSION')",
        "COPY bedrock_integration.bedrock_kb TO PROGRAM 'cat'",
    ] {
        let error = user.execute(statement, &[]).await.expect_err(statement);
        let code = error.code().map(|code| code.code().to_owned()).unwrap_or_default();
        let denied = ["42501", "0LP01", "0A000"];
        assert!(denied.contains(&code.as_str()), "{statement}: {code} {error}");
    }
}
