import { util } from '@aws-appsync/utils';

/**
 * Refuses subscribers where one-shot answers are not broadcast. An answer is a text, which no filter can
 * limit to one caller.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  if (ctx.identity) util.unauthorized();
  const { ONE_SHOT, ONE_SHOT_BROADCAST } = ctx.env;
  const isBroadcast = ONE_SHOT === 'true' && ONE_SHOT_BROADCAST === 'true';
  if (!isBroadcast) util.error('One-shot answers are not broadcast.', 'Disabled');
  return { payload: null };
}

/** Returns null, because AppSync would deliver any other value as the first answer. */
export function response() {
  return null;
}
