// code.js:2:8: async is not part of APPSYNC_JS.
export async function request(ctx) {
  return 1;
}

export const response = () => null;
