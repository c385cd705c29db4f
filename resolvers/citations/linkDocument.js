import { runtime, util } from '@aws-appsync/utils';

/**
 * Asks the handler for a link to the document of a citation. Only documents in S3 need one; the source comes
 * from the stored event alone.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { citation } = ctx.stash;
  if (!citation) {
    const { eventId } = ctx.args;
    util.error(`The event ${eventId} is not among the last 3 MB of its turn.`, 'NotFound');
  }
  const source = citation.source ?? '';
  if (!source.startsWith('s3://')) runtime.earlyReturn({ citation, url: citation.url, expiresAt: null });
  return {
    operation: 'Invoke',
    invocationType: 'RequestResponse',
    payload: { type: 'linkDocument', source },
  };
}

/**
 * The link is null where the deployment gives none to the document's bucket.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function response(ctx) {
  if (ctx.error || !ctx.result) {
    if (ctx.error) console.error(ctx.error.type);
    util.error('The link could not be made. Try again.', 'TryAgain');
  }
  const { url, expiresAt } = ctx.result;
  return { citation: ctx.stash.citation, url, expiresAt };
}
