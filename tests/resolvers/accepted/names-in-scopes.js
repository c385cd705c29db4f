import { util } from '@aws-appsync/utils';

export function request(ctx) {
  const { args, request } = ctx;
  const query = toQuery(args.query);
  const userAgent = describe(request);
  return { operation: 'Query', query, userAgent };
}

export function response(ctx) {
  const response = { items: ctx.result.items };
  if (ctx.result.nextToken) response.nextToken = ctx.result.nextToken;
  if (ctx.args.id) {
    const ctx = { stash: 1 };
    ctx.stash = 2;
    return ctx;
  }
  return response;
}

function toQuery(params) {
  const toQuery = { ...params };
  return toQuery;
}

function describe(request) {
  let util = request.headers['x-amz-user-agent'];
  util = `${util} local`;
  return util;
}

function fetch(resourcePath) {
  return { resourcePath, id: util.autoId() };
}
fetch('/');
