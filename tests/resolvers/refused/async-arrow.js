// code.js:2:24: async is not part of APPSYNC_JS.
export const request = async () => 1;
export const response = () => null;
