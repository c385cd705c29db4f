//! What the init function has made in the database.
use crate::services::Services;

const OBJECTS: [&str; 15] = [
    "column chunks text",
    "column custom_metadata jsonb",
    "column embedding vector(1024)",
    "column id uuid",
    "column metadata json",
    "extension vector",
    "grant DELETE",
    "grant INSERT",
    "grant SELECT",
    "grant UPDATE",
    "index bedrock_kb_chunks gin (to_tsvector('simple'::regconfig, chunks))",
    "index bedrock_kb_custom_metadata gin (custom_metadata)",
    "index bedrock_kb_embedding hnsw (embedding vector_cosine_ops) WITH (ef_construction='256')",
    "index bedrock_kb_pkey btree (id)",
    "role bedrock_user",
];

const QUERY: &str = "
    SELECT 'extension ' || extname FROM pg_extension WHERE extname = 'vector'
    UNION ALL
    SELECT 'role ' || rolname FROM pg_roles WHERE rolname = 'bedrock_user' AND rolcanlogin AND NOT rolsuper
    UNION ALL
    SELECT 'column ' || attname || ' ' || format_type(atttypid, atttypmod) FROM pg_attribute
        WHERE attrelid = to_regclass('bedrock_integration.bedrock_kb') AND attnum > 0
    UNION ALL
    SELECT 'index ' || indexname || ' ' || substring(indexdef FROM ' USING (.*)$') FROM pg_indexes
        WHERE schemaname = 'bedrock_integration' AND tablename = 'bedrock_kb'
    UNION ALL
    SELECT 'grant ' || privilege_type FROM information_schema.table_privileges
        WHERE grantee = 'bedrock_user'
    ORDER BY 1";

/// The objects that exist, sorted.
pub async fn present_objects(services: &Services) -> Vec<String> {
    let rows = services.postgres.admin().await.query(QUERY, &[]).await.expect("the objects");
    let mut objects: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    objects.sort();
    objects
}

pub fn is_complete(objects: &[String]) -> bool {
    objects == OBJECTS
}

pub async fn drop_everything(services: &Services) {
    let statements = "
        DROP SCHEMA IF EXISTS bedrock_integration CASCADE;
        DROP EXTENSION IF EXISTS vector CASCADE;
        DROP ROLE IF EXISTS bedrock_user;";
    services.postgres.admin().await.batch_execute(statements).await.expect("everything is dropped");
}
