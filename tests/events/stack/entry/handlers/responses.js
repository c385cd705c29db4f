import { util } from '@aws-appsync/utils';

export function onSubscribe(ctx) {
  if (ctx.info.channel.path !== `/responses/${ctx.identity.sub}`) util.unauthorized();
}
