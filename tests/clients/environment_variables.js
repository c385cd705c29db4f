/** The value of an environment variable that .ci/run sets. */
export function required(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} must be set; .ci/run shows how.`);
  return value;
}
