const twice = (n) => n * 2;

function isEven(n) {
  return n % 2 === 0;
}

export function request(ctx) {
  const add = function (sum, n) {
    return sum + n;
  };
  return ctx.args.list.map(twice).filter(isEven).reduce(add, 0) + twice(1);
}

export const response = (ctx) => ctx.result.items.map((item) => item.id);
