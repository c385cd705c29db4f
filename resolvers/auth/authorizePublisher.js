import { runtime, util } from '@aws-appsync/utils';

/**
 * Lets only the handler publish; events may come from the closer too. A policy that allows the whole API,
 * such as an administrator's, is not enough.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { HANDLER_SESSIONS, CLOSER_SESSIONS } = ctx.env;
  /** @type {any} */
  const identity = ctx.identity;
  const publishesEvent = ctx.info.fieldName === 'agentPublishEvent';
  const publishers = publishesEvent ? [HANDLER_SESSIONS, CLOSER_SESSIONS] : [HANDLER_SESSIONS];
  if (!publishers.some((sessions) => identity?.userArn?.startsWith(sessions))) util.unauthorized();
  return runtime.earlyReturn({});
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  return ctx.prev.result;
}
