// code.js:2:40: @aws-appsync/utils/rds runs on AWS, but not on the local server.
import { createPgStatement, sql } from '@aws-appsync/utils/rds';

export function request(ctx) {
  return createPgStatement(sql`select ${ctx.args.id}`);
}

export function response(ctx) {
  return ctx.result;
}
