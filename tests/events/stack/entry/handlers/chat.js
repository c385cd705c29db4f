import { runtime, util } from '@aws-appsync/utils';

export const onPublish = {
  request(ctx) {
    if (ctx.info.channel.path !== `/chat/request/${ctx.identity.sub}`) util.unauthorized();
    const events = ctx.events.map((event) =>
      event.payload.content ? event : { id: event.id, error: 'The message has no content.' },
    );
    ctx.stash.events = events;
    const messages = events.filter((event) => !event.error);
    if (messages.length === 0) runtime.earlyReturn(events);
    return {
      operation: 'Invoke',
      invocationType: 'Event',
      payload: { sub: ctx.identity.sub, messages: messages.map((event) => event.payload) },
    };
  },

  response(ctx) {
    if (ctx.error) util.error('The message could not be queued.', ctx.error.type);
    return ctx.stash.events;
  },
};
