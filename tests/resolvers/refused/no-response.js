// code.js: a file exports a function response; this one does not.
export const request = () => null;
