// code.js: a file exports a function request; this one does not.
export const response = () => null;
