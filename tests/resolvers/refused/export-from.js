// code.js:4:1: export … from is not part of APPSYNC_JS.
export const request = () => null;
export const response = () => null;
export { util } from '@aws-appsync/utils';
