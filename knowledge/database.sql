-- What Amazon Bedrock needs in the database of a knowledge base. The init function runs these statements in
-- one transaction of the RDS Data API, as the cluster's administrator. They are idempotent. Each paragraph is
-- one statement; {password} stands for the password of bedrock_user as a literal.

-- The wait for a transaction that an earlier delivery has left open ends before the Data API's own 45 seconds.
SET LOCAL lock_timeout = '20s'

-- Two deliveries of one event run one after the other. The number only has to be the same everywhere.
SELECT CAST(pg_advisory_xact_lock(7262091583) AS text)

CREATE EXTENSION IF NOT EXISTS vector

CREATE SCHEMA IF NOT EXISTS bedrock_integration

DO $$
BEGIN
  CREATE ROLE bedrock_user LOGIN;
EXCEPTION WHEN duplicate_object THEN
  NULL;
END
$$

ALTER ROLE bedrock_user LOGIN PASSWORD {password}

CREATE TABLE IF NOT EXISTS bedrock_integration.bedrock_kb (
  id uuid PRIMARY KEY,
  embedding vector(1024),
  chunks text,
  metadata json,
  custom_metadata jsonb
)

CREATE INDEX IF NOT EXISTS bedrock_kb_embedding ON bedrock_integration.bedrock_kb
  USING hnsw (embedding vector_cosine_ops) WITH (ef_construction = 256)

-- Bedrock refuses a table without this index on exactly this expression.
CREATE INDEX IF NOT EXISTS bedrock_kb_chunks ON bedrock_integration.bedrock_kb
  USING gin (to_tsvector('simple', chunks))

CREATE INDEX IF NOT EXISTS bedrock_kb_custom_metadata ON bedrock_integration.bedrock_kb
  USING gin (custom_metadata)

GRANT USAGE ON SCHEMA bedrock_integration TO bedrock_user

GRANT SELECT, INSERT, UPDATE, DELETE ON bedrock_integration.bedrock_kb TO bedrock_user
