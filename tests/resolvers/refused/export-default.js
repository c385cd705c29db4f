// code.js:4:1: export default is not part of APPSYNC_JS.
export const request = () => null;
export const response = () => null;
export default 1;
