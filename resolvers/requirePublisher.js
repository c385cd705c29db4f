import { runtime, util } from '@aws-appsync/utils';

/**
 * Lets in the handler and, where events are published, the closer: a grant for the whole API, such as an administrator's, is not enough.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { HANDLER_SESSIONS, CLOSER_SESSIONS } = ctx.env;
  const publishers = ctx.info.fieldName === 'agentPublishEvent' ? [HANDLER_SESSIONS, CLOSER_SESSIONS] : [HANDLER_SESSIONS];
  if (!publishers.some((sessions) => ctx.identity?.userArn?.startsWith(sessions))) util.unauthorized();
  return runtime.earlyReturn({});
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  return ctx.prev.result;
}
