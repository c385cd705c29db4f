// code.js:3:3: context.args cannot be replaced in APPSYNC_JS; its members can.
export const request = (context) => {
  context.args = {};
};

export const response = () => null;
