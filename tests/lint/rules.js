// Rules for what APPSYNC_JS does unlike JavaScript.
import { readFileSync } from 'node:fs';

/** The names of the members that hold numbers, in resolvers/stash.d.ts. */
const declarations = readFileSync(new URL('../../resolvers/stash.d.ts', import.meta.url), 'utf8');
const numbers = new Set([...declarations.matchAll(/^\s*(\w+)\??: number\b/gm)].map(([, name]) => name));

/**
 * AppSync prints a number that was read from DynamoDB as "null" when it is turned into text; the result of an
 * arithmetic operation prints right (aws-appsync-community #308). So a stored number in a template literal,
 * or added to a text, must be arithmetic: `${turn.run + 0}`.
 */
const noStoredNumberInText = {
  meta: { type: 'problem', schema: [] },
  create(context) {
    const check = (node) => {
      const last = node.type === 'MemberExpression' ? node.property : node;
      if (last.type !== 'Identifier' || !numbers.has(last.name)) return;
      context.report({ node, message: `AppSync may print ${last.name} as "null": write \`${last.name} + 0\`.` });
    };
    const isText = (node) => node.type === 'TemplateLiteral' || typeof node.value === 'string';
    return {
      TemplateLiteral: (node) => node.expressions.forEach(check),
      BinaryExpression: (node) => {
        if (node.operator !== '+') return;
        if (isText(node.left)) check(node.right);
        if (isText(node.right)) check(node.left);
      },
    };
  },
};

export default { rules: { 'no-stored-number-in-text': noStoredNumberInText } };
