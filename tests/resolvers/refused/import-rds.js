// code.js:2:22: @aws-appsync/utils/rds cannot be imported; @aws-appsync/utils and @aws-appsync/utils/dynamodb can.
import * as rds from '@aws-appsync/utils/rds';

export const request = () => rds;
export const response = () => null;
