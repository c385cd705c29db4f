import { util } from '@aws-appsync/utils';

/**
 * Has the handler answer the input, and waits for the answer. Nothing is stored. Where the deployment says
 * so, Bedrock itself searches the agent's documents and answers.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { agent, callerCredential, oneShot } = ctx.stash;
  const retrieveAndGenerate = ctx.env.ONE_SHOT_RETRIEVE_AND_GENERATE === 'true' && !!agent.knowledge;
  const isShort = !retrieveAndGenerate || ctx.args.input.length <= 1000;
  requireInput('input', isShort, 'at most 1,000 characters where RetrieveAndGenerate answers');
  return {
    operation: 'Invoke',
    invocationType: 'RequestResponse',
    payload: {
      type: 'oneShot',
      ...oneShot,
      agent: toPayloadAgent(agent),
      text: ctx.args.input,
      retrieveAndGenerate,
      callerCredential,
    },
  };
}

/**
 * Returns the text of the answer, which subscribers of onModelResponse get too. They get nothing of an error.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function response(ctx) {
  const { failure, text } = ctx.result ?? {};
  if (ctx.error || (!failure && !text)) {
    if (ctx.error) console.error(ctx.error.type);
    util.error('The answer could not be started, or was interrupted. Try again.', 'TryAgain');
  }
  if (failure) {
    const { code, message, retryable } = failure;
    util.error(message, 'AnswerFailed', null, { code, retryable });
  }
  return text;
}

// Copies of helpers in resolvers/shared.js, which says why.

/** Refuses an argument of the request. */
function requireInput(field, isValid, requirement) {
  if (!isValid) util.error(`${field} must be ${requirement}.`, 'InvalidInput', null, { field });
}

/** An agent as the handler gets it. */
function toPayloadAgent(agent) {
  const { id, version, name, modelId, systemPrompt, inference, contextBytes } = agent;
  const { reasoning, promptCaching, fallbackModelIds, guardrail } = agent;
  const { tools, maxSteps, toolTimeoutSeconds, knowledge } = agent;
  const model = { modelId, systemPrompt, inference, contextBytes };
  const settings = { reasoning, promptCaching, fallbackModelIds, guardrail };
  return { id, version, name, ...model, ...settings, tools, maxSteps, toolTimeoutSeconds, knowledge };
}
