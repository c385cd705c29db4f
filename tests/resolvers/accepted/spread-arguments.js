const join = (separator, ...texts) => texts.join(separator);
const pair = (first, second) => [first, second];

export function request(ctx) {
  const list = [];
  list.push(...ctx.args.list);
  list.push(pair(...ctx.args.list), join(...list), 'a'.slice(...ctx.args.list));
  console.log(...list);
  Object.assign({}, ...list);
  return { max: Math.max(...list, 1), text: join(', ', ...list), pair: pair(...[1, 2]), copy: [...list], all: { ...ctx.args } };
}

export const response = () => null;
