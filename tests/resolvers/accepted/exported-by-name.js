const request = () => ({});
const response = (context) => context.result;

export { request, response };
