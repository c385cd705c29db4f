// code.js:2:1: a generator is not part of APPSYNC_JS.
function* numbers() {
  yield 1;
}

export const request = () => null;
export const response = () => null;
