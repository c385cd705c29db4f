/** An error whose message is a sentence for the person who deploys. */
export class DeployError extends Error {}
