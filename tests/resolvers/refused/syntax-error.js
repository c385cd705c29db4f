// code.js:3:11: Unexpected token.
export const request = () => {
  return (];
};
export const response = () => null;
