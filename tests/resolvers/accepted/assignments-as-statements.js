export function request(ctx) {
  let total = 0;
  let [first, second] = [1, 2];
  [first, second] = [second, first];
  total += 1;
  total -= 1;
  total *= 2;
  total /= 2;
  total %= 2;
  total **= 2;
  total &= 3;
  total |= 3;
  total ^= 3;
  total <<= 3;
  total >>= 3;
  total >>>= 3;
  ctx.args.list.forEach((one) => (total += one));
  ctx.args.list.forEach((one) => {
    ctx.stash[one] = first + second;
  });
  (total = total + 1);
  return total;
}

export const response = () => null;
